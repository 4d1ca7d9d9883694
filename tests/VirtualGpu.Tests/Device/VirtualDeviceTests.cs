// The device's memory calls, streams and events through the seam, with the errors a driver gives.
using System.Globalization;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Tests.Device;

public class VirtualDeviceTests
{
    private VirtualDevice _device = null!;

    [SetUp]
    public void Open() => _device = new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 1 << 20 });

    [TearDown]
    public void Close() => _device.Dispose();

    [Test]
    public void Bytes_travel_to_the_device_within_it_and_back()
    {
        var source = Enumerable.Range(0, 1025).Select(i => (byte)(i * 7)).ToArray();
        var a = _device.Allocate(1025);
        var b = _device.Allocate(2000);
        _device.Fill(b, 9, 2000, _device.DefaultStream);
        _device.CopyToDevice(a, source, _device.DefaultStream);
        _device.Copy(b.Offset(3), a, 1025, _device.DefaultStream);
        var back = new byte[2000];
        _device.CopyToHost(back, b, _device.DefaultStream);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(back[3..1028], Is.EqualTo(source));
            Assert.That(back[..3].Concat(back[1028..]), Is.All.EqualTo(9));
            Assert.That(_device.MemoryInfo, Is.EqualTo(new MemoryInfo((1 << 20) - 3025, 1 << 20)));
        }

        _device.Free(a);
        _device.Free(b);
        Assert.That(_device.MemoryInfo.Free, Is.EqualTo(1 << 20));
    }

    [Test]
    public void Copies_and_fills_beyond_an_allocation_are_invalid_values()
    {
        var stream = _device.DefaultStream;
        var a = _device.Allocate(100);
        var b = _device.Allocate(100);
        using (Assert.EnterMultipleScope())
        {
            Invalid(() => _device.CopyToDevice(a, new byte[101], stream), "the destination of a copy to the device, 101 bytes long", "1 bytes past its end");
            Invalid(() => _device.CopyToHost(new byte[1], a.Offset(100), stream), "just past the end of the 100-byte allocation");
            Invalid(() => _device.CopyToHost(new byte[4], DevicePointer<byte>.Null, stream), "the null pointer");
            Invalid(() => _device.Copy(a, b.Offset(1), 100, stream), "the source of a copy");
            Invalid(() => _device.Copy(a.Offset(1), b, 100, stream), "the destination of a copy");
            Invalid(() => _device.Copy(a, a.Offset(10), 50, stream), "overlap");
            Invalid(() => _device.Copy(a, b, -1, stream), "cannot be -1 bytes");
            Invalid(() => _device.Fill(a, 0, 101, stream), "the destination of a fill");
            Assert.That(() => _device.Fill(DevicePointer<byte>.Null, 0, 0, stream), Throws.Nothing);
        }
    }

    [Test]
    public void Streams_and_events_of_another_device_are_invalid_handles()
    {
        using var other = new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 1 << 20 });
        var a = _device.Allocate(8);
        using var marker = other.CreateEvent();
        var stream = _device.CreateStream();
        stream.Synchronize();
        stream.Dispose();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => _device.Fill(a, 0, 8, other.DefaultStream), HandleError());
            Assert.That(() => _device.DefaultStream.Record(marker), HandleError());
            Assert.That(() => _device.DefaultStream.Wait(marker), HandleError());
            Assert.That(() => _device.Fill(a, 0, 8, stream), HandleError());
        }
    }

    [Test]
    public void Events_time_what_lies_between_them_and_must_have_been_recorded()
    {
        using var start = _device.CreateEvent();
        using var end = _device.CreateEvent();
        Assert.That(() => end.ElapsedMilliseconds(start), HandleError());
        _device.DefaultStream.Record(start);
        _device.DefaultStream.Record(end);
        _device.DefaultStream.Wait(end);
        end.Synchronize();
        Assert.That(end.ElapsedMilliseconds(start), Is.GreaterThanOrEqualTo(0));
    }

    [Test]
    public void The_default_stream_outlives_its_disposal()
    {
        _device.DefaultStream.Dispose();
        Assert.That(() => _device.DefaultStream.Synchronize(), Throws.Nothing);
    }

    [Test]
    public void A_failed_kernels_error_sticks_but_memory_can_be_freed()
    {
        var a = _device.Allocate(8);
        _device.NoteFailure(new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, "not one that ends a context"));
        Assert.That(_device.Synchronize, Throws.Nothing);
        _device.NoteFailure(new GpuException(CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS, "kernel k"));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(_device.Synchronize, Sticky());
            Assert.That(() => _device.Allocate(8), Sticky());
            Assert.That(() => _device.Fill(a, 0, 8, _device.DefaultStream), Sticky());
            Assert.That(() => _device.DefaultStream.Synchronize(), Sticky());
            Assert.That(() => _device.Free(a), Throws.Nothing);
        }

        static NUnit.Framework.Constraints.IResolveConstraint Sticky()
            => Throws.TypeOf<GpuException>().With.Message.StartsWith("CUDA_ERROR_ILLEGAL_ADDRESS").And.Message.Contains("kernel k");
    }

    [Test]
    public void A_schedule_lasts_until_it_is_disposed()
    {
        using var device = new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 1 << 20, OrderSeed = 7, Method = ExecutionMethod.General });
        var own = new LaunchSchedule { OrderSeed = 7, MaskLanes = true };
        Assert.That(device.Schedule, Is.EqualTo(own));
        using (var outer = device.UseSchedule(new() { OrderSeed = 1 }))
        {
            using (device.UseSchedule(new() { MaskLanes = true }))
            {
                Assert.That($"{device.Schedule}", Is.EqualTo("blocks and warps in ascending order, lanes masked"));
            }

            Assert.That($"{device.Schedule}", Is.EqualTo("blocks and warps in the order of seed 1"));
            outer.Dispose();
            Assert.That(device.Schedule, Is.EqualTo(own));
        }

        Assert.That(device.Schedule, Is.EqualTo(own));
    }

    [Test]
    public void A_disposed_device_says_so()
    {
        _device.Dispose();
        Assert.That(() => _device.Allocate(8), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void The_pool_runs_each_task_once_and_reports_a_failure()
    {
        using var pool = new WorkerPool(3);
        var counts = new int[1000];
        for (var repeat = 0; repeat < 20; repeat++)
        {
            pool.Run(counts.Length, task => Interlocked.Increment(ref counts[task]));
        }

        Assert.That(counts, Is.All.EqualTo(20));
        Assert.That(
            () => pool.Run(10, task => throw new GpuException(CudaResult.CUDA_ERROR_LAUNCH_FAILED, task.ToString(CultureInfo.InvariantCulture))),
            Throws.TypeOf<GpuException>());
    }

    private static void Invalid(Action action, params string[] parts)
    {
        var error = Assert.Throws<GpuException>(action);
        Assert.That(error?.Result, Is.EqualTo(CudaResult.CUDA_ERROR_INVALID_VALUE));
        foreach (var part in parts)
        {
            Assert.That(error?.Detail, Does.Contain(part));
        }
    }

    private static NUnit.Framework.Constraints.IResolveConstraint HandleError()
        => Throws.TypeOf<GpuException>().With.Property("Result").EqualTo(CudaResult.CUDA_ERROR_INVALID_HANDLE);
}
