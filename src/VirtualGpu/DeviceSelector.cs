// The one place that knows both kinds of device: what --device says becomes a device.
using System.Globalization;
using System.Text.RegularExpressions;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Cuda;

namespace FashionFlow.VirtualGpu;

/// <summary>Opens a device by its specification.</summary>
public static partial class DeviceSelector
{
    /// <summary>The forms of a specification, for messages and help.</summary>
    public const string Forms = "auto, cuda, cuda:N (N from 0), virtual or virtual:sm_NN";

    /// <summary>Opens a device.</summary>
    /// <param name="specification">
    /// <c>auto</c> takes the first GPU where there is one, else the virtual device; <c>cuda</c> and <c>cuda:n</c> insist on a
    /// GPU; <c>virtual</c> and <c>virtual:sm_80</c> take the virtual device.
    /// </param>
    /// <param name="workerThreads">Host threads of a virtual device, which change its speed alone; 0 takes one a core.</param>
    /// <exception cref="ArgumentException">The specification has another form.</exception>
    /// <exception cref="GpuException">There is no such device; the message says what to do.</exception>
    public static GpuDevice Open(string specification, int workerThreads = 0)
    {
        var match = SpecificationPattern().Match(specification);
        if (!match.Success)
        {
            throw new ArgumentException($"'{specification}' names no device; write {Forms}");
        }

        if (match.Groups["auto"].Success)
        {
            return CudaDriver.TryInitialize().State == CudaDriverState.Ready ? CudaDevice.Open() : OpenVirtual("", workerThreads);
        }

        return match.Groups["cuda"].Success ? OpenCuda(match.Groups["ordinal"].Value) : OpenVirtual(match.Groups["number"].Value, workerThreads);
    }

    private static CudaDevice OpenCuda(string ordinal) =>
        CudaDevice.Open(ordinal.Length == 0 ? 0 : int.Parse(ordinal, NumberStyles.None, CultureInfo.InvariantCulture));

    private static VirtualDevice OpenVirtual(string number, int workerThreads)
    {
        var options = new VirtualDeviceOptions { WorkerThreads = workerThreads };
        if (number.Length == 0)
        {
            return new VirtualDevice(options);
        }

        var capability = int.Parse(number, NumberStyles.None, CultureInfo.InvariantCulture);
        return new VirtualDevice(options with { ComputeCapability = new(capability / 10, capability % 10) });
    }

    [GeneratedRegex(@"\A(?:(?<auto>auto)|(?<cuda>cuda)(?::(?<ordinal>\d{1,3}))?|virtual(?::sm_(?<number>\d{2,3}))?)\z", RegexOptions.ExplicitCapture)]
    private static partial Regex SpecificationPattern();
}
