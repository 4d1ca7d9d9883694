// The devices that tests run on, made once and shared, since compiling kernels for a device costs time.
using System.Collections.Concurrent;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Cuda;
using FashionFlow.Tests;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Tensors.Tests;

/// <summary>A device of the tests.</summary>
/// <param name="Capability">A virtual device's compute capability, 70 for sm_70; null is the machine's first GPU.</param>
/// <param name="Method">How a virtual device runs warps.</param>
/// <param name="OrderSeed">The order of a virtual device's blocks and warps; null is ascending.</param>
public sealed record TestDevice(int? Capability = 80, ExecutionMethod Method = ExecutionMethod.Auto, ulong? OrderSeed = null)
{
    /// <summary>
    /// The devices that every test of an operator runs on: virtual ones, and a GPU where there is one; or the stand-ins alone.
    /// </summary>
    public static IReadOnlyList<TestDevice> AtHand { get; } =
    [
        .. NamedDevice.IsStandIn ? [new TestDevice(Capability: null)]
            : CudaDriver.TryInitialize().State == CudaDriverState.Ready ? (TestDevice[])[new(70), new(80), new(Capability: null)]
            : [new(70), new(80)],
    ];

    /// <inheritdoc/>
    public override string ToString()
        => Capability is null ? "GPU" : $"sm_{Capability}{(Method == ExecutionMethod.General ? ", general method" : "")}{(OrderSeed is { } seed ? $", order {seed}" : "")}";
}

/// <summary>Shared devices. A device that a kernel has failed on is lost, as a GPU's context is; the next user gets a new one.</summary>
[SetUpFixture]
public sealed class TestDevices
{
    private static readonly ConcurrentDictionary<TestDevice, RecordingDevice> s_devices = new();

    /// <summary>
    /// Runs a test body in a context of its own with every check on, on a shared device. Fails if it leaves tensors alive.
    /// </summary>
    /// <param name="device">Which device.</param>
    /// <param name="body">Gets the context, and a list that the names of launched kernels are written to.</param>
    public static void Run(TestDevice device, Action<DeviceContext, ISet<string>> body)
    {
        var shared = s_devices.GetOrAdd(device, Create);
        shared.Launched.Clear();
        shared.Launches.Clear();
        var context = new DeviceContext(shared, ownsDevice: false, DeviceContextOptions.Checked);
        try
        {
            body(context, shared.Launched);
            context.CheckLeaks();
        }
        catch (GpuException)
        {
            s_devices.TryRemove(device, out _);
            throw;
        }
        finally
        {
            DisposeQuietly(context);
        }
    }

    /// <inheritdoc cref="Run(TestDevice, Action{DeviceContext, ISet{string}})"/>
    public static void Run(Action<DeviceContext> body) => Run(new TestDevice(), (context, _) => body(context));

    /// <summary>Disposes the devices after the last test.</summary>
    [OneTimeTearDown]
    public static void DisposeAll()
    {
        foreach (var device in s_devices.Values)
        {
            device.Dispose();
        }

        s_devices.Clear();
    }

    private static RecordingDevice Create(TestDevice device) => new(device.Capability is not { } capability
        ? NamedDevice.IsStandIn ? NamedDevice.OpenStandIn() : DeviceSelector.Open("cuda")
        : new VirtualDevice(new VirtualDeviceOptions
        {
            ComputeCapability = new ComputeCapability(capability / 10, capability % 10),
            Method = device.Method,
            OrderSeed = device.OrderSeed,
            PoisonReusedMemory = true,
            MemoryBytes = 1L << 30,
        }));

    private static void DisposeQuietly(DeviceContext context)
    {
        try
        {
            context.Dispose();
        }
        catch (TensorLeakException)
        {
            // A leak was reported by CheckLeaks, or follows from the failure that is already on its way.
        }
    }
}
