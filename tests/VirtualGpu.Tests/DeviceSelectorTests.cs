// What --device takes, and what it says of anything else.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Cuda;

namespace FashionFlow.VirtualGpu.Tests;

public sealed class DeviceSelectorTests
{
    [TestCase("virtual", 80)]
    [TestCase("virtual:sm_70", 70)]
    [TestCase("virtual:sm_80", 80)]
    [TestCase("virtual:sm_90", 90)]
    public void Virtual_takes_a_compute_capability(string specification, int number)
    {
        using var device = DeviceSelector.Open(specification);
        Assert.That(device.Kind, Is.EqualTo("virtual"));
        Assert.That(device.Properties.ComputeCapability.Number, Is.EqualTo(number));
    }

    [Test]
    public void Auto_takes_a_gpu_when_there_is_one()
    {
        using var device = DeviceSelector.Open("auto");
        Assert.That(device.Kind, Is.EqualTo(CudaDriver.TryInitialize().State == CudaDriverState.Ready ? "cuda" : "virtual"));
    }

    [TestCase("")]
    [TestCase("gpu")]
    [TestCase("CUDA")]
    [TestCase("cuda:")]
    [TestCase("cuda:-1")]
    [TestCase("cuda:x")]
    [TestCase("virtual:80")]
    [TestCase("virtual:sm_")]
    [TestCase("virtual:sm_80 ")]
    [TestCase("auto\n")]
    public void Another_form_is_refused_with_the_forms_that_there_are(string specification)
    {
        var exception = Assert.Throws<ArgumentException>(() => DeviceSelector.Open(specification));
        Assert.That(exception.Message, Does.StartWith($"'{specification}' names no device").And.Contain("cuda:N").And.Contain("virtual:sm_NN"));
    }

    [TestCase("cuda")]
    [TestCase("cuda:0")]
    public void Cuda_insists_on_a_gpu_and_says_what_to_do_without_one(string specification)
    {
        if (CudaDriver.TryInitialize().State == CudaDriverState.Ready)
        {
            using var device = DeviceSelector.Open(specification);
            Assert.That(device.Kind, Is.EqualTo("cuda"));
            return;
        }

        var exception = Assert.Throws<GpuException>(() => DeviceSelector.Open(specification));
        Assert.That(exception.Result, Is.EqualTo(CudaResult.CUDA_ERROR_NO_DEVICE));
        Assert.That(exception.Detail, Does.Contain("--device virtual").And.Not.Contain("\n"));
    }

    [Test]
    public void An_unknown_compute_capability_is_refused()
    {
        var exception = Assert.Throws<GpuException>(() => DeviceSelector.Open("virtual:sm_12"));
        Assert.That(exception.Result, Is.EqualTo(CudaResult.CUDA_ERROR_INVALID_DEVICE));
    }
}
