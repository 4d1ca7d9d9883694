// Devices that gradient checks of the tests share, since compiling kernels for a device costs time.
using System.Collections.Concurrent;
using FashionFlow.Gpu;
using FashionFlow.Tensors;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Autograd.Tests;

/// <summary>A virtual device for each compute capability. One that a kernel has failed on is lost; the next user gets a new one.</summary>
[SetUpFixture]
public sealed class CheckDevices
{
    private static readonly ConcurrentDictionary<int, VirtualDevice> s_devices = new();

    /// <summary>Runs a body in a context of its own whose tensors' bounds and lifetimes are watched.</summary>
    /// <param name="capability">80 for sm_80.</param>
    /// <param name="body">Gets the context.</param>
    /// <param name="mayFail">Whether the device is lost on purpose, or tensors left alive.</param>
    public static void Run(int capability, Action<DeviceContext> body, bool mayFail = false)
    {
        var device = s_devices.GetOrAdd(capability, Create);
        // Where a tensor was made is found by walking the stack, which would take most of the time.
        var context = new DeviceContext(device, ownsDevice: false, DeviceContextOptions.Checked with { RecordAllocationSites = false });
        try
        {
            body(context);
            if (!mayFail)
            {
                context.CheckLeaks();
            }
        }
        finally
        {
            DisposeQuietly(context);
            if (IsLost(device) && s_devices.TryRemove(capability, out _))
            {
                device.Dispose();
            }
        }
    }

    [OneTimeTearDown]
    public static void DisposeAll()
    {
        foreach (var device in s_devices.Values)
        {
            device.Dispose();
        }

        s_devices.Clear();
    }

    private static VirtualDevice Create(int capability) => new(new VirtualDeviceOptions
    {
        ComputeCapability = new ComputeCapability(capability / 10, capability % 10),
        PoisonReusedMemory = true,
        MemoryBytes = 1L << 30,
    });

    private static bool IsLost(VirtualDevice device)
    {
        try
        {
            device.Synchronize();
            return false;
        }
        catch (GpuException)
        {
            return true;
        }
    }

    private static void DisposeQuietly(DeviceContext context)
    {
        try
        {
            context.Dispose();
        }
        catch (TensorLeakException)
        {
            // Said by CheckLeaks, or meant.
        }
    }
}
