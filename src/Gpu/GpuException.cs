// The driver's error vocabulary. Both devices speak it, so that a message means the same on either.
namespace FashionFlow.Gpu;

/// <summary>Results of the CUDA driver (CUresult), as far as this library meets them.</summary>
public enum CudaResult
{
    /// <summary>No error.</summary>
    CUDA_SUCCESS = 0,

    /// <summary>An argument is out of range.</summary>
    CUDA_ERROR_INVALID_VALUE = 1,

    /// <summary>The device has not enough free memory.</summary>
    CUDA_ERROR_OUT_OF_MEMORY = 2,

    /// <summary>The driver was not initialised.</summary>
    CUDA_ERROR_NOT_INITIALIZED = 3,

    /// <summary>The driver is shutting down.</summary>
    CUDA_ERROR_DEINITIALIZED = 4,

    /// <summary>The library is the toolkit's stub, not a driver.</summary>
    CUDA_ERROR_STUB_LIBRARY = 34,

    /// <summary>There is no device.</summary>
    CUDA_ERROR_NO_DEVICE = 100,

    /// <summary>There is no device of that number.</summary>
    CUDA_ERROR_INVALID_DEVICE = 101,

    /// <summary>The image is neither PTX nor machine code.</summary>
    CUDA_ERROR_INVALID_IMAGE = 200,

    /// <summary>The context is not valid.</summary>
    CUDA_ERROR_INVALID_CONTEXT = 201,

    /// <summary>No machine code and no PTX for this device.</summary>
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209,

    /// <summary>The PTX does not compile.</summary>
    CUDA_ERROR_INVALID_PTX = 218,

    /// <summary>The PTX is of a version that the driver does not know.</summary>
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,

    /// <summary>The source is not valid.</summary>
    CUDA_ERROR_INVALID_SOURCE = 300,

    /// <summary>A file was not found.</summary>
    CUDA_ERROR_FILE_NOT_FOUND = 301,

    /// <summary>A handle is not valid.</summary>
    CUDA_ERROR_INVALID_HANDLE = 400,

    /// <summary>A name was not found.</summary>
    CUDA_ERROR_NOT_FOUND = 500,

    /// <summary>Work is still going on.</summary>
    CUDA_ERROR_NOT_READY = 600,

    /// <summary>A kernel accessed memory that is not allocated.</summary>
    CUDA_ERROR_ILLEGAL_ADDRESS = 700,

    /// <summary>A launch asks for more than the device or the function allows.</summary>
    CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,

    /// <summary>A kernel ran too long.</summary>
    CUDA_ERROR_LAUNCH_TIMEOUT = 702,

    /// <summary>A kernel hit an assertion.</summary>
    CUDA_ERROR_ASSERT = 710,

    /// <summary>A kernel executed a trap or an illegal instruction.</summary>
    CUDA_ERROR_ILLEGAL_INSTRUCTION = 715,

    /// <summary>A kernel accessed memory at an address that its width does not divide.</summary>
    CUDA_ERROR_MISALIGNED_ADDRESS = 716,

    /// <summary>An address space cannot take the address.</summary>
    CUDA_ERROR_INVALID_ADDRESS_SPACE = 717,

    /// <summary>A kernel failed.</summary>
    CUDA_ERROR_LAUNCH_FAILED = 719,

    /// <summary>The operation is not permitted.</summary>
    CUDA_ERROR_NOT_PERMITTED = 800,

    /// <summary>The operation is not supported.</summary>
    CUDA_ERROR_NOT_SUPPORTED = 801,

    /// <summary>The operation is not permitted while a stream captures.</summary>
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900,

    /// <summary>The capture was ended by an error before.</summary>
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901,

    /// <summary>The stream is not capturing.</summary>
    CUDA_ERROR_STREAM_CAPTURE_UNMATCHED = 903,

    /// <summary>Any other error.</summary>
    CUDA_ERROR_UNKNOWN = 999,
}

/// <summary>An error of a device. <see cref="Exception.Message"/> starts with the driver's name for it.</summary>
public sealed class GpuException : Exception
{
    /// <summary>Makes the error; <paramref name="detail"/> says what was wrong, where, and what to do.</summary>
    public GpuException(CudaResult result, string detail, Exception? innerException = null)
        : base($"{result}: {detail}", innerException)
    {
        Result = result;
        Detail = detail;
    }

    /// <summary>The driver's code.</summary>
    public CudaResult Result { get; }

    /// <summary>The message without the driver's name.</summary>
    public string Detail { get; }
}
