// The functions of cudnn.h that convolutions need: the descriptor interface, which versions 8 and 9 share.
using System.Runtime.InteropServices;

namespace FashionFlow.Gpu.Cuda.Libraries;

/// <summary>cudnnDataType_t.</summary>
internal enum CudnnDataType
{
    Float32 = 0,
    Float64 = 1,
    Float16 = 2,
    BFloat16 = 9,
}

/// <summary>cudnnTensorFormat_t.</summary>
internal enum CudnnTensorFormat
{
    ChannelsFirst = 0,
    ChannelsLast = 1,
}

/// <summary>cudnnConvolutionMode_t.</summary>
internal enum CudnnConvolutionMode
{
    Convolution = 0,
    CrossCorrelation = 1,
}

/// <summary>cudnnMathType_t.</summary>
internal enum CudnnMathType
{
    /// <summary>Tensor cores where the operands' type has them; for float that would be TF32 from sm_80 on.</summary>
    Default = 0,

    /// <summary>Tensor cores, TF32 for float.</summary>
    TensorOp = 1,

    /// <summary>Fused multiply-adds of the operands' own type alone.</summary>
    Fma = 3,
}

/// <summary>
/// cudnnConvolutionFwdAlgoPerf_t, and the same for the two backward passes: an algorithm, whether it can be used, and what it needs.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CudnnAlgorithm
{
    public int Algorithm;
    public int Status;
    public float Milliseconds;
    public nuint WorkspaceBytes;
    public int IsDeterministic;
    public CudnnMathType MathType;
    public fixed int Reserved[3];
}

/// <summary>cuDNN. Functions return a cudnnStatus_t, whose numbers differ between versions: 0 is success in all.</summary>
internal static unsafe partial class CudnnNative
{
    private const string Library = NativeLibraries.CudnnName;

    [LibraryImport(Library)]
    public static partial nuint cudnnGetVersion();

    [LibraryImport(Library)]
    public static partial nint cudnnGetErrorString(int status);

    [LibraryImport(Library)]
    public static partial int cudnnCreate(nint* handle);

    [LibraryImport(Library)]
    public static partial int cudnnDestroy(nint handle);

    [LibraryImport(Library)]
    public static partial int cudnnSetStream(CudnnHandle handle, CudaStreamHandle stream);

    [LibraryImport(Library)]
    public static partial int cudnnCreateTensorDescriptor(nint* descriptor);

    [LibraryImport(Library)]
    public static partial int cudnnDestroyTensorDescriptor(nint descriptor);

    /// <summary>The lengths are in the order N, C, H, W whatever the format.</summary>
    [LibraryImport(Library)]
    public static partial int cudnnSetTensorNdDescriptorEx(TensorHandle descriptor, CudnnTensorFormat format, CudnnDataType type, int rank, int* lengths);

    [LibraryImport(Library)]
    public static partial int cudnnCreateFilterDescriptor(nint* descriptor);

    [LibraryImport(Library)]
    public static partial int cudnnDestroyFilterDescriptor(nint descriptor);

    /// <summary>The lengths are in the order K, C, R, S whatever the format.</summary>
    [LibraryImport(Library)]
    public static partial int cudnnSetFilterNdDescriptor(FilterHandle descriptor, CudnnDataType type, CudnnTensorFormat format, int rank, int* lengths);

    [LibraryImport(Library)]
    public static partial int cudnnCreateConvolutionDescriptor(nint* descriptor);

    [LibraryImport(Library)]
    public static partial int cudnnDestroyConvolutionDescriptor(nint descriptor);

    [LibraryImport(Library)]
    public static partial int cudnnSetConvolutionNdDescriptor(
        ConvolutionHandle descriptor, int rank, int* padding, int* strides, int* dilations, CudnnConvolutionMode mode, CudnnDataType computeType);

    [LibraryImport(Library)]
    public static partial int cudnnSetConvolutionMathType(ConvolutionHandle descriptor, CudnnMathType math);

    [LibraryImport(Library)]
    public static partial int cudnnGetConvolutionForwardAlgorithm_v7(
        CudnnHandle handle, TensorHandle x, FilterHandle w, ConvolutionHandle convolution, TensorHandle y, int requested, int* returned, CudnnAlgorithm* results);

    [LibraryImport(Library)]
    public static partial int cudnnGetConvolutionBackwardDataAlgorithm_v7(
        CudnnHandle handle, FilterHandle w, TensorHandle dy, ConvolutionHandle convolution, TensorHandle dx, int requested, int* returned, CudnnAlgorithm* results);

    [LibraryImport(Library)]
    public static partial int cudnnGetConvolutionBackwardFilterAlgorithm_v7(
        CudnnHandle handle, TensorHandle x, TensorHandle dy, ConvolutionHandle convolution, FilterHandle dw, int requested, int* returned, CudnnAlgorithm* results);

    [LibraryImport(Library)]
    public static partial int cudnnConvolutionForward(
        CudnnHandle handle,
        void* alpha,
        TensorHandle layoutX,
        ulong x,
        FilterHandle layoutW,
        ulong w,
        ConvolutionHandle convolution,
        int algorithm,
        ulong workspace,
        nuint workspaceBytes,
        void* beta,
        TensorHandle layoutY,
        ulong y);

    [LibraryImport(Library)]
    public static partial int cudnnConvolutionBackwardData(
        CudnnHandle handle,
        void* alpha,
        FilterHandle layoutW,
        ulong w,
        TensorHandle layoutDy,
        ulong dy,
        ConvolutionHandle convolution,
        int algorithm,
        ulong workspace,
        nuint workspaceBytes,
        void* beta,
        TensorHandle layoutDx,
        ulong dx);

    [LibraryImport(Library)]
    public static partial int cudnnConvolutionBackwardFilter(
        CudnnHandle handle,
        void* alpha,
        TensorHandle layoutX,
        ulong x,
        TensorHandle layoutDy,
        ulong dy,
        ConvolutionHandle convolution,
        int algorithm,
        ulong workspace,
        nuint workspaceBytes,
        void* beta,
        FilterHandle layoutDw,
        ulong dw);
}
