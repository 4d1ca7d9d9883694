// What a kernel does wrong is an error that names kernel, block, thread and address, under either method.
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Tests.Jit;

internal sealed class FaultTests
{
    private static IEnumerable<Way> Ways => Way.All;

    private static GpuException Fails(Way way, string kernel, int block, Func<HarnessMemory, object[]> arguments)
    {
        using var memory = new HarnessMemory();
        return Assert.Throws<GpuException>(() => Harness.Corpus.Launch(way, memory, kernel, 2, block, 0, arguments(memory)))!;
    }

    [TestCaseSource(nameof(Ways))]
    public void StoreOutsideOfEveryAllocation(Way way)
    {
        var failure = Fails(way, "strays", 32, memory => [memory.Allocate(128), 100]);
        Assert.That(failure.Result, Is.EqualTo(CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS));
        Assert.That(failure.Message, Does.Contain("kernel strays, block").And.Contain("thread (5, 0, 0) stored 4 bytes at 0x").And.Contain("outside of every allocation"));
    }

    [TestCaseSource(nameof(Ways))]
    public void StoreAtAnOddAddress(Way way)
    {
        var failure = Fails(way, "misaligns", 32, memory => [memory.Allocate(256), 2]);
        Assert.That(failure.Result, Is.EqualTo(CudaResult.CUDA_ERROR_MISALIGNED_ADDRESS));
        Assert.That(failure.Message, Does.Contain("thread (9, 0, 0)").And.Contain("no multiple of 4"));
    }

    [TestCaseSource(nameof(Ways))]
    public void StoreOutsideOfSharedMemory(Way way)
    {
        var failure = Fails(way, "shared_strays", 64, memory => [memory.Allocate(256), 10]);
        Assert.That(failure.Result, Is.EqualTo(CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS));
        Assert.That(failure.Message, Does.Contain("thread (54, 0, 0) stored 4 bytes at offset 256 of the block's 256 bytes of shared memory"));
    }

    [TestCaseSource(nameof(Ways))]
    public void NullPointer(Way way)
    {
        var failure = Fails(way, "strays", 32, _ => [0UL, 0]);
        Assert.That(failure.Result, Is.EqualTo(CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS));
        Assert.That(failure.Message, Does.Contain("thread (0, 0, 0) stored 4 bytes at 0x0"));
    }

    [TestCaseSource(nameof(Ways))]
    public void Trap(Way way) => Assert.That(Fails(way, "traps", 64, _ => [40]).Message, Does.StartWith("CUDA_ERROR_LAUNCH_FAILED").And.Contain("thread (40, 0, 0) executed a trap"));

    [TestCaseSource(nameof(Ways))]
    public void FailedAssertion(Way way)
    {
        var failure = Fails(way, "asserts", 32, memory => [memory.Allocate<int>(Enumerable.Range(0, 32).ToArray())]);
        Assert.That(failure.Result, Is.EqualTo(CudaResult.CUDA_ERROR_ASSERT));
        Assert.That(failure.Message, Does.Contain("thread (3, 0, 0) failed the assertion `x != 3` in corpus.cu:99, function asserts"));
    }

    [TestCaseSource(nameof(Ways))]
    public void BarriersThatNeverMeet(Way way)
    {
        var failure = Fails(way, "never_meets", 64, memory => [memory.Allocate(4)]);
        Assert.That(failure.Result, Is.EqualTo(CudaResult.CUDA_ERROR_LAUNCH_FAILED));
        Assert.That(failure.Message, Does.Contain("waits at barrier").And.Contain("32 of 64 living threads"));
    }

    [TestCaseSource(nameof(Ways))]
    public void Printf(Way way)
    {
        using var memory = new HarnessMemory();
        var text = Harness.Corpus.Launch(way, memory, "shouts", 1, 32, 0, 2);
        Assert.That(text, Is.EqualTo("thread 0 of corpus:  0.00 ff\nthread 1 of corpus:  1.50 ff\n"));
    }
}
