// Threads that wait for one another must not starve: lanes of a warp, warps of a block, blocks of a grid.
namespace FashionFlow.VirtualGpu.Tests.Jit;

internal sealed class ScheduleTests
{
    [TestCase(1, 1)]
    [TestCase(3, 64)]
    [TestCase(4, 100)]
    public void LanesContendForALock(int grid, int block)
    {
        var y = Harness.Corpus.RunAllWays<int>("spin_lock", grid, block, 1, (memory, output) => [memory.Allocate(4), output]);
        Assert.That(y[0], Is.EqualTo(grid * block));
    }

    [Test]
    public void BlocksWaitForBlocksThatStartLater()
    {
        const int Blocks = 9;
        var y = Harness.Corpus.RunAllWays<int>("block_chain", Blocks, 64, Blocks * 64, (memory, output) => [memory.Allocate(Blocks * 4), output, Blocks]);
        for (var i = 0; i < y.Length; i++)
        {
            Assert.That(y[i], Is.EqualTo((i % 64) + (i / 64)));
        }
    }

    [Test]
    public void WarpsWaitForWarps()
    {
        var y = Harness.Corpus.RunAllWays<int>("warp_chain", 2, 256, 512, (_, output) => [output]);
        for (var i = 0; i < y.Length; i++)
        {
            Assert.That(y[i], Is.EqualTo(((7 - (i % 256 / 32)) * 100) + (i % 32)));
        }
    }
}
