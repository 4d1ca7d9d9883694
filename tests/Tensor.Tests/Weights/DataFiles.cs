// Where tests of files find them.
using FashionFlow.Tests;

namespace FashionFlow.Tensors.Tests.Weights;

/// <summary>Files of tests/data, and larger ones beside the repository where they exist.</summary>
internal static class DataFiles
{
    public static string Of(string name) => Path.Combine(SourceTree.Root, "tests", "data", name);

    public static string Shared(string name) => Path.Combine(SourceTree.Root, "..", "shared", "golden", name);
}
