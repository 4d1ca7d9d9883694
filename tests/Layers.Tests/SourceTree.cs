// Where the tests were built: what is not copied beside them is read from there.
namespace FashionFlow.Tests;

/// <summary>The repository.</summary>
internal static class SourceTree
{
    /// <summary>Its root.</summary>
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (var at = AppContext.BaseDirectory; at is not null; at = Path.GetDirectoryName(at))
        {
            if (File.Exists(Path.Combine(at, "FashionFlow.Native.sln")))
            {
                return at;
            }
        }

        throw new InvalidOperationException($"no source tree above {AppContext.BaseDirectory}");
    }
}
