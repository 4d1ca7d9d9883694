// Contexts: opened by a device's name, gone with what they own.
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Tensors.Tests;

public class DeviceContextTests
{
    [Test]
    public void A_context_opens_the_device_that_is_named()
    {
        using var context = DeviceContext.Open("virtual:sm_70");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(context.Device.Kind, Is.EqualTo("virtual"));
            Assert.That(context.Device.Properties.ComputeCapability, Is.EqualTo(new ComputeCapability(7, 0)));
            Assert.That(context.Backend, Is.EqualTo(MatmulBackend.Library));
            Assert.That(() => DeviceContext.Open("tpu"), Throws.ArgumentException.With.Message.Contains("'tpu' names no device"));
        }
    }

    [Test]
    public void Disposal_frees_live_tensors_and_the_device_only_if_it_is_owned()
    {
        using var device = new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 64 << 20 });
        var free = device.MemoryInfo.Free;
        var context = new DeviceContext(device, ownsDevice: false);
        var tensor = Tensor.Zeros(context, [1000]);
        context.Dispose();
        context.Dispose();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(tensor.IsDisposed);
            Assert.That(device.MemoryInfo.Free, Is.EqualTo(free));
            Assert.That(() => Tensor.Zeros(context, [1]), Throws.TypeOf<ObjectDisposedException>());
        }

        var owner = new DeviceContext(device);
        owner.Dispose();
        Assert.That(device.Synchronize, Throws.TypeOf<ObjectDisposedException>());
    }
}
