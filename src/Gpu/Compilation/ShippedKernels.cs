// PTX made ahead and carried in the assembly, so that a user needs no compiler. Each blob is tied to its source by a hash.
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace FashionFlow.Gpu;

/// <summary>One PTX that is carried.</summary>
/// <param name="File">The kernel file.</param>
/// <param name="Architecture"><c>compute_70</c>.</param>
/// <param name="Hash">The hash of source, headers, options and compiler version.</param>
/// <param name="Blob">The blob's name.</param>
/// <param name="Checksum">SHA-256 of the PTX in the blob.</param>
public readonly record struct ShippedEntry(string File, string Architecture, string Hash, string Blob, string Checksum);

/// <summary>The shipped PTX: a manifest and one compressed blob a file and architecture.</summary>
public sealed class ShippedKernels
{
    /// <summary>The manifest's file name.</summary>
    public const string ManifestName = "manifest.json";

    private readonly Func<string, Stream?> _open;

    private ShippedKernels(Func<string, Stream?> open)
    {
        _open = open;
        using var manifest = open(ManifestName);
        (CompilerVersion, Entries) = manifest is null ? ("", []) : ReadManifest(manifest);
    }

    /// <summary>The PTX that this assembly carries.</summary>
    public static ShippedKernels Embedded { get; } = new(name => typeof(ShippedKernels).Assembly.GetManifestResourceStream("ptx/" + name));

    /// <summary>No PTX at all.</summary>
    public static ShippedKernels None { get; } = new(_ => null);

    /// <summary>The version of the NVRTC that made the PTX; empty where there is none.</summary>
    public string CompilerVersion { get; }

    /// <summary>What is carried.</summary>
    public IReadOnlyList<ShippedEntry> Entries { get; }

    /// <summary>PTX in a directory.</summary>
    public static ShippedKernels FromDirectory(string directory) => new(name =>
    {
        var path = Path.Combine(directory, name);
        return File.Exists(path) ? File.OpenRead(path) : null;
    });

    /// <summary>The kernel files of a set that must be compiled where they run, since no PTX is carried that was made from them.</summary>
    public IReadOnlyList<string> MustBeCompiled(KernelSourceSet sources) =>
        [.. sources.Files.Where(f => sources.Get(f) is var source && source.Targets.Any(t => TryGet(source, $"compute_{t}") is null))];

    /// <summary>The PTX of a source, if what is carried was made from exactly this source and is whole; else null.</summary>
    public byte[]? TryGet(KernelSource source, string architecture)
    {
        var entry = Entries.FirstOrDefault(e => e.File == source.File.Name && e.Architecture == architecture);
        using var blob = entry.Blob is not null && entry.Hash == source.Hash(architecture, CompilerVersion) ? _open(entry.Blob) : null;
        if (blob is null)
        {
            return null;
        }

        using var brotli = new BrotliStream(blob, CompressionMode.Decompress);
        using var ptx = new MemoryStream();
        try
        {
            brotli.CopyTo(ptx);
        }
        catch (InvalidDataException)
        {
            return null;
        }

        // A blob of one commit beside the manifest of another (a merge) must not pass for the source's.
        var image = ptx.ToArray();
        return Checksum(image) == entry.Checksum ? image : null;
    }

    /// <summary>
    /// Compiles every kernel of a source tree with the NVRTC at hand and writes <c>src/Gpu/ShippedPtx</c>. Blobs whose source
    /// did not change stay as they are; those of kernels that are gone are removed.
    /// </summary>
    /// <param name="repositoryRoot">The directory that holds <c>kernels/</c> and <c>src/</c>.</param>
    /// <param name="report">Told one line for each blob that changes.</param>
    /// <returns>How many blobs were written or removed.</returns>
    /// <exception cref="InvalidOperationException">NVRTC is missing, or the directory is not a source tree.</exception>
    /// <exception cref="KernelCompilationException">A kernel does not compile.</exception>
    public static int Build(string repositoryRoot, Action<string>? report = null)
    {
        var kernels = Path.Combine(repositoryRoot, "kernels");
        if (!Directory.Exists(kernels))
        {
            throw new InvalidOperationException($"{repositoryRoot} has no directory kernels/; run this in the source tree");
        }

        var compiler = Nvrtc.Compiler;
        return Build(KernelSourceSet.FromDirectory(kernels), Path.Combine(repositoryRoot, "src", "Gpu", "ShippedPtx"), compiler, report);
    }

    internal static int Build(KernelSourceSet sources, string directory, IKernelCompiler compiler, Action<string>? report)
    {
        var version = compiler.Version
            ?? throw new InvalidOperationException($"NVRTC is missing ({Nvrtc.MissingReason}); install it: {Nvrtc.InstallHint}");
        Directory.CreateDirectory(directory);
        var old = FromDirectory(directory);
        var entries = new List<ShippedEntry>();
        var changes = 0;
        foreach (var source in sources.Files.Select(sources.Get))
        {
            foreach (var architecture in source.Targets.Select(t => $"compute_{t}"))
            {
                var blob = $"{Path.GetFileNameWithoutExtension(source.File.Name)}.{architecture}.ptx.br";
                var ptx = old.CompilerVersion == version ? old.TryGet(source, architecture) : null;
                var isOld = ptx is not null;
                ptx ??= compiler.Compile(source, architecture);
                entries.Add(new(source.File.Name, architecture, source.Hash(architecture, version), blob, Checksum(ptx)));
                if (isOld)
                {
                    continue;
                }

                AtomicFile.Write(Path.Combine(directory, blob), file => file.Write(Compress(ptx)));
                report?.Invoke($"compiled kernels/{source.File.Name} for {architecture}");
                changes++;
            }
        }

        foreach (var stale in Directory.EnumerateFiles(directory, "*.ptx.br").Where(f => entries.All(e => e.Blob != Path.GetFileName(f))).ToList())
        {
            File.Delete(stale);
            report?.Invoke($"removed {Path.GetFileName(stale)}");
            changes++;
        }

        AtomicFile.Write(Path.Combine(directory, ManifestName), file => file.Write(WriteManifest(version, entries)));
        return changes;
    }

    private static string Checksum(byte[] ptx) => ContentHash.Of(ptx);

    private static byte[] Compress(byte[] ptx)
    {
        using var result = new MemoryStream();
        using (var brotli = new BrotliStream(result, CompressionLevel.SmallestSize, leaveOpen: true))
        {
            brotli.Write(ptx);
        }

        return result.ToArray();
    }

    private static byte[] WriteManifest(string version, List<ShippedEntry> entries)
    {
        using var result = new MemoryStream();
        using (var json = new Utf8JsonWriter(result, new() { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("nvrtc", version);
            json.WriteStartArray("kernels");
            foreach (var entry in entries)
            {
                json.WriteStartObject();
                json.WriteString("file", entry.File);
                json.WriteString("architecture", entry.Architecture);
                json.WriteString("hash", entry.Hash);
                json.WriteString("blob", entry.Blob);
                json.WriteString("checksum", entry.Checksum);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(result.ToArray()) + "\n");
    }

    private static (string Version, IReadOnlyList<ShippedEntry> Entries) ReadManifest(Stream stream)
    {
        using var json = JsonDocument.Parse(stream);
        var entries = json.RootElement.GetProperty("kernels").EnumerateArray().Select(e => new ShippedEntry(
            e.GetProperty("file").GetString()!,
            e.GetProperty("architecture").GetString()!,
            e.GetProperty("hash").GetString()!,
            e.GetProperty("blob").GetString()!,
            e.GetProperty("checksum").GetString()!));
        return (json.RootElement.GetProperty("nvrtc").GetString()!, [.. entries]);
    }
}
