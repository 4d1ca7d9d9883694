// Runs a test project's tests on the CUDA device over the stand-ins for NVIDIA's libraries (tests/native), where that is asked for.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Cuda;
using FashionFlow.StandIns;
using FashionFlow.VirtualGpu;
using NUnit.Framework.Interfaces;

[assembly: FashionFlow.Tests.NoMisuse]

namespace FashionFlow.Tests;

/// <summary>The device that FASHIONFLOW_TEST_DEVICE names: as --device does, or <c>stand-in</c>.</summary>
internal static class NamedDevice
{
    private static readonly Lazy<StandInDevice> s_standIn = new(StandInLibrary.Connect);

    /// <summary>What the variable holds; virtual where it holds nothing.</summary>
    public static string Name { get; } = Environment.GetEnvironmentVariable("FASHIONFLOW_TEST_DEVICE") is { Length: > 0 } name ? name : "virtual";

    /// <summary>Whether the tests run on the stand-ins.</summary>
    public static bool IsStandIn => Name == "stand-in";

    /// <summary>What is behind the stand-ins; null where they are not used.</summary>
    public static StandInDevice? StandIn => s_standIn.IsValueCreated ? s_standIn.Value : null;

    /// <summary>Opens the device.</summary>
    public static GpuDevice Open() => IsStandIn ? OpenStandIn() : DeviceSelector.Open(Name);

    /// <summary>A CUDA device over the stand-ins.</summary>
    public static GpuDevice OpenStandIn()
    {
        _ = s_standIn.Value;
        return CudaDevice.Open();
    }
}

/// <summary>Fails a test that did what NVIDIA's libraries do not notice and must not be done to them.</summary>
[AttributeUsage(AttributeTargets.Assembly)]
internal sealed class NoMisuseAttribute : Attribute, ITestAction
{
    /// <inheritdoc/>
    public ActionTargets Targets => ActionTargets.Test;

    /// <inheritdoc/>
    public void BeforeTest(ITest test) => NamedDevice.StandIn?.ForgetMisuses();

    /// <inheritdoc/>
    public void AfterTest(ITest test)
    {
        if (NamedDevice.StandIn is { } standIn)
        {
            Assert.That(standIn.Misuses, Is.Empty);
        }
    }
}
