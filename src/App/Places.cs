// Where the program's own files are: beside the program when it is published, in the source tree when it is built from one.
namespace FashionFlow.App;

/// <summary>Directories of the program.</summary>
internal static class Places
{
    /// <summary>The source tree that the program was built in, or null.</summary>
    public static string? SourceTree { get; } = Upwards(AppContext.BaseDirectory).FirstOrDefault(IsSourceTree);

    /// <summary>The demo model's directory: beside the program, else in the source tree.</summary>
    /// <exception cref="UserError">It is in neither place.</exception>
    public static string DemoModel() =>
        new[] { AppContext.BaseDirectory, SourceTree }
            .Where(folder => folder is not null)
            .Select(folder => Path.Combine(folder!, "models", "demo"))
            .FirstOrDefault(Directory.Exists)
        ?? throw new UserError(ExitCode.Input, "the demo model (models/demo) is not beside the program", "name a model's folder: --model DIR");

    /// <summary>The source tree around the current directory, else the one that the program was built in.</summary>
    public static string? WorkingTree() => Upwards(Environment.CurrentDirectory).FirstOrDefault(IsSourceTree) ?? SourceTree;

    private static bool IsSourceTree(string folder) => File.Exists(Path.Combine(folder, "FashionFlow.Native.sln"));

    private static IEnumerable<string> Upwards(string folder)
    {
        for (var at = Path.TrimEndingDirectorySeparator(folder); at is not null; at = Path.GetDirectoryName(at))
        {
            yield return at;
        }
    }
}
