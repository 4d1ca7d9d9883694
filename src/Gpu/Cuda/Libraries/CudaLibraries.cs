// Which of NVIDIA's libraries are there, and how their errors read in the driver's vocabulary.
using System.Runtime.InteropServices;

namespace FashionFlow.Gpu.Cuda.Libraries;

/// <summary>A library as it was found.</summary>
/// <param name="FileName">The name it was loaded by; null where it is missing.</param>
/// <param name="Version">Its version; null where it is missing or does not say.</param>
/// <param name="Problem">Why it cannot be used; null where it can.</param>
public sealed record CudaLibraryStatus(string? FileName, Version? Version, string? Problem);

/// <summary>NVIDIA's libraries. Asking needs no GPU, and never throws.</summary>
public static unsafe class CudaLibraries
{
    private static readonly Lazy<CudaLibraryStatus> s_cublas = new(() => Probe(NativeLibraries.Cublas, CublasVersion));
    private static readonly Lazy<CudaLibraryStatus> s_cublasLt = new(() => Probe(NativeLibraries.CublasLt, () => null));
    private static readonly Lazy<CudaLibraryStatus> s_cudnn = new(() => Probe(NativeLibraries.Cudnn, CudnnVersion));

    /// <summary>cuBLAS 11 to 13: matrix products.</summary>
    public static CudaLibraryStatus Cublas => s_cublas.Value;

    /// <summary>cuBLASLt, which adds a product's bias on the way: of cuBLAS's version.</summary>
    public static CudaLibraryStatus CublasLt => s_cublasLt.Value;

    /// <summary>cuDNN 8 or 9: convolutions.</summary>
    public static CudaLibraryStatus Cudnn => s_cudnn.Value;

    /// <summary>Throws unless a call of cuBLAS or cuBLASLt succeeded.</summary>
    internal static void Check(CublasStatus status, string doing)
    {
        if (status != CublasStatus.CUBLAS_STATUS_SUCCESS)
        {
            throw Error(status, doing);
        }
    }

    /// <summary>The exception for a status of cuBLAS: the driver's name that is nearest, and cuBLAS's own in the message.</summary>
    internal static GpuException Error(CublasStatus status, string doing)
    {
        var result = status switch
        {
            CublasStatus.CUBLAS_STATUS_NOT_INITIALIZED => CudaResult.CUDA_ERROR_NOT_INITIALIZED,
            CublasStatus.CUBLAS_STATUS_ALLOC_FAILED => CudaResult.CUDA_ERROR_OUT_OF_MEMORY,
            CublasStatus.CUBLAS_STATUS_INVALID_VALUE => CudaResult.CUDA_ERROR_INVALID_VALUE,
            CublasStatus.CUBLAS_STATUS_ARCH_MISMATCH or CublasStatus.CUBLAS_STATUS_NOT_SUPPORTED => CudaResult.CUDA_ERROR_NOT_SUPPORTED,
            CublasStatus.CUBLAS_STATUS_EXECUTION_FAILED => CudaResult.CUDA_ERROR_LAUNCH_FAILED,
            CublasStatus.CUBLAS_STATUS_LICENSE_ERROR => CudaResult.CUDA_ERROR_NOT_PERMITTED,
            _ => CudaResult.CUDA_ERROR_UNKNOWN,
        };
        var name = Marshal.PtrToStringUTF8(CublasNative.cublasGetStatusName(status)) ?? $"status {(int)status}";
        return new GpuException(result, $"{doing} failed: {name} ({Marshal.PtrToStringUTF8(CublasNative.cublasGetStatusString(status))})");
    }

    /// <summary>Throws unless a call of cuDNN succeeded.</summary>
    internal static void CheckCudnn(int status, string doing)
    {
        if (status != 0)
        {
            throw CudnnError(status, doing);
        }
    }

    /// <summary>The exception for a status of cuDNN: the driver's name that is nearest, and cuDNN's own in the message.</summary>
    internal static GpuException CudnnError(int status, string doing) => new(
        ResultOfCudnn(status), $"{doing} failed: {Marshal.PtrToStringUTF8(CudnnNative.cudnnGetErrorString(status))} ({status})");

    /// <summary>
    /// The driver's result that is nearest to a status of cuDNN. Version 9 numbers them by category in thousands with the cause in the
    /// rest; version 8 counted from 0.
    /// </summary>
    internal static CudaResult ResultOfCudnn(int status) => status switch
    {
        1 or 1001 => CudaResult.CUDA_ERROR_NOT_INITIALIZED,
        2 or 4003 or 4004 => CudaResult.CUDA_ERROR_OUT_OF_MEMORY,
        3 or 5 or (>= 2000 and < 3000) => CudaResult.CUDA_ERROR_INVALID_VALUE,
        _ when status == 6 || IsNotSupported(status) => CudaResult.CUDA_ERROR_NOT_SUPPORTED,
        8 or (>= 5000 and < 6000) => CudaResult.CUDA_ERROR_LAUNCH_FAILED,
        10 or 1005 => CudaResult.CUDA_ERROR_NOT_PERMITTED,
        _ => CudaResult.CUDA_ERROR_UNKNOWN,
    };

    /// <summary>Whether a status of cuDNN says that it does not do what was asked.</summary>
    internal static bool IsNotSupported(int status) => status is 9 or (>= 3000 and < 4000);

    private static CudaLibraryStatus Probe(NativeLibraryFinder library, Func<Version?> version)
    {
        if (library.Handle == 0)
        {
            return new(null, null, library.Problem);
        }

        try
        {
            return new(library.Name, version(), null);
        }
        catch (EntryPointNotFoundException e)
        {
            return new(library.Name, null, $"{library.Name} is not the library that its name says: {e.Message}");
        }
    }

    private static Version? CublasVersion()
    {
        int major, minor, patch;
        return CublasNative.cublasGetProperty(LibraryProperty.Major, &major) == CublasStatus.CUBLAS_STATUS_SUCCESS
            && CublasNative.cublasGetProperty(LibraryProperty.Minor, &minor) == CublasStatus.CUBLAS_STATUS_SUCCESS
            && CublasNative.cublasGetProperty(LibraryProperty.Patch, &patch) == CublasStatus.CUBLAS_STATUS_SUCCESS
            ? new Version(major, minor, patch)
            : null;
    }

    // 8907 is 8.9.7; from version 9 on there are two more digits, and 90100 is 9.1.0.
    private static Version CudnnVersion()
    {
        var number = (int)CudnnNative.cudnnGetVersion();
        return number < 10000
            ? new Version(number / 1000, number % 1000 / 100, number % 100)
            : new Version(number / 10000, number % 10000 / 100, number % 100);
    }
}
