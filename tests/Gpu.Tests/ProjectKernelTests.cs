// Every kernel of the project: its binding has the parameters that its PTX declares, and the PTX that is carried is made from it.
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Gpu.Tests;

public sealed partial class ProjectKernelTests
{
    private static readonly Dictionary<string, int> PtxSizes = new(StringComparer.Ordinal)
    {
        ["b8"] = 1, ["u8"] = 1, ["s8"] = 1, ["b16"] = 2, ["u16"] = 2, ["s16"] = 2,
        ["b32"] = 4, ["u32"] = 4, ["s32"] = 4, ["f32"] = 4, ["b64"] = 8, ["u64"] = 8, ["s64"] = 8, ["f64"] = 8,
    };

    public static IEnumerable<string> Files => KernelSourceSet.Embedded.Files;

    [Test]
    public void Every_kernel_file_of_the_tree_is_carried_and_bound()
    {
        var tree = Directory.EnumerateFiles(Path.Combine(RepositoryRoot(), "kernels"), "*.cu").Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal);
        Assert.That(Files, Is.EqualTo(tree).And.Not.Empty);
        Assert.That(KernelCatalog.Entries.Select(e => e.File).Distinct(), Is.EqualTo(Files));
        Assert.That(KernelCatalog.Entries.Select(e => e.Name), Is.Unique);
    }

    [Test]
    public void The_shipped_ptx_is_made_from_these_sources()
    {
        var shipped = ShippedKernels.Embedded;
        Assert.That(shipped.MustBeCompiled(KernelSourceSet.Embedded), Is.Empty, "run ./fashionflow kernels build and commit src/Gpu/ShippedPtx");
        Assert.That(shipped.Entries.Select(e => e.File).Distinct(), Is.EqualTo(Files));
        Assert.That(
            Directory.EnumerateFiles(Path.Combine(RepositoryRoot(), "src", "Gpu", "ShippedPtx"), "*.br").Select(f => Path.GetFileName(f)),
            Is.EquivalentTo(shipped.Entries.Select(e => e.Blob)));
    }

    [Test]
    public async Task Without_nvrtc_every_kernel_loads_from_its_shipped_ptx_and_runs()
    {
        var cache = Directory.CreateTempSubdirectory("fashionflow-absent-").FullName;
        try
        {
            var output = await ProbeProcess.RunAsync(["shipped"], (Nvrtc.PathVariable, "none"), ("XDG_CACHE_HOME", cache));
            Assert.That(
                output.Split('\n', StringSplitOptions.RemoveEmptyEntries),
                Is.EqualTo(Files.Select(f => $"{f} Shipped").Append("1 2 3 doubled is 2 4 6")));
            Assert.That(Directory.EnumerateFileSystemEntries(cache), Is.Empty);
        }
        finally
        {
            Directory.Delete(cache, recursive: true);
        }
    }

    [TestCaseSource(nameof(Files))]
    public void The_bindings_have_the_parameters_of_the_ptx(string file)
    {
        var source = KernelSourceSet.Embedded.Get(file);
        // The shipped PTX is held to its source by a hash. Its bytes cannot be: NVRTC 11.8 gives some sources other bytes from one
        // run to the next (registers and labels are numbered by the order of addresses).
        var architecture = $"compute_{source.Targets[0]}";
        var ptx = Encoding.UTF8.GetString(
            ShippedKernels.Embedded.TryGet(source, architecture)
            ?? Nvrtc.Compile(source.File, source.Headers, KernelSource.OptionsFor(architecture)));
        var declared = EntryPattern().Matches(ptx).ToDictionary(m => m.Groups["name"].Value, m => Layout(m.Groups["parameters"].Value));
        var bound = KernelCatalog.Entries.Where(e => e.File == file).ToArray();
        Assert.That(bound.Select(e => e.Name), Is.EquivalentTo(declared.Keys));
        Assert.Multiple(() =>
        {
            foreach (var entry in bound)
            {
                Assert.That(entry.Parameters.Select(p => (p.Offset, p.Size)), Is.EqualTo(declared[entry.Name]), entry.Name);
                Assert.That(ManagedSizes(entry), Is.EqualTo(declared[entry.Name].Select(p => p.Size)), entry.Name);
            }
        });
    }

    /// <summary>The probe: loads every entry, tells where its file came from, and runs one.</summary>
    internal static int LoadAll()
    {
        using var device = new VirtualGpu.VirtualDevice();
        foreach (var file in KernelCatalog.Entries.GroupBy(e => e.File))
        {
            foreach (var entry in file)
            {
                _ = device.Kernels.GetFunction(entry).Attributes;
            }

            Console.WriteLine($"{file.Key} {device.Kernels.OriginOf(file.Key)}");
        }

        var x = device.Allocate(3 * sizeof(float)).Cast<float>();
        var y = device.Allocate(3 * sizeof(float)).Cast<float>();
        float[] values = [1, 2, 3];
        device.CopyToDevice(x.Cast<byte>(), MemoryMarshal.AsBytes<float>(values), device.DefaultStream);
        ElementwiseKernels.ScaleF32(device.DefaultStream, new LaunchShape(1, 256), x, 2, y, 3);
        device.CopyToHost(MemoryMarshal.AsBytes(values.AsSpan()), y.Cast<byte>(), device.DefaultStream);
        Console.WriteLine($"1 2 3 doubled is {string.Join(' ', values)}");
        return 0;
    }

    internal static string RepositoryRoot() => FashionFlow.Tests.SourceTree.Root;

    private static IEnumerable<int> ManagedSizes(KernelEntry entry)
    {
        var stem = Path.GetFileNameWithoutExtension(entry.File);
        var type = typeof(KernelCatalog).Assembly.GetType($"FashionFlow.Gpu.Kernels.{Generator.KernelParser.ToPascal(stem)}Kernels", throwOnError: true)!;
        var method = type.GetMethod(Generator.KernelParser.ToPascal(entry.Name), BindingFlags.Public | BindingFlags.Static)!;
        return method.GetParameters().Skip(2).Select(p => p.ParameterType.IsGenericType ? sizeof(ulong) : Marshal.SizeOf(p.ParameterType));
    }

    private static (int Offset, int Size)[] Layout(string parameters)
    {
        var result = new List<(int Offset, int Size)>();
        var offset = 0;
        foreach (Match parameter in ParameterPattern().Matches(parameters))
        {
            var size = PtxSizes[parameter.Groups["type"].Value];
            offset = (offset + size - 1) / size * size;
            result.Add((offset, size));
            offset += size;
        }

        return [.. result];
    }

    [GeneratedRegex(@"\.visible \.entry (?<name>\w+)\s*\((?<parameters>[^)]*)\)", RegexOptions.ExplicitCapture)]
    private static partial Regex EntryPattern();

    [GeneratedRegex(@"\.param \.(?<type>\w+)", RegexOptions.ExplicitCapture)]
    private static partial Regex ParameterPattern();
}
