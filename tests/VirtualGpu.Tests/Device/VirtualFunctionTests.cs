// Launches through the seam: attributes, limits, opt-in to shared memory, module variables, and what a failed kernel leaves behind.
using System.Buffers.Binary;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Tests.Device;

public class VirtualFunctionTests
{
    // fill: out[i] = scale * i for i < n; bounded: the same, for at most 64 threads a block; shared: 1,024 bytes of static shared memory.
    private const string Ptx = """
        .version 6.0
        .target sm_70
        .address_size 64

        .global .align 4 .u32 counter = 7;
        .const .align 4 .b8 table[8] = {1, 2, 3, 4, 5, 6, 7, 8};

        .visible .entry fill(.param .u64 out, .param .u32 scale, .param .u32 n)
        {
            .reg .pred %p<2>;
            .reg .b32 %r<8>;
            .reg .b64 %rd<5>;
            ld.param.u64 %rd1, [out];
            ld.param.u32 %r1, [scale];
            ld.param.u32 %r2, [n];
            mov.u32 %r3, %ctaid.x;
            mov.u32 %r4, %ntid.x;
            mov.u32 %r5, %tid.x;
            mad.lo.s32 %r6, %r3, %r4, %r5;
            setp.ge.s32 %p1, %r6, %r2;
            @%p1 bra DONE;
            mul.lo.s32 %r7, %r6, %r1;
            cvta.to.global.u64 %rd2, %rd1;
            mul.wide.s32 %rd3, %r6, 4;
            add.s64 %rd4, %rd2, %rd3;
            st.global.u32 [%rd4], %r7;
        DONE:
            ret;
        }

        .visible .entry bounded() .maxntid 64, 1, 1
        {
            ret;
        }

        .visible .entry shared()
        {
            .shared .align 4 .b8 space[1024];
            .reg .b32 %r<2>;
            mov.u32 %r1, 1;
            st.shared.u32 [space], %r1;
            ret;
        }
        """;

    private VirtualDevice _device = null!;
    private GpuModule _module = null!;

    [SetUp]
    public void Open()
    {
        _device = new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 1 << 20 });
        _module = _device.LoadModule(System.Text.Encoding.UTF8.GetBytes(Ptx));
    }

    [TearDown]
    public void Close()
    {
        _module.Dispose();
        _device.Dispose();
    }

    [Test]
    public void A_kernel_runs_and_its_memory_comes_back()
    {
        var output = _device.Allocate(400);
        _module.GetFunction("fill").Launch(_device.DefaultStream, new LaunchShape(4, 32), Parameters(output, 3, 100));
        var bytes = new byte[400];
        _device.CopyToHost(bytes, output, _device.DefaultStream);
        Assert.That(Enumerable.Range(0, 100).Select(i => BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(4 * i))), Is.EqualTo(Enumerable.Range(0, 100).Select(i => 3 * i)));
    }

    [Test]
    public void Attributes_come_from_the_text()
    {
        var fill = _module.GetFunction("fill").Attributes;
        var bounded = _module.GetFunction("bounded").Attributes;
        var shared = _module.GetFunction("shared").Attributes;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(fill.MaxThreadsPerBlock, Is.EqualTo(1024));
            Assert.That(fill.StaticSharedMemory, Is.Zero);
            Assert.That(fill.MaxDynamicSharedMemory, Is.EqualTo(49152));
            Assert.That(bounded.MaxThreadsPerBlock, Is.EqualTo(64));
            Assert.That(shared.StaticSharedMemory, Is.EqualTo(1024));
            Assert.That(shared.MaxDynamicSharedMemory, Is.EqualTo(49152 - 1024));
        }
    }

    [Test]
    public void Variables_hold_their_initial_values()
    {
        var counter = _module.GetGlobal("counter", out var counterBytes);
        var table = _module.GetGlobal("table", out var tableBytes);
        var values = new byte[12];
        _device.CopyToHost(values.AsSpan(0, 4), counter, _device.DefaultStream);
        _device.CopyToHost(values.AsSpan(4), table, _device.DefaultStream);
        using (Assert.EnterMultipleScope())
        {
            Assert.That((counterBytes, tableBytes), Is.EqualTo((4L, 8L)));
            Assert.That(values, Is.EqualTo(new byte[] { 7, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8 }));
        }
    }

    [Test]
    public void Limits_hold_at_the_launch()
    {
        var stream = _device.DefaultStream;
        var bounded = _module.GetFunction("bounded");
        var shared = _module.GetFunction("shared");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => bounded.Launch(stream, new LaunchShape(1, 64), []), Throws.Nothing);
            Assert.That(() => bounded.Launch(stream, new LaunchShape(1, 65), []), Fails(CudaResult.CUDA_ERROR_INVALID_VALUE));
            Assert.That(() => bounded.Launch(stream, new LaunchShape(0, 64), []), Fails(CudaResult.CUDA_ERROR_INVALID_VALUE));
            Assert.That(() => bounded.Launch(stream, new LaunchShape(1, 64), new byte[4]), Fails(CudaResult.CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES));
            Assert.That(
                () => _module.GetFunction("fill").Launch(stream, new LaunchShape(1, 64), new byte[12]), Fails(CudaResult.CUDA_ERROR_INVALID_VALUE));
            Assert.That(() => shared.Launch(stream, new LaunchShape(1, 32, 48 * 1024), []), Fails(CudaResult.CUDA_ERROR_INVALID_VALUE));
            Assert.That(() => shared.SetMaxDynamicSharedMemory(163 * 1024), Fails(CudaResult.CUDA_ERROR_INVALID_VALUE));
            Assert.That(() => shared.SetMaxDynamicSharedMemory(162 * 1024), Throws.Nothing);
            Assert.That(() => shared.Launch(stream, new LaunchShape(1, 32, 162 * 1024), []), Throws.Nothing);
            Assert.That(_module.GetFunction("shared").Attributes.MaxDynamicSharedMemory, Is.EqualTo(162 * 1024));
        }
    }

    [Test]
    public void Occupancy_counts_only_blocks_that_can_be_launched()
    {
        var shared = _module.GetFunction("shared");
        shared.SetMaxDynamicSharedMemory(100 * 1024);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(_module.GetFunction("fill").MaxActiveBlocksPerMultiprocessor(256, 0), Is.EqualTo(8));
            Assert.That(_module.GetFunction("bounded").MaxActiveBlocksPerMultiprocessor(65, 0), Is.Zero);

            // 164 KiB over 1 KiB static, 1 KiB reserved and 39 KiB dynamic.
            Assert.That(shared.MaxActiveBlocksPerMultiprocessor(32, 39 * 1024), Is.EqualTo(4));
            Assert.That(shared.MaxActiveBlocksPerMultiprocessor(32, 100 * 1024), Is.EqualTo(1));
            Assert.That(shared.MaxActiveBlocksPerMultiprocessor(32, 101 * 1024), Is.Zero);
            Assert.That(() => shared.MaxActiveBlocksPerMultiprocessor(0, 0), Fails(CudaResult.CUDA_ERROR_INVALID_VALUE));
        }
    }

    [Test]
    public void A_kernel_that_writes_beyond_its_allocation_ends_the_context()
    {
        var output = _device.Allocate(40);
        var fill = _module.GetFunction("fill");
        var error = Assert.Throws<GpuException>(() => fill.Launch(_device.DefaultStream, new LaunchShape(1, 32), Parameters(output, 1, 11)))!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(error.Result, Is.EqualTo(CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS));
            Assert.That(error.Detail, Does.Contain("fill").And.Contain("just past the end of the 40-byte allocation"));
            Assert.That(_device.Synchronize, Fails(CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS));
            Assert.That(() => fill.Launch(_device.DefaultStream, new LaunchShape(1, 32), Parameters(output, 1, 1)), Fails(CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS));
            Assert.That(() => _device.Free(output), Throws.Nothing);
        }
    }

    [Test]
    public void Arguments_are_packed_as_the_kernel_declares_them()
    {
        var output = _device.Allocate(40);
        _module.GetFunction("fill").LaunchWith(_device.DefaultStream, new LaunchShape(1, 32), output, 3, 10u);
        var bytes = new byte[40];
        _device.CopyToHost(bytes, output, _device.DefaultStream);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Enumerable.Range(0, 10).Select(i => BitConverter.ToInt32(bytes, 4 * i)), Is.EqualTo(Enumerable.Range(0, 10).Select(i => 3 * i)));
            Assert.That(
                () => _module.GetFunction("fill").LaunchWith(_device.DefaultStream, new LaunchShape(1, 32), output, 3L, 10L),
                Fails(CudaResult.CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES),
                "numbers of eight bytes for parameters of four");
        }
    }

    private static byte[] Parameters(DevicePointer<byte> output, int scale, int n)
    {
        var bytes = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, output.Address);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), scale);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), n);
        return bytes;
    }

    private static NUnit.Framework.Constraints.IResolveConstraint Fails(CudaResult result)
        => Throws.TypeOf<GpuException>().With.Property("Result").EqualTo(result);
}
