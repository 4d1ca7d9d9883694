// The device that only counts: it decides as the one that it is like, and counts exactly.
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Tensors.Tests.Memory;

public class MeasuringDeviceTests
{
    [Test]
    public void It_counts_launches_and_the_work_of_products_and_convolutions()
    {
        using var like = new VirtualDevice();
        using var device = new MeasuringDevice(like);
        using var context = new DeviceContext(device, ownsDevice: false);
        using (TensorScope.Begin())
        {
            Ops.Silu(Tensor.Empty(context, [1000]));
            Assert.That((device.Launches, device.FloatingPointOperations), Is.EqualTo((1L, 0.0)));
            Ops.Linear(Tensor.Empty(context, [3, 5, 8]), Tensor.Empty(context, [6, 8]));
            Assert.That(device.FloatingPointOperations, Is.EqualTo(2 * 15 * 6 * 8));
            Ops.Conv2d(Tensor.Empty(context, [2, 9, 7, 3]), Tensor.Empty(context, [4, 3, 3, 3]), bias: null, stride: 2, padding: Padding2d.All(1));
            Assert.That(device.FloatingPointOperations, Is.EqualTo((2 * 15 * 6 * 8) + (2.0 * 2 * 5 * 4 * 4 * 3 * 3 * 3)));
        }

        Assert.That(context.LiveBytes, Is.Zero);
    }

    [Test]
    public void It_is_like_another_device_and_what_is_read_from_it_is_zero()
    {
        using var like = new VirtualDevice(new VirtualDeviceOptions { ComputeCapability = new(7, 5) });
        using var device = new MeasuringDevice(like);
        using var context = new DeviceContext(device, ownsDevice: false);
        using var x = Tensor.FromArray<float>(context, [1, 2, 3], [3]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That((device.Kind, device.Properties, device.Blas!.Name, device.Dnn!.Name), Is.EqualTo((like.Kind, like.Properties, like.Blas.Name, like.Dnn.Name)));
            Assert.That(x.ToArray<float>(), Is.EqualTo(new float[3]));
            Assert.That(() => device.Free(new DevicePointer<byte>(7)), Throws.TypeOf<GpuException>());
            Assert.That(() => device.Allocate(0), Throws.TypeOf<ArgumentOutOfRangeException>());
        }
    }
}
