// The driver as a whole: is it there, does it have devices, what do its errors mean.
using System.Runtime.InteropServices;

namespace FashionFlow.Gpu.Cuda;

/// <summary>What was found of the CUDA driver.</summary>
public enum CudaDriverState
{
    /// <summary>The driver works and has at least one device.</summary>
    Ready,

    /// <summary>libcuda is not installed.</summary>
    LibraryMissing,

    /// <summary>The library found is the toolkit's stub, which is for linking only.</summary>
    Stub,

    /// <summary>The library is there, but no GPU, or no kernel module for it.</summary>
    NoDevice,

    /// <summary>The driver failed in another way.</summary>
    Failed,
}

/// <summary>The state of the driver.</summary>
/// <param name="State">What was found.</param>
/// <param name="LibraryName">The name that the library was loaded by, or null.</param>
/// <param name="Version">The CUDA version that the driver supports, such as 12.2, or null.</param>
/// <param name="DeviceCount">How many devices there are.</param>
/// <param name="Message">One line: what is there or what is wrong.</param>
/// <param name="Advice">One line: what to do about it; empty where nothing is wrong.</param>
public sealed record CudaDriverStatus(
    CudaDriverState State,
    string? LibraryName,
    Version? Version,
    int DeviceCount,
    string Message,
    string Advice);

/// <summary>The CUDA driver, <c>libcuda.so.1</c>, or the library that FASHIONFLOW_CUDA names.</summary>
public static unsafe class CudaDriver
{
    private const string RunVirtually = "--device virtual runs without a GPU";

    private static readonly Lazy<CudaDriverStatus> LazyStatus = new(Probe);

    /// <summary>Loads and initialises the driver, once; never throws.</summary>
    public static CudaDriverStatus TryInitialize() => LazyStatus.Value;

    /// <summary>Loads and initialises the driver.</summary>
    /// <exception cref="GpuException">There is no driver or no device; the message says which, and what to do.</exception>
    internal static void Initialize()
    {
        var status = TryInitialize();
        if (status.State != CudaDriverState.Ready)
        {
            throw new GpuException(
                status.State == CudaDriverState.Stub ? CudaResult.CUDA_ERROR_STUB_LIBRARY : CudaResult.CUDA_ERROR_NO_DEVICE,
                $"{status.Message}; {status.Advice}");
        }
    }

    /// <summary>Throws unless a call of the driver succeeded.</summary>
    /// <param name="result">What it returned.</param>
    /// <param name="doing">What was being done, for the message.</param>
    internal static void Check(CudaResult result, string doing)
    {
        if (result != CudaResult.CUDA_SUCCESS)
        {
            throw Error(result, doing);
        }
    }

    /// <summary>The exception for a result; one that this library does not list keeps the driver's name for it in the message.</summary>
    internal static GpuException Error(CudaResult result, string doing)
    {
        var text = CudaNative.cuGetErrorString(result, out var pointer) == CudaResult.CUDA_SUCCESS ? Marshal.PtrToStringUTF8(pointer) : null;
        var detail = text is null ? $"{doing} failed" : $"{doing} failed: {text}";
        return Enum.IsDefined(result)
            ? new GpuException(result, detail)
            : new GpuException(CudaResult.CUDA_ERROR_UNKNOWN, $"{NameOf(result)} ({(int)result}): {detail}");
    }

    /// <summary>The driver's name for a result.</summary>
    internal static string NameOf(CudaResult result) =>
        CudaNative.cuGetErrorName(result, out var name) == CudaResult.CUDA_SUCCESS
            ? Marshal.PtrToStringUTF8(name) ?? result.ToString()
            : result.ToString();

    private static CudaDriverStatus Probe()
    {
        var library = NativeLibraries.Cuda;
        if (library.Handle == 0)
        {
            return new(
                CudaDriverState.LibraryMissing, null, null, 0,
                $"no CUDA driver: {library.Problem}",
                $"install NVIDIA's driver if there is a GPU; {RunVirtually}");
        }

        try
        {
            int number;
            var version = CudaNative.cuDriverGetVersion(&number) == CudaResult.CUDA_SUCCESS
                ? new Version(number / 1000, number % 1000 / 10)
                : null;
            var result = CudaNative.cuInit(0);
            int count = 0;
            if (result == CudaResult.CUDA_SUCCESS)
            {
                result = CudaNative.cuDeviceGetCount(&count);
            }

            if (result == CudaResult.CUDA_SUCCESS && count == 0)
            {
                result = CudaResult.CUDA_ERROR_NO_DEVICE;
            }

            return Describe(result, library.Name!, version, count);
        }
        catch (EntryPointNotFoundException exception)
        {
            return new(
                CudaDriverState.Failed, library.Name, null, 0,
                $"{library.Name} is not a CUDA driver: {exception.Message}", $"install NVIDIA's driver; {RunVirtually}");
        }
    }

    private static CudaDriverStatus Describe(CudaResult result, string library, Version? version, int count) => result switch
    {
        CudaResult.CUDA_SUCCESS => new(
            CudaDriverState.Ready, library, version, count, $"CUDA {version} driver with {count} device{(count == 1 ? "" : "s")}", ""),
        CudaResult.CUDA_ERROR_STUB_LIBRARY => new(
            CudaDriverState.Stub, library, version, 0,
            $"{library} is the toolkit's stub, not a driver", $"take the stub's directory out of LD_LIBRARY_PATH; {RunVirtually}"),
        CudaResult.CUDA_ERROR_NO_DEVICE => new(
            CudaDriverState.NoDevice, library, version, 0,
            $"the CUDA {version} driver library is there, but it finds no GPU",
            $"check nvidia-smi and CUDA_VISIBLE_DEVICES if there is one; {RunVirtually}"),
        _ => new(
            CudaDriverState.Failed, library, version, 0,
            $"the CUDA driver {library} does not start: {NameOf(result)}", $"check nvidia-smi and the driver's installation; {RunVirtually}"),
    };
}
