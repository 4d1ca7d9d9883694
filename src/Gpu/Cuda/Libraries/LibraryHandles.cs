// Owners of the libraries' objects, one type for each kind of native handle. Those that hold device memory belong to a context,
// which they keep alive; descriptors are host memory alone.
using System.Runtime.InteropServices;

namespace FashionFlow.Gpu.Cuda.Libraries;

/// <summary>A cublasHandle_t.</summary>
internal sealed class CublasHandle : CudaObjectHandle
{
    public CublasHandle(CudaContextHandle context, nint value)
        : base(context) => Own(value);

    protected override bool Destroy() => CublasNative.cublasDestroy_v2(handle) == CublasStatus.CUBLAS_STATUS_SUCCESS;
}

/// <summary>A cublasLtHandle_t.</summary>
internal sealed class CublasLtHandle : CudaObjectHandle
{
    public CublasLtHandle(CudaContextHandle context, nint value)
        : base(context) => Own(value);

    protected override bool Destroy() => CublasNative.cublasLtDestroy(handle) == CublasStatus.CUBLAS_STATUS_SUCCESS;
}

/// <summary>A cudnnHandle_t.</summary>
internal sealed class CudnnHandle : CudaObjectHandle
{
    public CudnnHandle(CudaContextHandle context, nint value)
        : base(context) => Own(value);

    protected override bool Destroy() => CudnnNative.cudnnDestroy(handle) == 0;
}

/// <summary>A descriptor: an object in host memory that describes operands.</summary>
internal abstract class DescriptorHandle : SafeHandle
{
    protected DescriptorHandle(nint value)
        : base(0, ownsHandle: true) => SetHandle(value);

    public override bool IsInvalid => handle == 0;
}

/// <summary>A cublasLtMatmulDesc_t.</summary>
internal sealed class MatmulHandle(nint value) : DescriptorHandle(value)
{
    protected override bool ReleaseHandle() => CublasNative.cublasLtMatmulDescDestroy(handle) == CublasStatus.CUBLAS_STATUS_SUCCESS;
}

/// <summary>A cublasLtMatrixLayout_t.</summary>
internal sealed class LayoutHandle(nint value) : DescriptorHandle(value)
{
    protected override bool ReleaseHandle() => CublasNative.cublasLtMatrixLayoutDestroy(handle) == CublasStatus.CUBLAS_STATUS_SUCCESS;
}

/// <summary>A cublasLtMatmulPreference_t.</summary>
internal sealed class PreferenceHandle(nint value) : DescriptorHandle(value)
{
    protected override bool ReleaseHandle() => CublasNative.cublasLtMatmulPreferenceDestroy(handle) == CublasStatus.CUBLAS_STATUS_SUCCESS;
}

/// <summary>A cudnnTensorDescriptor_t.</summary>
internal sealed class TensorHandle(nint value) : DescriptorHandle(value)
{
    protected override bool ReleaseHandle() => CudnnNative.cudnnDestroyTensorDescriptor(handle) == 0;
}

/// <summary>A cudnnFilterDescriptor_t.</summary>
internal sealed class FilterHandle(nint value) : DescriptorHandle(value)
{
    protected override bool ReleaseHandle() => CudnnNative.cudnnDestroyFilterDescriptor(handle) == 0;
}

/// <summary>A cudnnConvolutionDescriptor_t.</summary>
internal sealed class ConvolutionHandle(nint value) : DescriptorHandle(value)
{
    protected override bool ReleaseHandle() => CudnnNative.cudnnDestroyConvolutionDescriptor(handle) == 0;
}
