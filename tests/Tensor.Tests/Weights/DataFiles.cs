// Where tests of files find them.
namespace FashionFlow.Tensors.Tests.Weights;

/// <summary>Files of tests/data, and larger ones beside the repository where they exist.</summary>
internal static class DataFiles
{
    private static readonly string s_root = FindRoot();

    public static string Of(string name) => Path.Combine(s_root, "tests", "data", name);

    public static string Shared(string name) => Path.Combine(s_root, "..", "shared", "golden", name);

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "FashionFlow.Native.sln")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException("the tests run outside the repository");
    }
}
