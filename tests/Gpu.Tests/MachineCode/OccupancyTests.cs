// The occupancy calculator against examples worked out by hand, and against what the virtual device enforces.
using FashionFlow.VirtualGpu;

namespace FashionFlow.Gpu.Tests.MachineCode;

public sealed class OccupancyTests
{
    // Each line with the arithmetic that gives it.
    // 2048 threads / 256 = 8 blocks; 32 registers: 65536 / (32 * 256) = 8 as well, and the first in the order is named.
    [TestCase(80, 256, 32, 0, 8, OccupancyLimit.Warps)]
    // 33 registers a thread are 1056 a warp, allotted as 1280: 16384 / 1280 = 12 warps a partition, 48 in all, 6 blocks of 8.
    [TestCase(80, 256, 33, 0, 6, OccupancyLimit.Registers)]
    // 40 registers are 1280 a warp as they are.
    [TestCase(80, 256, 40, 0, 6, OccupancyLimit.Registers)]
    // 128 registers: 4096 a warp, 4 a partition, 16 in all: 2 blocks of 8 warps.
    [TestCase(80, 256, 128, 16896, 2, OccupancyLimit.Registers)]
    // 168 registers: 5376 a warp, 3 a partition, 12 in all: 3 blocks of 4.
    [TestCase(80, 128, 168, 0, 3, OccupancyLimit.Registers)]
    // 152 registers: 4864 a warp, 3 a partition, 12 in all; without partitions 65536 / 4864 would be 13.
    [TestCase(80, 32, 152, 0, 12, OccupancyLimit.Registers)]
    // 254 registers: 8192 a warp, 2 a partition, 8 in all: one block of 8 warps.
    [TestCase(90, 256, 254, 0, 1, OccupancyLimit.Registers)]
    // Nine warps of 254 registers need 12 places of 8192 registers: more than there are.
    [TestCase(90, 288, 254, 0, 0, OccupancyLimit.Registers)]
    // One warp a block: 32 blocks are 32 warps, half of what there is room for.
    [TestCase(80, 32, 32, 0, 32, OccupancyLimit.Blocks)]
    [TestCase(86, 32, 32, 0, 16, OccupancyLimit.Blocks)]
    [TestCase(89, 32, 32, 0, 24, OccupancyLimit.Blocks)]
    [TestCase(75, 32, 32, 0, 16, OccupancyLimit.Blocks)]
    // 33 threads are two warps.
    [TestCase(75, 33, 16, 0, 16, OccupancyLimit.Warps)]
    // 48 KiB and the reserved 1 KiB: 164 / 49 = 3, 100 / 49 = 2, 228 / 49 = 4; nothing is reserved on sm_70: 96 / 48 = 2.
    [TestCase(70, 128, 32, 48 * 1024, 2, OccupancyLimit.SharedMemory)]
    [TestCase(80, 128, 32, 48 * 1024, 3, OccupancyLimit.SharedMemory)]
    [TestCase(86, 128, 32, 48 * 1024, 2, OccupancyLimit.SharedMemory)]
    [TestCase(90, 128, 32, 48 * 1024, 4, OccupancyLimit.SharedMemory)]
    // (20992 + 1024) / 128 = 172 units, and 167936 / 22016 = 7.6.
    [TestCase(80, 64, 32, 20992, 7, OccupancyLimit.SharedMemory)]
    // Units of 256 bytes before sm_80: 32769 bytes are allotted 33024, and 98304 / 33024 = 2 where 32768 let 3 in.
    [TestCase(70, 128, 32, 32768, 3, OccupancyLimit.SharedMemory)]
    [TestCase(70, 128, 32, 32769, 2, OccupancyLimit.SharedMemory)]
    // The most that a block may have, and one byte more.
    [TestCase(90, 128, 32, 227 * 1024, 1, OccupancyLimit.SharedMemory)]
    [TestCase(90, 128, 32, (227 * 1024) + 1, 0, OccupancyLimit.SharedMemory)]
    // 48 warps on sm_86: one block of 1024 threads is 32 of them.
    [TestCase(86, 1024, 32, 0, 1, OccupancyLimit.Warps)]
    public void Blocks_are_those_worked_out_by_hand(int architecture, int threads, int registers, int sharedMemory, int blocks, OccupancyLimit limit)
    {
        var limits = MultiprocessorLimits.Of(architecture);
        var occupancy = Occupancy.Of(limits, threads, registers, sharedMemory);
        var warps = blocks * ((threads + 31) / 32);
        Assert.That(occupancy, Is.EqualTo(new Occupancy(blocks, warps, (double)warps / limits.Warps, limit)));
    }

    [Test]
    public void More_of_anything_never_holds_more_blocks()
    {
        foreach (var limits in MultiprocessorLimits.All)
        {
            for (var threads = 32; threads <= 1024; threads += 32)
            {
                for (var registers = 16; registers < 255; registers++)
                {
                    var blocks = Occupancy.Of(limits, threads, registers, 4096).Blocks;
                    Assert.That(Occupancy.Of(limits, threads, registers + 1, 4096).Blocks, Is.LessThanOrEqualTo(blocks));
                    Assert.That(Occupancy.Of(limits, threads, registers, 8192).Blocks, Is.LessThanOrEqualTo(blocks));
                    Assert.That(blocks * threads * registers, Is.LessThanOrEqualTo(MultiprocessorLimits.Registers), $"{limits.ComputeCapability}, {threads} threads of {registers} registers");
                }
            }
        }
    }

    [TestCase(0, 32, 0)]
    [TestCase(1025, 32, 0)]
    [TestCase(32, -1, 0)]
    [TestCase(32, 256, 0)]
    [TestCase(32, 32, -1)]
    public void Blocks_that_do_not_exist_are_refused(int threads, int registers, int sharedMemory)
        => Assert.Throws<ArgumentOutOfRangeException>(() => Occupancy.Of(MultiprocessorLimits.Of(80), threads, registers, sharedMemory));

    [Test]
    public void An_unknown_architecture_is_refused_by_name()
        => Assert.That(
            Assert.Throws<ArgumentOutOfRangeException>(() => MultiprocessorLimits.Of(72))!.Message,
            Does.Contain("known are sm_70, sm_75, sm_80, sm_86, sm_89, sm_90"));

    [Test]
    public void The_virtual_device_has_the_same_limits()
        => Assert.That(DeviceLimits.Supported, Is.EqualTo(MultiprocessorLimits.All.Select(limits => limits.ComputeCapability)));
}
