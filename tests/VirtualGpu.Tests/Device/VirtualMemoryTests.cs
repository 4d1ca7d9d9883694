// Device memory of the virtual device: allocation, finding, describing, freeing, capacity, poison and guards.
using CsCheck;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Tests.Device;

public class VirtualMemoryTests
{
    [Test]
    public void Allocations_are_aligned_and_apart()
    {
        using var memory = new VirtualMemory(1 << 20, poison: false);
        var starts = new[] { 1L, 3, 255, 256, 257, 4097 }.Select(bytes => (start: memory.Allocate(bytes), bytes)).OrderBy(a => a.start).ToArray();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(starts.Select(a => a.start % 256), Is.All.Zero);
            for (var i = 1; i < starts.Length; i++)
            {
                Assert.That(starts[i].start - starts[i - 1].start, Is.GreaterThan((ulong)starts[i - 1].bytes + VirtualMemory.GuardBytes));
            }
        }
    }

    [Test]
    public void Finding_agrees_with_a_list_under_any_order_of_allocating_and_freeing()
        => Gen.Select(Gen.Int[1, 9000], Gen.Bool, Gen.Int[0, 1 << 20]).Array[1, 60].Sample(steps =>
        {
            using var memory = new VirtualMemory(1 << 20, poison: false);
            var live = new List<(ulong Start, ulong End)>();
            foreach (var (bytes, free, pick) in steps)
            {
                var generation = memory.Generation;
                if (free && live.Count > 0)
                {
                    memory.Free(live[pick % live.Count].Start);
                    live.RemoveAt(pick % live.Count);
                }
                else
                {
                    var start = memory.Allocate(bytes);
                    live.Add((start, start + (ulong)bytes));
                }

                if (memory.Generation == generation || memory.Count != live.Count || memory.Used != live.Sum(a => (long)(a.End - a.Start)))
                {
                    return false;
                }

                foreach (var (start, end) in live)
                {
                    foreach (var address in new[] { start - 1, start, start + ((end - start) / 2), end - 1, end })
                    {
                        var inside = address >= start && address < end;
                        if (memory.TryFind(address, out var foundStart, out var foundEnd) != inside || (inside && (foundStart != start || foundEnd != end)))
                        {
                            return false;
                        }
                    }
                }
            }

            return true;
        }, iter: 200);

    [Test]
    public void Addresses_are_described_for_messages()
    {
        using var memory = new VirtualMemory(1 << 20, poison: false);
        Assert.That(memory.Describe(1 << 20), Is.EqualTo("no memory is allocated"));
        var start = memory.Allocate(4096);
        var table = memory.Allocate(16, "variable 'table'");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(memory.Describe(0), Is.EqualTo("the null pointer"));
            Assert.That(memory.Describe(8), Is.EqualTo("8 bytes past the null pointer"));
            Assert.That(memory.Describe(start + 1), Is.EqualTo($"1 byte into the 4096-byte allocation at 0x{start:x}"));
            Assert.That(memory.Describe(start + 4096 + 24), Is.EqualTo($"24 bytes past the end of the 4096-byte allocation at 0x{start:x}"));
            Assert.That(memory.Describe(start + 4096), Is.EqualTo($"just past the end of the 4096-byte allocation at 0x{start:x}"));
            Assert.That(memory.Describe(start - 4), Is.EqualTo($"4 bytes before the 4096-byte allocation at 0x{start:x}"));
            Assert.That(memory.Describe(table + 2), Is.EqualTo($"2 bytes into variable 'table' (16 bytes at 0x{table:x})"));
        }

        memory.Free(start);
        Assert.That(memory.Describe(start + 4000), Does.Contain("which has been freed").Or.Contain("variable 'table'"));
    }

    [Test]
    public void Beyond_the_capacity_is_out_of_memory_naming_asked_and_free()
    {
        using var memory = new VirtualMemory(10_000, poison: false);
        var first = memory.Allocate(6_000);
        var error = Assert.Throws<GpuException>(() => memory.Allocate(4_001))!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(error.Result, Is.EqualTo(CudaResult.CUDA_ERROR_OUT_OF_MEMORY));
            Assert.That(error.Detail, Is.EqualTo("4,001 bytes were asked for, 4,000 are free"));
        }

        memory.Free(first);
        Assert.That(() => memory.Allocate(10_000), Throws.Nothing);
    }

    [Test]
    public void Wrong_frees_are_invalid_values()
    {
        using var memory = new VirtualMemory(1 << 20, poison: false);
        var start = memory.Allocate(100);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(FreeError(start + 4), Does.Contain("4 bytes into the 100-byte allocation").And.Contain("not its start"));
            Assert.That(FreeError(0), Does.Contain("the null pointer"));
            Assert.That(FreeError(0x1234_5678_9abc), Does.Contain("never allocated here"));
            memory.Free(start);
            Assert.That(FreeError(start), Does.Contain("has been freed already"));
            Assert.That(() => memory.Allocate(0), Throws.TypeOf<GpuException>().With.Property("Result").EqualTo(CudaResult.CUDA_ERROR_INVALID_VALUE));
        }

        string FreeError(ulong address)
        {
            var error = Assert.Throws<GpuException>(() => memory.Free(address))!;
            Assert.That(error.Result, Is.EqualTo(CudaResult.CUDA_ERROR_INVALID_VALUE));
            return error.Detail;
        }
    }

    [Test]
    public unsafe void Poison_fills_new_memory_with_NaN_and_guards_show_a_stray_write()
    {
        using var memory = new VirtualMemory(1 << 20, poison: true);
        var start = memory.Allocate(64);
        Assert.That(new ReadOnlySpan<float>((void*)start, 16).ToArray(), Is.All.NaN);
        memory.Free(start);
        start = memory.Allocate(64);
        ((byte*)start)[64] = 1;
        Assert.That(() => memory.Free(start), Throws.TypeOf<GpuException>().With.Message.Contains("guard space around the 64-byte allocation"));
        Assert.That(memory.Count, Is.Zero);
    }
}
