// Modules before any of their kernels runs: what is an image, for which device, and what it holds.
using System.Text;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Tests.Device;

public class VirtualModuleTests
{
    private const string Empty = ".version 6.0\n.target sm_70\n.address_size 64\n";

    [Test]
    public void What_is_not_PTX_is_an_invalid_image()
    {
        using var device = new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 1 << 20 });
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => device.LoadModule("hello"u8), Fails(CudaResult.CUDA_ERROR_INVALID_IMAGE));
            Assert.That(() => device.LoadModule([]), Fails(CudaResult.CUDA_ERROR_INVALID_IMAGE));
            Assert.That(() => device.LoadModule("\u007fELF\u0002\u0001"u8), Fails(CudaResult.CUDA_ERROR_NO_BINARY_FOR_GPU));
            Assert.That(() => device.LoadModule(".version 6.0\n"u8), Fails(CudaResult.CUDA_ERROR_INVALID_PTX));
        }
    }

    [TestCase("sm_70", true)]
    [TestCase("sm_80", true)]
    [TestCase("sm_80, debug", true)]
    [TestCase("sm_86", false)]
    [TestCase("sm_90a", false)]
    [TestCase("sm_75a", false)]
    public void PTX_for_a_higher_or_another_specific_target_has_no_binary_for_the_device(string target, bool runs)
    {
        using var device = new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 1 << 20 });
        var image = Encoding.UTF8.GetBytes(Empty.Replace("sm_70", target, StringComparison.Ordinal));
        if (runs)
        {
            using var module = device.LoadModule(image);
            Assert.That(() => module.GetFunction("k"), Fails(CudaResult.CUDA_ERROR_NOT_FOUND));
            Assert.That(() => module.GetGlobal("g", out _), Fails(CudaResult.CUDA_ERROR_NOT_FOUND));
        }
        else
        {
            Assert.That(() => device.LoadModule(image), Fails(CudaResult.CUDA_ERROR_NO_BINARY_FOR_GPU));
        }
    }

    [Test]
    public void An_unloaded_module_is_an_invalid_handle()
    {
        using var device = new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 1 << 20 });
        var module = device.LoadModule(Encoding.UTF8.GetBytes(Empty + '\0'));
        module.Dispose();
        Assert.That(() => module.GetFunction("k"), Fails(CudaResult.CUDA_ERROR_INVALID_HANDLE));
    }

    private static NUnit.Framework.Constraints.IResolveConstraint Fails(CudaResult result)
        => Throws.TypeOf<GpuException>().With.Property("Result").EqualTo(result);
}
