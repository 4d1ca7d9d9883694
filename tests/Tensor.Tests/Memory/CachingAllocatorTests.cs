// The allocator: reuse, accounting, and what a leak or a full device says.
using CsCheck;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Tensors.Tests.Memory;

public class CachingAllocatorTests
{
    [Test]
    public void A_freed_block_is_used_again_and_the_device_is_asked_once()
    {
        using var context = NewContext();
        var first = Tensor.Empty(context, [1000]);
        var address = first.Pointer<float>();
        var reserved = context.ReservedBytes;
        first.Dispose();
        using var second = Tensor.Empty(context, [900]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(second.Pointer<float>(), Is.EqualTo(address));
            Assert.That(context.ReservedBytes, Is.EqualTo(reserved));
        }
    }

    [Test]
    public void The_best_fit_is_taken()
    {
        using var context = NewContext();
        // Free blocks of 8, 4 and 6 MiB, kept apart by live ones.
        var large = Tensor.Empty(context, [8 << 20], DType.UInt8);
        using var wall1 = Tensor.Empty(context, [2 << 20], DType.UInt8);
        var small = Tensor.Empty(context, [4 << 20], DType.UInt8);
        using var wall2 = Tensor.Empty(context, [2 << 20], DType.UInt8);
        var medium = Tensor.Empty(context, [6 << 20], DType.UInt8);
        var expected = medium.Pointer<byte>();
        large.Dispose();
        small.Dispose();
        medium.Dispose();
        using var x = Tensor.Empty(context, [5 << 20], DType.UInt8);
        Assert.That(x.Pointer<byte>(), Is.EqualTo(expected));
    }

    [Test]
    public void Neighbours_merge_when_they_are_free()
    {
        using var context = NewContext();
        Tensor[] parts = [.. Enumerable.Range(0, 16).Select(_ => Tensor.Empty(context, [128 << 10], DType.UInt8))];
        Assert.That(context.ReservedBytes, Is.EqualTo(2 << 20), "sixteen small tensors share a segment");
        foreach (var i in (int[])[3, 5, 4, 0, 1, 2, 15, 14, 6, 8, 7, 9, 11, 10, 13, 12])
        {
            parts[i].Dispose();
        }

        using var whole = Tensor.Empty(context, [1 << 20], DType.UInt8);
        Assert.That(context.ReservedBytes, Is.EqualTo(2 << 20), "their space is one block again");
    }

    [Test]
    public void Live_and_peak_bytes_are_counted_in_whole_blocks()
    {
        using var context = NewContext();
        var x = Tensor.Empty(context, [1]);
        var y = Tensor.Empty(context, [129]);
        Assert.That(context.LiveBytes, Is.EqualTo(512 + 1024));
        x.Dispose();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(context.LiveBytes, Is.EqualTo(1024));
            Assert.That(context.PeakBytes, Is.EqualTo(1536));
        }

        context.ResetPeak();
        Assert.That(context.PeakBytes, Is.EqualTo(1024));
        y.Dispose();
        context.ReleaseCached();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(context.LiveBytes, Is.Zero);
            Assert.That(context.ReservedBytes, Is.Zero);
        }
    }

    [Test]
    public void No_two_live_tensors_overlap_whatever_the_order_of_requests()
        => Gen.Select(Gen.Int[1, 3 << 20], Gen.Bool, Gen.Int[0, 1000]).Array[1, 60].Sample(
            steps =>
            {
                using var context = NewContext();
                var live = new List<Tensor>();
                foreach (var (bytes, free, which) in steps)
                {
                    if (free && live.Count > 0)
                    {
                        live[which % live.Count].Dispose();
                        live.RemoveAt(which % live.Count);
                    }
                    else
                    {
                        live.Add(Tensor.Empty(context, [bytes], DType.UInt8));
                    }

                    var ranges = live.Select(x => (Start: x.Pointer<byte>().Address, x.Bytes)).OrderBy(range => range.Start).ToList();
                    if (ranges.Zip(ranges.Skip(1)).Any(pair => pair.First.Start + (ulong)pair.First.Bytes > pair.Second.Start)
                        || context.LiveBytes > context.ReservedBytes
                        || context.LiveBytes < live.Sum(x => x.Bytes))
                    {
                        return false;
                    }
                }

                live.ForEach(x => x.Dispose());
                context.ReleaseCached();
                return context is { LiveBytes: 0, ReservedBytes: 0 };
            },
            iter: 50);

    [Test]
    public void A_full_device_gives_back_its_cache_before_it_fails()
    {
        using var context = new DeviceContext(new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 64 << 20 }));
        Tensor.Empty(context, [40 << 20], DType.UInt8).Dispose();
        using var x = Tensor.Empty(context, [48 << 20], DType.UInt8);
        Assert.That(
            () => Tensor.Empty(context, [32 << 20], DType.UInt8),
            Throws.TypeOf<GpuException>()
                .With.Property(nameof(GpuException.Result)).EqualTo(CudaResult.CUDA_ERROR_OUT_OF_MEMORY)
                .And.Message.Contains("33,554,432 bytes asked for, 50,331,648 in use by tensors"));
    }

    [Test]
    public void A_leak_is_reported_with_shapes_and_places()
    {
        var context = new DeviceContext(new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 64 << 20 }), options: DeviceContextOptions.Checked);
        Tensor.Zeros(context, [2, 3]);
        Tensor.Zeros(context, [5], DType.Float64);
        var leak = Assert.Throws<TensorLeakException>(() => context.CheckLeaks());
        using (Assert.EnterMultipleScope())
        {
            Assert.That(leak!.Message, Does.StartWith("expected 0 live tensors but found 2: "));
            Assert.That(
                leak.Message,
                Does.Contain("Float32 [2, 3], allocated at Tensor.Zeros called by CachingAllocatorTests.A_leak_is_reported_with_shapes_and_places")
                    .And.Contain("CachingAllocatorTests.cs:").And.Contain("Float64 [5]"));
            Assert.That(() => context.Dispose(), Throws.TypeOf<TensorLeakException>().With.Message.EqualTo(leak.Message));
        }

        Assert.That(context.LiveTensors, Is.Zero, "it is freed all the same");
    }

    [Test]
    public void A_block_freed_twice_is_reported()
    {
        using var context = NewContext();
        var block = context.Allocator.Allocate(100);
        context.Allocator.Free(block);
        Assert.That(() => context.Allocator.Free(block), Throws.InvalidOperationException.With.Message.Contains("was freed twice"));
    }

    [Test]
    public void New_memory_holds_poison_where_asked_for()
    {
        using var context = new DeviceContext(
            new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 64 << 20 }), options: new DeviceContextOptions { PoisonMemory = true });
        Tensor.Zeros(context, [33]).Dispose();
        using var x = Tensor.Empty(context, [33]);
        using var y = Tensor.Empty(context, [3], DType.Float64);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(x.ToArray<float>(), Is.All.NaN);
            Assert.That(y.ToArray<double>(), Is.All.NaN);
        }
    }

    [Test]
    public void Isolated_tensors_end_where_their_device_allocation_ends() => TestDevices.Run(context =>
    {
        using var x = Tensor.Zeros(context, [3]);
        Assert.That(
            () => context.Device.Fill(x.Pointer<byte>(), 0, 13, context.Stream),
            Throws.TypeOf<GpuException>().With.Property(nameof(GpuException.Result)).EqualTo(CudaResult.CUDA_ERROR_INVALID_VALUE));
    });

    private static DeviceContext NewContext() => new(new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 1L << 30 }));
}
