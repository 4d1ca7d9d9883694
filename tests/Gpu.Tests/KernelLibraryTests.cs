// Where a kernel's code comes from: shipped PTX while its source is untouched, else the cache, else the compiler; and what is
// said where there is no compiler.
using System.Text;
using FashionFlow.Gpu.Kernels;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Gpu.Tests;

public sealed class KernelLibraryTests
{
    private const string Kernel = """
        #include "scale.cuh"
        // x *= s.
        extern "C" __global__ void scale_f32(float* x, float s, int n)
        {
            const int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i < n) x[i] = scaled(x[i], s);
        }
        """;

    private const string Header = "__device__ float scaled(float x, float s) { return x * s; }\n";

    private static readonly KernelEntry Entry = new("scale.cu", "scale_f32", []);
    private string _directory = "";

    [SetUp]
    public void Make_a_directory() => _directory = Directory.CreateTempSubdirectory("fashionflow-kernels-").FullName;

    [TearDown]
    public void Remove_the_directory() => Directory.Delete(_directory, recursive: true);

    [Test]
    public void Untouched_sources_take_the_shipped_ptx_and_need_no_compiler()
    {
        var shipped = Ship(Sources());
        using var device = new VirtualDevice();
        using var library = Library(device, Sources(), shipped, new MissingCompiler());
        Assert.That(library.OriginOf("scale.cu"), Is.EqualTo(KernelOrigin.Shipped));
        Assert.That(RunScale(device, library), Is.EqualTo([2f, 4f, 6f]));
    }

    [TestCase("scale.cu")]
    [TestCase("include/scale.cuh")]
    public void A_changed_kernel_or_header_asks_for_nvrtc_by_name(string file)
    {
        var shipped = Ship(Sources());
        var changed = Texts();
        changed[file] += "\n// changed\n";
        using var device = new VirtualDevice();
        using var library = Library(device, KernelSourceSet.FromTexts(changed), shipped, new MissingCompiler());
        var exception = Assert.Throws<KernelCompilationException>(() => library.GetFunction(Entry));
        Assert.That(exception.Message.Split('\n'), Is.EqualTo([
            "kernels/scale.cu differs from the source of the shipped PTX and must be compiled, but NVRTC is missing",
            $"install it: {Nvrtc.InstallHint}"]));
        Assert.That(Nvrtc.InstallHint, Does.Contain("apt-get install libnvrtc"));
    }

    [Test]
    public void A_changed_kernel_is_compiled_once_and_then_cached()
    {
        using var device = new VirtualDevice();
        var compiler = new CountingCompiler();
        foreach (var expected in new[] { KernelOrigin.Compiled, KernelOrigin.Cache })
        {
            using var library = Library(device, Sources(), ShippedKernels.None, compiler);
            Assert.That(RunScale(device, library), Is.EqualTo([2f, 4f, 6f]));
            Assert.That(library.OriginOf("scale.cu"), Is.EqualTo(expected));
        }

        Assert.That(compiler.Count, Is.EqualTo(1));
    }

    [Test]
    public void A_damaged_cache_entry_is_compiled_again()
    {
        using var device = new VirtualDevice();
        var compiler = new CountingCompiler();
        for (var i = 1; i <= 2; i++)
        {
            using var library = Library(device, Sources(), ShippedKernels.None, compiler);
            Assert.That(RunScale(device, library), Is.EqualTo([2f, 4f, 6f]));
            Assert.That(compiler.Count, Is.EqualTo(i));
            var entry = Directory.EnumerateFiles(Path.Combine(_directory, "cache")).Single();
            var bytes = File.ReadAllBytes(entry);
            bytes[^5] ^= 1;
            File.WriteAllBytes(entry, bytes);
        }
    }

    [Test]
    public void The_cache_tells_source_header_architecture_and_compiler_version_apart()
    {
        var source = Sources().Get("scale.cu");
        var keys = new List<string> { source.Hash("compute_70", "11.8"), source.Hash("compute_80", "11.8"), source.Hash("compute_70", "12.0") };
        foreach (var file in Texts().Keys)
        {
            var changed = Texts();
            changed[file] += " ";
            keys.Add(KernelSourceSet.FromTexts(changed).Get("scale.cu").Hash("compute_70", "11.8"));
        }

        Assert.That(keys, Is.Unique);
        var windows = Texts().ToDictionary(t => t.Key, t => t.Value.Replace("\n", "\r\n"));
        Assert.That(KernelSourceSet.FromTexts(windows).Get("scale.cu").Hash("compute_70", "11.8"), Is.EqualTo(keys[0]), "line ends do not count");
    }

    [Test]
    public void A_module_is_loaded_once_for_many_threads()
    {
        using var device = new VirtualDevice();
        var compiler = new CountingCompiler();
        using var library = Library(device, Sources(), ShippedKernels.None, compiler);
        var functions = new GpuFunction[16];
        Parallel.For(0, functions.Length, i => functions[i] = library.GetFunction(Entry));
        Assert.That(functions, Has.All.SameAs(functions[0]));
        Assert.That(compiler.Count, Is.EqualTo(1));
    }

    [Test]
    public async Task Loading_ahead_keeps_an_error_for_the_first_use()
    {
        using var device = new VirtualDevice();
        using var library = Library(device, Sources(), ShippedKernels.None, new MissingCompiler());
        await library.PreloadAsync([Entry]);
        Assert.Throws<KernelCompilationException>(() => library.GetFunction(Entry));

        var compiler = new CountingCompiler();
        using var other = Library(device, Sources(), ShippedKernels.None, compiler);
        await other.PreloadAsync([Entry]);
        Assert.That(RunScale(device, other), Is.EqualTo([2f, 4f, 6f]));
        Assert.That(compiler.Count, Is.EqualTo(1));
    }

    [Test]
    public void A_compiler_without_the_target_takes_the_next_that_the_device_can_run()
    {
        using var device = new VirtualDevice();
        var compiler = new CountingCompiler(75, 80, 90);
        using var library = Library(device, Sources(), ShippedKernels.None, compiler);
        Assert.That(RunScale(device, library), Is.EqualTo([2f, 4f, 6f]));
        Assert.That(compiler.LastArchitecture, Is.EqualTo("compute_75"));

        using var volta = new VirtualDevice(new VirtualDeviceOptions { ComputeCapability = new(7, 0) });
        using var none = Library(volta, Sources(), ShippedKernels.None, compiler);
        Assert.That(
            Assert.Throws<KernelCompilationException>(() => none.GetFunction(Entry)).Message,
            Does.Contain("must be compiled for sm_70, which NVRTC").And.Contain("75, 80, 90"));
    }

    [Test]
    public void A_file_may_ask_for_newer_targets()
    {
        var texts = Texts();
        texts["scale.cu"] = "// Scales.\n// targets: compute_70, compute_80\n" + texts["scale.cu"];
        var source = KernelSourceSet.FromTexts(texts).Get("scale.cu");
        Assert.That(source.Targets, Is.EqualTo([70, 80]));
        Assert.That(new[] { new ComputeCapability(7, 0), new(7, 5), new(8, 0), new(9, 0) }.Select(source.TargetFor), Is.EqualTo([70, 70, 80, 80]));

        texts["scale.cu"] = texts["scale.cu"].Replace("compute_70, ", "");
        var exception = Assert.Throws<GpuException>(() => KernelSourceSet.FromTexts(texts).Get("scale.cu").TargetFor(new(7, 0)));
        Assert.That(exception.Message, Is.EqualTo("CUDA_ERROR_NO_BINARY_FOR_GPU: kernels/scale.cu needs compute capability 8.0, the device has 7.0"));
    }

    [Test]
    public void Shipping_again_writes_what_changed_and_removes_what_is_gone()
    {
        var directory = Path.Combine(_directory, "shipped");
        var texts = Texts();
        texts["other.cu"] = "extern \"C\" __global__ void other() {}\n";
        var report = new List<string>();
        int Build(Dictionary<string, string> t) => ShippedKernels.Build(KernelSourceSet.FromTexts(t), directory, new CountingCompiler(), report.Add);

        Assert.That(Build(texts), Is.EqualTo(2));
        Assert.That(Build(texts), Is.Zero);
        texts["scale.cu"] += "// changed\n";
        texts.Remove("other.cu");
        report.Clear();
        Assert.That(Build(texts), Is.EqualTo(2));
        Assert.That(report, Is.EqualTo(["compiled kernels/scale.cu for compute_70", "removed other.compute_70.ptx.br"]));
        Assert.That(
            Directory.EnumerateFiles(directory).Select(f => Path.GetFileName(f)).Order(), Is.EqualTo(["manifest.json", "scale.compute_70.ptx.br"]));
    }

    [Test]
    public void What_must_be_compiled_is_what_differs_from_the_shipped_ptx()
    {
        var shipped = Ship(Sources());
        Assert.That(shipped.MustBeCompiled(Sources()), Is.Empty);
        var changed = Texts();
        changed["include/scale.cuh"] += "// changed\n";
        Assert.That(shipped.MustBeCompiled(KernelSourceSet.FromTexts(changed)), Is.EqualTo(["scale.cu"]));
        Assert.That(ShippedKernels.None.MustBeCompiled(Sources()), Is.EqualTo(["scale.cu"]));
    }

    [Test]
    public void A_blob_that_is_damaged_or_of_another_source_is_not_taken()
    {
        var shipped = Ship(Sources());
        var blob = Path.Combine(_directory, "shipped", "scale.compute_70.ptx.br");
        var whole = File.ReadAllBytes(blob);
        var changed = Texts();
        changed["include/scale.cuh"] = changed["include/scale.cuh"].Replace("x * s", "x + s");
        var other = Path.Combine(_directory, "other");
        ShippedKernels.Build(KernelSourceSet.FromTexts(changed), other, new CountingCompiler(), report: null);
        foreach (var damaged in new[] { whole[..^9], [1, 2, 3], [], File.ReadAllBytes(Path.Combine(other, "scale.compute_70.ptx.br")) })
        {
            File.WriteAllBytes(blob, damaged);
            Assert.That(shipped.TryGet(Sources().Get("scale.cu"), "compute_70"), Is.Null);
        }

        var compiler = new CountingCompiler();
        Assert.That(ShippedKernels.Build(Sources(), Path.Combine(_directory, "shipped"), compiler, report: null), Is.EqualTo(1));
        Assert.That(compiler.Count, Is.EqualTo(1));
        Assert.That(shipped.TryGet(Sources().Get("scale.cu"), "compute_70"), Is.Not.Null);
    }

    [Test]
    public void An_unknown_file_is_named()
    {
        using var device = new VirtualDevice();
        Assert.That(
            Assert.Throws<KernelCompilationException>(() => device.Kernels.GetModule("none.cu")).Message, Is.EqualTo("there is no kernel file kernels/none.cu"));
    }

    [Test]
    public void A_disposed_device_hands_out_no_function()
    {
        var device = new VirtualDevice();
        var kernels = device.Kernels;
        device.Dispose();
        Assert.Throws<ObjectDisposedException>(() => kernels.GetFunction(KernelCatalog.Entries[0]));
    }

    [Test]
    public void Kernels_of_an_assembly_are_compiled_once_a_device_and_launched_by_name()
    {
        using var device = new VirtualDevice();
        var sources = KernelSourceSet.FromAssembly(typeof(KernelLibraryTests).Assembly);
        Assert.That(sources.Files, Is.EqualTo(["halves.cu"]));
        var library = device.KernelsOf(sources);
        Assert.That(device.KernelsOf(sources), Is.SameAs(library));
        Assert.That(device.KernelsOf(KernelSourceSet.Embedded), Is.SameAs(device.Kernels));
        var halve = library.GetFunction("halves.cu", "halve");
        Assert.That(library.GetFunction("halves.cu", "halve"), Is.SameAs(halve));
        var memory = device.Allocate(32);
        halve.LaunchWith(device.DefaultStream, new LaunchShape(1, 1), 7, 8.0, 9f, 10L, memory.Cast<double>());
        var bytes = new byte[32];
        device.CopyToHost(bytes, memory, device.DefaultStream);
        Assert.That(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, double>(bytes).ToArray(), Is.EqualTo([3.5, 4.0, 4.5, 5.0]));
        Assert.That(
            () => library.GetFunction("halves.cu", "third"),
            Throws.TypeOf<GpuException>().With.Message.EqualTo("CUDA_ERROR_NOT_FOUND: the module has no entry named 'third'; its entries: halve"));
    }

    [Test]
    public void Kernels_without_ptx_ask_for_nvrtc()
    {
        using var device = new VirtualDevice();
        using var library = Library(device, Sources(), ShippedKernels.None, new MissingCompiler());
        Assert.That(
            Assert.Throws<KernelCompilationException>(() => library.GetFunction("scale.cu", "scale_f32")).Message,
            Does.StartWith("kernels/scale.cu comes without PTX and must be compiled, but NVRTC is missing\ninstall it: "));
    }

    private static float[] RunScale(VirtualDevice device, KernelLibrary library)
    {
        var memory = device.Allocate(3 * sizeof(float));
        var values = System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>([1f, 2f, 3f]).ToArray();
        device.CopyToDevice(memory, values, device.DefaultStream);
        var parameters = new byte[16];
        BitConverter.TryWriteBytes(parameters, memory.Address);
        BitConverter.TryWriteBytes(parameters.AsSpan(8), 2f);
        BitConverter.TryWriteBytes(parameters.AsSpan(12), 3);
        library.GetFunction(Entry).Launch(device.DefaultStream, new LaunchShape(1, 32), parameters);
        device.CopyToHost(values, memory, device.DefaultStream);
        device.Free(memory);
        return System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(values).ToArray();
    }

    private static Dictionary<string, string> Texts() => new(StringComparer.Ordinal) { ["scale.cu"] = Kernel, ["include/scale.cuh"] = Header };

    private static KernelSourceSet Sources() => KernelSourceSet.FromTexts(Texts());

    private ShippedKernels Ship(KernelSourceSet sources)
    {
        var directory = Path.Combine(_directory, "shipped");
        ShippedKernels.Build(sources, directory, new CountingCompiler(), report: null);
        return ShippedKernels.FromDirectory(directory);
    }

    private KernelLibrary Library(GpuDevice device, KernelSourceSet sources, ShippedKernels shipped, IKernelCompiler compiler) =>
        new(device, sources, shipped, new KernelCache(Path.Combine(_directory, "cache")), compiler);

    private sealed class MissingCompiler : IKernelCompiler
    {
        public string? Version => null;

        public IReadOnlyList<int> Architectures => throw new InvalidOperationException("there is no compiler");

        public byte[] Compile(KernelSource source, string architecture) => throw new InvalidOperationException("there is no compiler");
    }

    private sealed class CountingCompiler(params int[] architectures) : IKernelCompiler
    {
        private int _count;

        public int Count => _count;

        public string LastArchitecture { get; private set; } = "";

        public string? Version => Nvrtc.Version;

        public IReadOnlyList<int> Architectures => architectures.Length > 0 ? architectures : Nvrtc.SupportedArchitectures();

        public byte[] Compile(KernelSource source, string architecture)
        {
            Interlocked.Increment(ref _count);
            LastArchitecture = architecture;
            return Nvrtc.Compile(source.File, source.Headers, KernelSource.OptionsFor(architecture));
        }
    }
}
