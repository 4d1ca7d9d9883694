// Each limit of a launch at its edge: the last allowed value passes, the next fails with the driver's error name.
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Tests.Device;

public class LaunchRulesTests
{
    private static readonly DeviceProperties Sm80 = DeviceLimits.Of(new ComputeCapability(8, 0)).ToProperties(1 << 20);

    // The CUDA C++ Programming Guide's table of technical specifications: opt-in shared memory a block, shared memory a
    // multiprocessor, threads a multiprocessor, blocks a multiprocessor.
    [TestCase(7, 0, 98304, 98304, 2048, 32)]
    [TestCase(7, 5, 65536, 65536, 1024, 16)]
    [TestCase(8, 0, 166912, 167936, 2048, 32)]
    [TestCase(8, 6, 101376, 102400, 1536, 16)]
    [TestCase(8, 9, 101376, 102400, 1536, 24)]
    [TestCase(9, 0, 232448, 233472, 2048, 32)]
    public void Limits_follow_the_programming_guide(int major, int minor, int optin, int sharedPerSm, int threadsPerSm, int blocksPerSm)
    {
        using var device = new VirtualDevice(new VirtualDeviceOptions { ComputeCapability = new(major, minor), MemoryBytes = 1 << 20 });
        var properties = device.Properties;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(properties.MaxSharedMemoryPerBlock, Is.EqualTo(49152));
            Assert.That(properties.MaxSharedMemoryPerBlockOptin, Is.EqualTo(optin));
            Assert.That(properties.MaxSharedMemoryPerMultiprocessor, Is.EqualTo(sharedPerSm));
            Assert.That(properties.MaxThreadsPerMultiprocessor, Is.EqualTo(threadsPerSm));
            Assert.That(device.Limits.BlocksPerMultiprocessor, Is.EqualTo(blocksPerSm));
            Assert.That(properties.MaxThreadsPerBlock, Is.EqualTo(1024));
            Assert.That(properties.MaxBlockDim, Is.EqualTo(new Dim3(1024, 1024, 64)));
            Assert.That(properties.MaxGridDim, Is.EqualTo(new Dim3(2147483647, 65535, 65535)));
            Assert.That(properties.WarpSize, Is.EqualTo(32));
            Assert.That(properties.MultiprocessorCount, Is.EqualTo(DeviceLimits.MultiprocessorCount));
            Assert.That(properties.TotalMemory, Is.EqualTo(1 << 20));
        }
    }

    [Test]
    public void An_unknown_compute_capability_is_refused_by_name()
        => Assert.That(
            () => new VirtualDevice(new VirtualDeviceOptions { ComputeCapability = new(6, 1) }),
            Throws.TypeOf<GpuException>().With.Message.EqualTo(
                "CUDA_ERROR_INVALID_DEVICE: there is no virtual device sm_61; choose one of sm_70, sm_75, sm_80, sm_86, sm_89, sm_90"));

    [TestCase(2147483647, 1, 1, true)]
    [TestCase(1, 65535, 1, true)]
    [TestCase(1, 65536, 1, false)]
    [TestCase(1, 1, 65535, true)]
    [TestCase(1, 1, 65536, false)]
    [TestCase(0, 1, 1, false)]
    [TestCase(1, 0, 1, false)]
    [TestCase(1, 1, -1, false)]
    public void Grid_dimensions(int x, int y, int z, bool allowed)
        => Expect(allowed ? CudaResult.CUDA_SUCCESS : CudaResult.CUDA_ERROR_INVALID_VALUE, new LaunchShape(new Dim3(x, y, z), 32));

    [TestCase(1024, 1, 1, true)]
    [TestCase(1025, 1, 1, false)]
    [TestCase(1, 1024, 1, true)]
    [TestCase(1, 1, 64, true)]
    [TestCase(1, 1, 65, false)]
    [TestCase(32, 32, 1, true)]
    [TestCase(32, 33, 1, false)]
    [TestCase(0, 1, 1, false)]
    public void Block_dimensions(int x, int y, int z, bool allowed)
        => Expect(allowed ? CudaResult.CUDA_SUCCESS : CudaResult.CUDA_ERROR_INVALID_VALUE, new LaunchShape(1, new Dim3(x, y, z)));

    [Test]
    public void Launch_bounds()
    {
        var bounded = new EntryFacts { Name = "k", MaxThreads = 256 };
        var required = new EntryFacts { Name = "k", RequiredThreads = new Dim3(16, 16) };
        using (Assert.EnterMultipleScope())
        {
            Expect(CudaResult.CUDA_SUCCESS, new LaunchShape(1, 256), bounded);
            Expect(CudaResult.CUDA_SUCCESS, new LaunchShape(1, new Dim3(16, 16)), bounded);
            Expect(CudaResult.CUDA_ERROR_INVALID_VALUE, new LaunchShape(1, 257), bounded);
            Expect(CudaResult.CUDA_SUCCESS, new LaunchShape(1, new Dim3(16, 16)), required);
            Expect(CudaResult.CUDA_ERROR_INVALID_VALUE, new LaunchShape(1, 256), required);
            Assert.That(LaunchRules.MaxThreadsPerBlock(Sm80, bounded), Is.EqualTo(256));
            Assert.That(LaunchRules.MaxThreadsPerBlock(Sm80, required), Is.EqualTo(256));
            Assert.That(LaunchRules.MaxThreadsPerBlock(Sm80, new EntryFacts { Name = "k" }), Is.EqualTo(1024));
        }
    }

    [Test]
    public void Dynamic_shared_memory_needs_an_opt_in_beyond_48_KiB()
    {
        var entry = new EntryFacts { Name = "k", StaticSharedMemory = 1000 };
        var allowed = LaunchRules.DefaultDynamicSharedMemory(Sm80, entry);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(allowed, Is.EqualTo(49152 - 1000));
            Expect(CudaResult.CUDA_SUCCESS, new LaunchShape(1, 32, allowed), entry);
            Expect(CudaResult.CUDA_ERROR_INVALID_VALUE, new LaunchShape(1, 32, allowed + 1), entry);
            Expect(CudaResult.CUDA_ERROR_INVALID_VALUE, new LaunchShape(1, 32, -1), entry);
            Assert.That(() => LaunchRules.CheckOptin(Sm80, entry, 166912 - 1000), Throws.Nothing);
            Assert.That(
                () => LaunchRules.CheckOptin(Sm80, entry, 166912 - 999),
                Throws.TypeOf<GpuException>().With.Property("Result").EqualTo(CudaResult.CUDA_ERROR_INVALID_VALUE));
        }
    }

    [Test]
    public void The_parameter_buffer_must_have_the_entrys_size()
    {
        var entry = new EntryFacts { Name = "k", ParameterBytes = 24 };
        using (Assert.EnterMultipleScope())
        {
            Expect(CudaResult.CUDA_SUCCESS, new LaunchShape(1, 32), entry, 24);
            Expect(CudaResult.CUDA_ERROR_INVALID_VALUE, new LaunchShape(1, 32), entry, 20);
            Expect(CudaResult.CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, new LaunchShape(1, 32), entry, 32);
        }
    }

    [Test]
    public void An_entry_that_no_block_could_hold_does_not_assemble()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => LaunchRules.CheckEntry(Sm80, new EntryFacts { Name = "k", StaticSharedMemory = 49152, MaxThreads = 1024 }), Throws.Nothing);
            Assert.That(
                () => LaunchRules.CheckEntry(Sm80, new EntryFacts { Name = "k", StaticSharedMemory = 49153 }),
                Throws.TypeOf<GpuException>().With.Property("Result").EqualTo(CudaResult.CUDA_ERROR_INVALID_PTX));
            Assert.That(
                () => LaunchRules.CheckEntry(Sm80, new EntryFacts { Name = "k", MaxThreads = 2048 }),
                Throws.TypeOf<GpuException>().With.Property("Result").EqualTo(CudaResult.CUDA_ERROR_INVALID_PTX));
        }
    }

    // By hand from the guide's limits: threads, then shared memory with the 1 KiB that sm_80 and later reserve, then slots.
    [TestCase(8, 0, 1024, 0, 2)]
    [TestCase(8, 0, 33, 0, 32)]
    [TestCase(8, 0, 96, 0, 21)]
    [TestCase(8, 0, 32, 0, 32)]
    [TestCase(8, 0, 128, 40 * 1024, 4)]
    [TestCase(8, 0, 128, 163 * 1024, 1)]
    [TestCase(8, 6, 512, 0, 3)]
    [TestCase(7, 5, 1024, 0, 1)]
    [TestCase(7, 0, 128, 48 * 1024, 2)]
    [TestCase(9, 0, 128, 113 * 1024, 2)]
    public void Resident_blocks(int major, int minor, int threads, int shared, int blocks)
        => Assert.That(DeviceLimits.Of(new ComputeCapability(major, minor)).ResidentBlocks(threads, shared), Is.EqualTo(blocks));

    private static void Expect(CudaResult result, LaunchShape shape, EntryFacts? entry = null, int? parameterBytes = null)
    {
        var facts = entry ?? new EntryFacts { Name = "k" };
        void Check() => LaunchRules.Check(Sm80, facts, LaunchRules.DefaultDynamicSharedMemory(Sm80, facts), shape, parameterBytes ?? facts.ParameterBytes);
        if (result == CudaResult.CUDA_SUCCESS)
        {
            Assert.That(Check, Throws.Nothing);
        }
        else
        {
            Assert.That(Check, Throws.TypeOf<GpuException>().With.Property("Result").EqualTo(result));
        }
    }
}
