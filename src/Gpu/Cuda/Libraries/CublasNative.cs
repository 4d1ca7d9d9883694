// The functions of cublas_api.h and cublasLt.h that products need. Their types have been the same since CUDA 11.
using System.Runtime.InteropServices;

namespace FashionFlow.Gpu.Cuda.Libraries;

/// <summary>cublasStatus_t.</summary>
internal enum CublasStatus
{
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_ALLOC_FAILED = 3,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_ARCH_MISMATCH = 8,
    CUBLAS_STATUS_MAPPING_ERROR = 11,
    CUBLAS_STATUS_EXECUTION_FAILED = 13,
    CUBLAS_STATUS_INTERNAL_ERROR = 14,
    CUBLAS_STATUS_NOT_SUPPORTED = 15,
    CUBLAS_STATUS_LICENSE_ERROR = 16,
}

/// <summary>cublasOperation_t.</summary>
internal enum CublasOperation
{
    None = 0,
    Transpose = 1,
}

/// <summary>cudaDataType_t.</summary>
internal enum CudaDataType
{
    Float32 = 0,
    Float64 = 1,
    Float16 = 2,
    BFloat16 = 14,
}

/// <summary>cublasComputeType_t.</summary>
internal enum CublasComputeType
{
    Float32 = 68,
    Float32FastTf32 = 77,
    Float64 = 70,
}

/// <summary>cublasMath_t.</summary>
internal enum CublasMath
{
    /// <summary>Full precision of the compute type; the compute type alone asks for TF32.</summary>
    Default = 0,

    /// <summary>CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION: partial sums of half-precision products stay in float.</summary>
    DisallowReducedPrecisionReduction = 16,
}

/// <summary>libraryPropertyType.</summary>
internal enum LibraryProperty
{
    Major = 0,
    Minor = 1,
    Patch = 2,
}

/// <summary>cublasGemmAlgo_t: the only one that is not deprecated on current devices.</summary>
internal enum CublasGemmAlgorithm
{
    Default = -1,
}

/// <summary>cublasLtMatmulDescAttributes_t.</summary>
internal enum MatmulAttribute
{
    TransposeA = 3,
    TransposeB = 4,
    Epilogue = 7,
    BiasPointer = 8,
}

/// <summary>cublasLtMatrixLayoutAttribute_t.</summary>
internal enum LayoutAttribute
{
    BatchCount = 5,
    StridedBatchOffset = 6,
}

/// <summary>cublasLtMatmulPreferenceAttributes_t.</summary>
internal enum PreferenceAttribute
{
    MaxWorkspaceBytes = 1,
    MinAlignmentA = 5,
    MinAlignmentB = 6,
    MinAlignmentC = 7,
    MinAlignmentD = 8,
}

/// <summary>cublasLtEpilogue_t, as far as its formulas are ours.</summary>
internal enum LtEpilogue
{
    None = 1,
    Bias = 4,
}

/// <summary>cublasLtMatmulHeuristicResult_t: an algorithm (cublasLtMatmulAlgo_t, opaque) and what it needs.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MatmulHeuristic
{
    public fixed ulong Algorithm[8];
    public nuint WorkspaceBytes;
    public CublasStatus State;
    public float Waves;
    public fixed int Reserved[4];
}

/// <summary>cuBLAS and cuBLASLt.</summary>
internal static unsafe partial class CublasNative
{
    private const string Blas = NativeLibraries.CublasName;
    private const string Lt = NativeLibraries.CublasLtName;

    [LibraryImport(Blas)]
    public static partial CublasStatus cublasGetProperty(LibraryProperty property, int* value);

    [LibraryImport(Blas)]
    public static partial nint cublasGetStatusName(CublasStatus status);

    [LibraryImport(Blas)]
    public static partial nint cublasGetStatusString(CublasStatus status);

    [LibraryImport(Blas)]
    public static partial CublasStatus cublasCreate_v2(nint* handle);

    [LibraryImport(Blas)]
    public static partial CublasStatus cublasDestroy_v2(nint handle);

    [LibraryImport(Blas)]
    public static partial CublasStatus cublasSetStream_v2(CublasHandle handle, CudaStreamHandle stream);

    [LibraryImport(Blas)]
    public static partial CublasStatus cublasSetWorkspace_v2(CublasHandle handle, ulong workspace, nuint bytes);

    [LibraryImport(Blas)]
    public static partial CublasStatus cublasSetMathMode(CublasHandle handle, CublasMath mode);

    [LibraryImport(Blas)]
    public static partial CublasStatus cublasGemmStridedBatchedEx(
        CublasHandle handle,
        CublasOperation transposeA,
        CublasOperation transposeB,
        int m,
        int n,
        int k,
        void* alpha,
        ulong a,
        CudaDataType typeA,
        int leadingDimensionA,
        long strideA,
        ulong b,
        CudaDataType typeB,
        int leadingDimensionB,
        long strideB,
        void* beta,
        ulong c,
        CudaDataType typeC,
        int leadingDimensionC,
        long strideC,
        int batchCount,
        CublasComputeType computeType,
        CublasGemmAlgorithm algorithm);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtCreate(nint* handle);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtDestroy(nint handle);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatmulDescCreate(nint* description, CublasComputeType computeType, CudaDataType scaleType);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatmulDescDestroy(nint description);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatmulDescSetAttribute(MatmulHandle description, MatmulAttribute attribute, void* value, nuint bytes);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatrixLayoutCreate(nint* layout, CudaDataType type, ulong rows, ulong columns, long leadingDimension);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatrixLayoutDestroy(nint layout);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatrixLayoutSetAttribute(LayoutHandle layout, LayoutAttribute attribute, void* value, nuint bytes);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatmulPreferenceCreate(nint* preference);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatmulPreferenceDestroy(nint preference);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatmulPreferenceSetAttribute(PreferenceHandle preference, PreferenceAttribute attribute, void* value, nuint bytes);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatmulAlgoGetHeuristic(
        CublasLtHandle handle,
        MatmulHandle description,
        LayoutHandle a,
        LayoutHandle b,
        LayoutHandle c,
        LayoutHandle d,
        PreferenceHandle preference,
        int requested,
        MatmulHeuristic* results,
        int* returned);

    [LibraryImport(Lt)]
    public static partial CublasStatus cublasLtMatmul(
        CublasLtHandle handle,
        MatmulHandle description,
        void* alpha,
        ulong a,
        LayoutHandle layoutA,
        ulong b,
        LayoutHandle layoutB,
        void* beta,
        ulong c,
        LayoutHandle layoutC,
        ulong d,
        LayoutHandle layoutD,
        void* algorithm,
        ulong workspace,
        nuint workspaceBytes,
        CudaStreamHandle stream);
}
