// The arena: where ranges lie, what its size does and does not change, and what a plan on a measuring device promises.
using CsCheck;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Tensors.Tests.Memory;

public class ArenaTests
{
    // Requests: bytes to allocate, or, where the flag is set, which live tensor to free.
    private static readonly Gen<(int Bytes, bool Free, int Which)[]> Requests = Gen.Select(Gen.Int[1, 60_000], Gen.Bool, Gen.Int[0, 1000]).Array[1, 80];

    [Test]
    public void No_two_live_tensors_overlap_and_all_lie_in_the_arena()
        => Requests.Sample(
            requests =>
            {
                using var context = NewContext();
                context.OpenArena(8 << 20);
                var start = ulong.MaxValue;
                var live = new List<Tensor>();
                var sum = 0L;
                foreach (var request in requests)
                {
                    sum += Step(context, live, request);
                    var ranges = live.Select(x => (Start: x.Pointer<byte>().Address, x.Bytes)).OrderBy(range => range.Start).ToList();
                    start = Math.Min(start, ranges.FirstOrDefault((Start: start, Bytes: 0)).Start);
                    if (ranges.Zip(ranges.Skip(1)).Any(pair => pair.First.Start + (ulong)pair.First.Bytes > pair.Second.Start)
                        || ranges.Any(range => range.Start % 512 != 0 || range.Start + (ulong)range.Bytes > start + (8 << 20)))
                    {
                        return false;
                    }
                }

                // Never more than without reuse, never less than what was alive at once.
                var fits = context.Arena!.Value.HighWater is var high && high >= context.PeakBytes && high <= sum + (512L * requests.Length);
                live.ForEach(x => x.Dispose());
                return fits && context.LiveBytes == 0;
            },
            iter: 100);

    [Test]
    public void An_arena_of_the_measured_size_is_exactly_large_enough()
        => Requests.Sample(
            requests =>
            {
                using var virtualDevice = new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 64 << 20 });
                long needed;
                using (var measuring = new DeviceContext(new MeasuringDevice(virtualDevice)))
                {
                    measuring.OpenArena(1L << 50);
                    needed = Run(measuring, requests, out _);
                }

                using (var context = new DeviceContext(virtualDevice, ownsDevice: false))
                {
                    context.OpenArena(needed);
                    if (Run(context, requests, out var layout) != needed || layout == 0)
                    {
                        return false;
                    }
                }

                using var less = new DeviceContext(virtualDevice, ownsDevice: false);
                less.OpenArena(Math.Max(needed - 512, 1));
                try
                {
                    Run(less, requests, out _);
                    return false;
                }
                catch (GpuException e)
                {
                    return e.Result == CudaResult.CUDA_ERROR_OUT_OF_MEMORY && e.Message.Contains("the planned arena of", StringComparison.Ordinal);
                }
            },
            iter: 60);

    [Test]
    public void A_freed_range_is_used_again_the_best_fit_first()
    {
        using var context = NewContext();
        context.OpenArena(1 << 20);
        var large = Tensor.Empty(context, [8 << 10], DType.UInt8);
        using var wall1 = Tensor.Empty(context, [1 << 10], DType.UInt8);
        var small = Tensor.Empty(context, [4 << 10], DType.UInt8);
        using var wall2 = Tensor.Empty(context, [1 << 10], DType.UInt8);
        var expected = small.Pointer<byte>();
        var before = context.ArenaLayout;
        large.Dispose();
        small.Dispose();
        using (var x = Tensor.Empty(context, [3 << 10], DType.UInt8))
        {
            Assert.That(x.Pointer<byte>(), Is.EqualTo(expected));
            Assert.That(context.ArenaLayout, Is.Not.EqualTo(before));
        }

        using var again = Tensor.Empty(context, [8 << 10], DType.UInt8);
        using var other = Tensor.Empty(context, [4 << 10], DType.UInt8);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(context.ArenaLayout, Is.EqualTo(before), "all lies as it lay");
            Assert.That(context.Arena, Is.EqualTo((1L << 20, 14L << 10)));
        }
    }

    [Test]
    public void An_arena_is_opened_once_and_closed_empty()
    {
        using var context = NewContext();
        var outside = Tensor.Zeros(context, [5]);
        Assert.That((context.Arena, context.ArenaLayout), Is.EqualTo(((ValueTuple<long, long>?)null, 0UL)));
        context.OpenArena(4096);
        Assert.That(() => context.OpenArena(4096), Throws.InvalidOperationException);
        var inside = Tensor.Zeros(context, [5]);
        Assert.That(context.CloseArena, Throws.InvalidOperationException.With.Message.Contains("tensors are still in the arena"));
        outside.Dispose();
        inside.Dispose();
        context.CloseArena();
        context.CloseArena();
        context.ReleaseCached();
        Assert.That((context.LiveBytes, context.ReservedBytes), Is.EqualTo((0L, 0L)));
    }

    private static DeviceContext NewContext() => new(new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 64 << 20 }));

    private static long Run(DeviceContext context, (int Bytes, bool Free, int Which)[] requests, out ulong layout)
    {
        var live = new List<Tensor>();
        try
        {
            layout = 0;
            foreach (var request in requests)
            {
                Step(context, live, request);
                layout = Math.Max(layout, context.ArenaLayout);
            }

            return context.Arena!.Value.HighWater;
        }
        finally
        {
            live.ForEach(x => x.Dispose());
        }
    }

    private static long Step(DeviceContext context, List<Tensor> live, (int Bytes, bool Free, int Which) request)
    {
        if (request.Free && live.Count > 0)
        {
            live[request.Which % live.Count].Dispose();
            live.RemoveAt(request.Which % live.Count);
            return 0;
        }

        live.Add(Tensor.Empty(context, [request.Bytes], DType.UInt8));
        return request.Bytes;
    }
}
