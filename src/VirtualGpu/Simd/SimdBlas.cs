// The virtual device's cuBLAS: batched matrix products on the host's vector units.
using System.Runtime.Intrinsics;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>
/// Matrix products in float and double, and in half types by way of float (<see cref="HalfOperands"/>). Results depend on the
/// operands alone: not on the host's vector width, threads, or how the work is cut, and a row of C not on how many other rows there
/// are. A sum over k is one chain of fused multiply-adds a block of 384, the blocks' sums added in order; then alpha, bias, beta and
/// the epilogue.
/// </summary>
internal sealed class SimdBlas(SimdLibrary library) : IBlas
{
    /// <inheritdoc/>
    public string Name => $"FashionFlow SIMD BLAS ({library.WidthName})";

    /// <inheritdoc/>
    public bool Supports(in GemmDescription description) => true;

    /// <inheritdoc/>
    /// <remarks>Scratch memory is the host's own.</remarks>
    public long WorkspaceBytes(in GemmDescription description) => 0;

    /// <inheritdoc/>
    /// <exception cref="GpuException">CUDA_ERROR_NOT_SUPPORTED: element types that are no floating-point numbers.
    /// CUDA_ERROR_INVALID_VALUE: negative sizes, strides too small, an operand not inside one allocation.</exception>
    public unsafe void Gemm(
        GpuStream stream,
        in GemmDescription description,
        DevicePointer<byte> a,
        DevicePointer<byte> b,
        DevicePointer<byte> bias,
        DevicePointer<byte> c,
        Workspace workspace)
    {
        var d = description;
        lock (library.Device.ExecutionLock)
        {
            library.Device.Enter(stream);
            Check(d, a, b, bias, c);
            if (library.Device.Note(stream, again => Gemm(again, d, a, b, bias, c, workspace)))
            {
                return;
            }

            if (d.ElementType.IsHalf())
            {
                GemmOfHalves(d, a, b, bias, c);
            }
            else if (d.ElementType == DType.Float32)
            {
                GemmOfFloats(d, a, b, bias, c);
            }
            else if (library.Width == VectorWidth.Bits512)
            {
                Run<Simd512<double>, Vector512<double>, double>(d, a, b, bias, c);
            }
            else
            {
                Run<Simd256<double>, Vector256<double>, double>(d, a, b, bias, c);
            }
        }
    }

    // Elements from the first to the last of a batch of matrices.
    private static Int128 Extent(int rows, int columns, long leadingDimension, int batch, long batchStride)
        => rows == 0 || columns == 0 || batch == 0
            ? 0
            : ((Int128)(batch - 1) * batchStride) + ((Int128)(rows - 1) * leadingDimension) + columns;

    private static void CheckStride(string what, long stride, int columns)
    {
        if (stride < columns)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE, $"Gemm: the leading dimension of {what} is {stride}, less than its row of {columns}");
        }
    }

    private void Check(in GemmDescription d, DevicePointer<byte> a, DevicePointer<byte> b, DevicePointer<byte> bias, DevicePointer<byte> c)
    {
        SimdLibrary.CheckTypes("Gemm", d.ElementType, d.AccumulationType);
        if (d.M < 0 || d.N < 0 || d.K < 0 || d.BatchCount < 0 || d.BatchStrideA < 0 || d.BatchStrideB < 0 || d.BatchStrideC < 0)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE, $"Gemm: M {d.M}, N {d.N}, K {d.K}, batch {d.BatchCount} and strides must not be negative");
        }

        var (rowsA, columnsA) = d.TransposeA ? (d.K, d.M) : (d.M, d.K);
        var (rowsB, columnsB) = d.TransposeB ? (d.N, d.K) : (d.K, d.N);
        CheckStride("A", d.LeadingDimensionA, columnsA);
        CheckStride("B", d.LeadingDimensionB, columnsB);
        CheckStride("C", d.LeadingDimensionC, d.N);
        var extentC = Extent(d.M, d.N, d.LeadingDimensionC, d.BatchCount, d.BatchStrideC);
        if (d.BatchCount > 1 && extentC > 0 && d.BatchStrideC == 0)
        {
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, "Gemm: the products of a batch cannot all write one C (BatchStrideC is 0)");
        }

        if (extentC == 0)
        {
            return;
        }

        var size = d.ElementType.SizeInBytes();
        library.CheckOperand("Gemm", "A", a, Extent(rowsA, columnsA, d.LeadingDimensionA, d.BatchCount, d.BatchStrideA), size);
        library.CheckOperand("Gemm", "B", b, Extent(rowsB, columnsB, d.LeadingDimensionB, d.BatchCount, d.BatchStrideB), size);
        library.CheckOperand("Gemm", "C", c, extentC, size);
        if (!bias.IsNull)
        {
            library.CheckOperand("Gemm", "bias", bias, d.N, size);
        }
    }

    private void GemmOfFloats(
        in GemmDescription d, DevicePointer<byte> a, DevicePointer<byte> b, DevicePointer<byte> bias, DevicePointer<byte> c)
    {
        if (library.Width == VectorWidth.Bits512)
        {
            Run<Simd512<float>, Vector512<float>, float>(d, a, b, bias, c);
        }
        else
        {
            Run<Simd256<float>, Vector256<float>, float>(d, a, b, bias, c);
        }
    }

    // The product of the same numbers as floats, rounded. What lies between the rows of A and B is widened with them; between those
    // of C nothing may be touched, so C's stand without gaps.
    private void GemmOfHalves(
        in GemmDescription d, DevicePointer<byte> a, DevicePointer<byte> b, DevicePointer<byte> bias, DevicePointer<byte> c)
    {
        var elementsC = (long)d.M * d.N;
        if (elementsC * d.BatchCount == 0)
        {
            return;
        }

        var (rowsA, columnsA) = d.TransposeA ? (d.K, d.M) : (d.M, d.K);
        var (rowsB, columnsB) = d.TransposeB ? (d.N, d.K) : (d.K, d.N);
        var elementsA = (long)Extent(rowsA, columnsA, d.LeadingDimensionA, d.BatchCount, d.BatchStrideA);
        var elementsB = (long)Extent(rowsB, columnsB, d.LeadingDimensionB, d.BatchCount, d.BatchStrideB);
        var operands = new HalfOperands(library, d.ElementType, elementsA, elementsB, d.N, elementsC * d.BatchCount);
        var floatsA = operands.Widen(a, elementsA);
        var floatsB = operands.Widen(b, elementsB);
        var floatsBias = operands.Widen(bias, d.N);
        var floatsC = operands.Take(elementsC * d.BatchCount);
        for (var i = 0; d.Beta != 0 && i < d.BatchCount; i++)
        {
            operands.WidenRows(c.Offset(i * d.BatchStrideC * 2), d.LeadingDimensionC, floatsC.Offset(i * elementsC * 4), d.N, d.M, d.N);
        }

        var product = d with
        {
            ElementType = DType.Float32,
            LeadingDimensionC = d.N,
            BatchStrideC = elementsC,
        };
        GemmOfFloats(product, floatsA, floatsB, floatsBias, floatsC);
        for (var i = 0; i < d.BatchCount; i++)
        {
            operands.NarrowRows(floatsC.Offset(i * elementsC * 4), d.N, c.Offset(i * d.BatchStrideC * 2), d.LeadingDimensionC, d.M, d.N);
        }
    }

    private unsafe void Run<TSimd, TVector, T>(
        in GemmDescription d, DevicePointer<byte> a, DevicePointer<byte> b, DevicePointer<byte> bias, DevicePointer<byte> c)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
    {
        // A batch whose rows follow each other and share B is one taller product.
        var tall = d.BatchCount > 1 && d.BatchStrideB == 0 && !d.TransposeA && (long)d.M * d.BatchCount <= int.MaxValue
            && d.BatchStrideA == d.M * d.LeadingDimensionA && d.BatchStrideC == d.M * d.LeadingDimensionC;
        new Product<TSimd, TVector, T>(library.Shared)
        {
            M = tall ? d.M * d.BatchCount : d.M,
            N = d.N,
            K = d.K,
            Rows = new RowSource<T>
            {
                Kind = d.TransposeA ? RowKind.Transposed : RowKind.Stored,
                Source = (T*)a.Address,
                Stride = d.LeadingDimensionA,
            },
            B = (T*)b.Address,
            StrideB = d.LeadingDimensionB,
            TransposeB = d.TransposeB,
            C = (T*)c.Address,
            StrideC = d.LeadingDimensionC,
            Batch = tall ? 1 : d.BatchCount,
            BatchStrideA = d.BatchStrideA,
            BatchStrideB = d.BatchStrideB,
            BatchStrideC = d.BatchStrideC,
            Alpha = d.Alpha,
            Beta = d.Beta,
            Bias = (T*)bias.Address,
            Epilogue = d.Epilogue,
        }.Execute(library.Device.Workers);
    }
}
