// cuBLAS behind the library seam. It is column-major: a row-major matrix is its transpose there, so that C = A B becomes
// C^T = B^T A^T with the operands as they lie and exchanged.
namespace FashionFlow.Gpu.Cuda.Libraries;

/// <summary>
/// Matrix products by cuBLAS, in float, double and half types with sums in float. A bias is added on the way by cuBLASLt where that
/// is there and has an algorithm; otherwise, and for activations, one pass of our own follows: cuBLASLt's GELU is the tanh
/// approximation (see PyTorch's pull request 104061), ours is exact. The same call gives the same bits in each run: cuBLAS uses no
/// atomics unless it is told that it may.
/// </summary>
internal sealed unsafe class CublasBlas : IBlas, IDisposable
{
    // The sizes that the documentation of cublasSetWorkspace recommends.
    private const long WorkspaceBytesOfHopper = 32L << 20;
    private const long WorkspaceBytesBefore = 4L << 20;

    // A model has some tens of shapes; whoever meets more has them looked up again.
    private const int MaxPlans = 1024;

    // What heuristics are asked about: more alignment than this changes no choice.
    private const int MaxAlignment = 256;

    private readonly CudaDevice _device;
    private readonly CublasHandle _handle;
    private readonly CublasLtHandle? _lt;
    private readonly Dictionary<PlanKey, BiasPlan?> _plans = [];
    private readonly Lock _gate = new();

    private CublasBlas(CudaDevice device, CublasHandle handle, CublasLtHandle? lt)
    {
        (_device, _handle, _lt) = (device, handle, lt);
        Name = $"cuBLAS {CudaLibraries.Cublas.Version}{(lt is null ? " without cuBLASLt" : "")}";
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The library on a device.</summary>
    /// <param name="device">The device, its context current.</param>
    /// <param name="context">Its context.</param>
    /// <exception cref="GpuException">cuBLAS does not start.</exception>
    public static CublasBlas Create(CudaDevice device, CudaContextHandle context)
    {
        nint value;
        CudaLibraries.Check(CublasNative.cublasCreate_v2(&value), "starting cuBLAS");
        var handle = new CublasHandle(context, value);
        CublasLtHandle? lt = null;
        try
        {
            CudaLibraries.Check(
                CublasNative.cublasSetMathMode(handle, CublasMath.DisallowReducedPrecisionReduction), "keeping cuBLAS's partial sums in float");
            if (CudaLibraries.CublasLt.Problem is null)
            {
                CudaLibraries.Check(CublasNative.cublasLtCreate(&value), "starting cuBLASLt");
                lt = new CublasLtHandle(context, value);
            }

            return new CublasBlas(device, handle, lt);
        }
        catch
        {
            lt?.Dispose();
            handle.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    /// <remarks>A half type's result is rounded once: not where bias or activation would be a second pass over what is rounded already.</remarks>
    public bool Supports(in GemmDescription description)
        => !description.ElementType.IsHalf() || (description.Epilogue == Epilogue.None && _lt is not null);

    /// <inheritdoc/>
    public long WorkspaceBytes(in GemmDescription description)
        => description.M == 0 || description.N == 0 || description.BatchCount == 0 ? 0
            : _device.Properties.ComputeCapability.Major >= 9 ? WorkspaceBytesOfHopper : WorkspaceBytesBefore;

    /// <inheritdoc/>
    /// <exception cref="GpuException">CUDA_ERROR_INVALID_VALUE: negative sizes, strides too small or beyond 2^31 - 1.
    /// CUDA_ERROR_NOT_SUPPORTED: element types that cuBLAS or our last pass does not compute with.</exception>
    public void Gemm(
        GpuStream stream,
        in GemmDescription description,
        DevicePointer<byte> a,
        DevicePointer<byte> b,
        DevicePointer<byte> bias,
        DevicePointer<byte> c,
        Workspace workspace)
    {
        var d = description;
        Check(d);
        if (d.M == 0 || d.N == 0 || d.BatchCount == 0)
        {
            return;
        }

        var fused = !bias.IsNull && d.K > 0 && TryGemmWithBias(stream, d, a, b, bias, c, workspace);
        if (!fused)
        {
            Gemm(stream, d, a, b, c, workspace);
        }

        RowFinish.Queue(
            stream, d.ElementType, c, fused ? default : bias, default, d.M, d.N, d.LeadingDimensionC, d.BatchCount, d.BatchStrideC, d.Epilogue);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var plan in _plans.Values)
        {
            plan?.Dispose();
        }

        _plans.Clear();
        _lt?.Dispose();
        _handle.Dispose();
    }

    private static void Check(in GemmDescription d)
    {
        if (d.M < 0 || d.N < 0 || d.K < 0 || d.BatchCount < 0 || d.BatchStrideA < 0 || d.BatchStrideB < 0 || d.BatchStrideC < 0)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE, $"Gemm: M {d.M}, N {d.N}, K {d.K}, batch {d.BatchCount} and strides must not be negative");
        }

        CheckStride("A", d.LeadingDimensionA, d.TransposeA ? d.M : d.K);
        CheckStride("B", d.LeadingDimensionB, d.TransposeB ? d.K : d.N);
        CheckStride("C", d.LeadingDimensionC, d.N);
    }

    private static void CheckStride(string what, long stride, int columns)
    {
        if (stride < columns || stride > int.MaxValue)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE,
                $"Gemm: the leading dimension of {what} is {stride}, and must be from its row of {columns} to {int.MaxValue}");
        }
    }

    private static (CudaDataType Element, CublasComputeType Compute, CudaDataType Scale) Types(DType element, DType accumulation, bool allowTf32)
        => (element, accumulation) switch
        {
            (DType.Float64, DType.Float64) => (CudaDataType.Float64, CublasComputeType.Float64, CudaDataType.Float64),
            (DType.Float32, DType.Float32) => (CudaDataType.Float32, allowTf32 ? CublasComputeType.Float32FastTf32 : CublasComputeType.Float32, CudaDataType.Float32),
            (DType.Float16, DType.Float32) => (CudaDataType.Float16, CublasComputeType.Float32, CudaDataType.Float32),
            (DType.BFloat16, DType.Float32) => (CudaDataType.BFloat16, CublasComputeType.Float32, CudaDataType.Float32),
            _ => throw new GpuException(CudaResult.CUDA_ERROR_NOT_SUPPORTED, $"Gemm: products of {element} with sums in {accumulation}"),
        };

    // The largest power of two, up to MaxAlignment, that an address is a multiple of.
    private static int AlignmentOf(DevicePointer<byte> pointer)
        => (int)Math.Min(MaxAlignment, pointer.Address & (~pointer.Address + 1));

    private void Gemm(GpuStream stream, in GemmDescription d, DevicePointer<byte> a, DevicePointer<byte> b, DevicePointer<byte> c, Workspace workspace)
    {
        var (element, compute, scale) = Types(d.ElementType, d.AccumulationType, d.AllowTf32);
        // The factors are of the scale type, in host memory, and read before the call returns.
        var (alpha64, beta64, alpha32, beta32) = (d.Alpha, d.Beta, (float)d.Alpha, (float)d.Beta);
        var isDouble = scale == CudaDataType.Float64;
        lock (_gate)
        {
            _device.MakeCurrent();
            // Setting a stream takes the workspace away again, so that they go together and in this order.
            CudaLibraries.Check(CublasNative.cublasSetStream_v2(_handle, _device.HandleOf(stream)), "giving cuBLAS a stream");
            CudaLibraries.Check(
                CublasNative.cublasSetWorkspace_v2(_handle, workspace.Pointer.Address, (nuint)workspace.Bytes), "giving cuBLAS its workspace");
            CudaLibraries.Check(
                CublasNative.cublasGemmStridedBatchedEx(
                    _handle,
                    d.TransposeB ? CublasOperation.Transpose : CublasOperation.None,
                    d.TransposeA ? CublasOperation.Transpose : CublasOperation.None,
                    d.N,
                    d.M,
                    d.K,
                    isDouble ? &alpha64 : &alpha32,
                    b.Address,
                    element,
                    (int)Math.Max(1, d.LeadingDimensionB),
                    d.BatchStrideB,
                    a.Address,
                    element,
                    (int)Math.Max(1, d.LeadingDimensionA),
                    d.BatchStrideA,
                    isDouble ? &beta64 : &beta32,
                    c.Address,
                    element,
                    (int)d.LeadingDimensionC,
                    d.BatchStrideC,
                    d.BatchCount,
                    compute,
                    CublasGemmAlgorithm.Default),
                $"a product [{d.M}, {d.K}] x [{d.K}, {d.N}] of {d.ElementType}, {d.BatchCount} times,");
        }
    }

    /// <summary>The product with its bias; false where cuBLASLt is not there or has no algorithm for it.</summary>
    private bool TryGemmWithBias(
        GpuStream stream,
        in GemmDescription d,
        DevicePointer<byte> a,
        DevicePointer<byte> b,
        DevicePointer<byte> bias,
        DevicePointer<byte> c,
        Workspace workspace)
    {
        // In double cuBLASLt adds no bias.
        if (_lt is null || d.ElementType == DType.Float64)
        {
            return false;
        }

        var (alpha, beta) = ((float)d.Alpha, (float)d.Beta);
        lock (_gate)
        {
            _device.MakeCurrent();
            var key = new PlanKey(d with { Alpha = 0, Beta = d.Beta == 0 ? 0 : 1, Epilogue = Epilogue.None }, AlignmentOf(a), AlignmentOf(b), AlignmentOf(c), workspace.Bytes);
            if (!_plans.TryGetValue(key, out var plan))
            {
                if (_plans.Count == MaxPlans)
                {
                    foreach (var old in _plans.Values)
                    {
                        old?.Dispose();
                    }

                    _plans.Clear();
                }

                plan = BiasPlan.TryMake(_lt, key);
                _plans.Add(key, plan);
            }

            if (plan is null)
            {
                return false;
            }

            plan.SetBias(bias);
            fixed (ulong* algorithm = plan.Algorithm)
            {
                CudaLibraries.Check(
                    CublasNative.cublasLtMatmul(
                        _lt, plan.Description, &alpha, b.Address, plan.LayoutB, a.Address, plan.LayoutA, &beta, c.Address, plan.LayoutC,
                        c.Address, plan.LayoutC, algorithm, workspace.Pointer.Address, (nuint)workspace.Bytes, _device.HandleOf(stream)),
                    $"a product [{d.M}, {d.K}] x [{d.K}, {d.N}] of {d.ElementType} with bias");
            }

            return true;
        }
    }

    /// <summary>All that the choice of an algorithm depends on.</summary>
    private readonly record struct PlanKey(GemmDescription Description, int AlignmentA, int AlignmentB, int AlignmentC, long WorkspaceBytes);

    /// <summary>The descriptors of a product with bias, and the algorithm that the library's heuristics put first.</summary>
    private sealed class BiasPlan : IDisposable
    {
        private BiasPlan(in GemmDescription d)
        {
            var (element, compute, scale) = Types(d.ElementType, d.AccumulationType, d.AllowTf32);
            nint value;
            CudaLibraries.Check(CublasNative.cublasLtMatmulDescCreate(&value, compute, scale), "describing a product");
            Description = new MatmulHandle(value);
            Set(MatmulAttribute.TransposeA, d.TransposeB ? CublasOperation.Transpose : CublasOperation.None);
            Set(MatmulAttribute.TransposeB, d.TransposeA ? CublasOperation.Transpose : CublasOperation.None);
            Set(MatmulAttribute.Epilogue, LtEpilogue.Bias);
            LayoutB = Layout(element, d.TransposeB ? (d.K, d.N) : (d.N, d.K), d.LeadingDimensionB, d.BatchCount, d.BatchStrideB);
            LayoutA = Layout(element, d.TransposeA ? (d.M, d.K) : (d.K, d.M), d.LeadingDimensionA, d.BatchCount, d.BatchStrideA);
            LayoutC = Layout(element, (d.N, d.M), d.LeadingDimensionC, d.BatchCount, d.BatchStrideC);
        }

        public MatmulHandle Description { get; }

        public LayoutHandle LayoutA { get; }

        public LayoutHandle LayoutB { get; }

        public LayoutHandle LayoutC { get; }

        /// <summary>cublasLtMatmulAlgo_t.</summary>
        public ulong[] Algorithm { get; } = new ulong[8];

        public static BiasPlan? TryMake(CublasLtHandle lt, in PlanKey key)
        {
            var plan = new BiasPlan(key.Description);
            if (plan.FindAlgorithm(lt, key))
            {
                return plan;
            }

            plan.Dispose();
            return null;
        }

        public void SetBias(DevicePointer<byte> bias) => Set(MatmulAttribute.BiasPointer, bias.Address);

        public void Dispose()
        {
            Description.Dispose();
            LayoutA.Dispose();
            LayoutB.Dispose();
            LayoutC.Dispose();
        }

        // Column-major rows and columns of a matrix as it is stored.
        private static LayoutHandle Layout(CudaDataType type, (int Rows, int Columns) size, long leadingDimension, int batch, long stride)
        {
            nint value;
            CudaLibraries.Check(
                CublasNative.cublasLtMatrixLayoutCreate(&value, type, (ulong)size.Rows, (ulong)size.Columns, leadingDimension), "describing a matrix");
            var layout = new LayoutHandle(value);
            if (batch > 1)
            {
                CudaLibraries.Check(CublasNative.cublasLtMatrixLayoutSetAttribute(layout, LayoutAttribute.BatchCount, &batch, sizeof(int)), "setting a batch");
                CudaLibraries.Check(CublasNative.cublasLtMatrixLayoutSetAttribute(layout, LayoutAttribute.StridedBatchOffset, &stride, sizeof(long)), "setting a batch's stride");
            }

            return layout;
        }

        private bool FindAlgorithm(CublasLtHandle lt, in PlanKey key)
        {
            nint value;
            CudaLibraries.Check(CublasNative.cublasLtMatmulPreferenceCreate(&value), "describing what is preferred");
            using var preference = new PreferenceHandle(value);
            Prefer(PreferenceAttribute.MaxWorkspaceBytes, (ulong)key.WorkspaceBytes);
            // Without these the heuristics take every operand to lie on 256 bytes. The library's A is our B.
            Prefer(PreferenceAttribute.MinAlignmentA, (uint)key.AlignmentB);
            Prefer(PreferenceAttribute.MinAlignmentB, (uint)key.AlignmentA);
            Prefer(PreferenceAttribute.MinAlignmentC, (uint)key.AlignmentC);
            Prefer(PreferenceAttribute.MinAlignmentD, (uint)key.AlignmentC);
            MatmulHeuristic found;
            int count;
            var status = CublasNative.cublasLtMatmulAlgoGetHeuristic(
                lt, Description, LayoutB, LayoutA, LayoutC, LayoutC, preference, 1, &found, &count);
            if (status == CublasStatus.CUBLAS_STATUS_NOT_SUPPORTED || (status == CublasStatus.CUBLAS_STATUS_SUCCESS && count == 0))
            {
                return false;
            }

            CudaLibraries.Check(status, "looking for an algorithm");
            new ReadOnlySpan<ulong>(found.Algorithm, Algorithm.Length).CopyTo(Algorithm);
            return found.State == CublasStatus.CUBLAS_STATUS_SUCCESS;

            void Prefer<T>(PreferenceAttribute attribute, T wanted)
                where T : unmanaged
                => CudaLibraries.Check(CublasNative.cublasLtMatmulPreferenceSetAttribute(preference, attribute, &wanted, (nuint)sizeof(T)), $"preferring {attribute}");
        }

        private void Set<T>(MatmulAttribute attribute, T value)
            where T : unmanaged
            => CudaLibraries.Check(CublasNative.cublasLtMatmulDescSetAttribute(Description, attribute, &value, (nuint)sizeof(T)), $"setting {attribute}");
    }
}
