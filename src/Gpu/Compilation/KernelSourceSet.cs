// The kernel files: those that the assembly carries, or those of a source tree.
using System.Collections.Concurrent;
using System.Reflection;

namespace FashionFlow.Gpu;

/// <summary>A set of kernel files and headers.</summary>
public sealed class KernelSourceSet
{
    private readonly Func<string, string?> _read;
    private readonly ConcurrentDictionary<string, KernelSource> _sources = new(StringComparer.Ordinal);

    private KernelSourceSet(Func<string, string?> read, IReadOnlyList<string> files)
    {
        _read = read;
        Files = files;
    }

    /// <summary>The kernels that this assembly carries.</summary>
    public static KernelSourceSet Embedded { get; } = FromAssembly(typeof(KernelSourceSet).Assembly);

    /// <summary>The kernel files, sorted, by their names below <c>kernels/</c>.</summary>
    public IReadOnlyList<string> Files { get; }

    /// <summary>
    /// The kernels that an assembly carries as resources named <c>kernels/NAME.cu</c>, with headers <c>kernels/include/NAME.cuh</c>. In its project:
    /// <c>&lt;EmbeddedResource Include="kernels/**" LogicalName="kernels/%(RecursiveDir)%(Filename)%(Extension)" /&gt;</c>.
    /// </summary>
    public static KernelSourceSet FromAssembly(Assembly assembly)
    {
        const string Prefix = "kernels/";
        return new(
            name =>
            {
                using var stream = assembly.GetManifestResourceStream(Prefix + name);
                if (stream is null)
                {
                    return null;
                }

                using var reader = new StreamReader(stream);
                return reader.ReadToEnd();
            },
            [.. assembly.GetManifestResourceNames()
                .Where(n => n.StartsWith(Prefix, StringComparison.Ordinal) && IsKernelFile(n[Prefix.Length..]))
                .Select(n => n[Prefix.Length..])
                .Order(StringComparer.Ordinal)]);
    }

    /// <summary>The kernels of a directory: <c>*.cu</c>, and headers in <c>include/</c>.</summary>
    public static KernelSourceSet FromDirectory(string directory) => new(
        name =>
        {
            var path = Path.Combine(directory, name);
            return File.Exists(path) ? File.ReadAllText(path) : null;
        },
        [.. Directory.EnumerateFiles(directory, "*.cu").Select(p => Path.GetFileName(p)).Order(StringComparer.Ordinal)]);

    /// <summary>Kernels given as texts, by their names below <c>kernels/</c>.</summary>
    public static KernelSourceSet FromTexts(IReadOnlyDictionary<string, string> texts) =>
        new(texts.GetValueOrDefault, [.. texts.Keys.Where(IsKernelFile).Order(StringComparer.Ordinal)]);

    /// <summary>A kernel file with its headers.</summary>
    /// <exception cref="KernelCompilationException">The file or a header is missing.</exception>
    public KernelSource Get(string file) => _sources.GetOrAdd(file, name => new KernelSource(
        new SourceText(name, _read(name) ?? throw new KernelCompilationException(name, $"there is no kernel file kernels/{name}", "")),
        header => _read("include/" + header) ?? _read(header)));

    private static bool IsKernelFile(string name) => name.EndsWith(".cu", StringComparison.Ordinal) && !name.Contains('/');
}
