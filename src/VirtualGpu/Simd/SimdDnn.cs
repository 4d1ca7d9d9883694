// The virtual device's cuDNN: convolutions on channels-last tensors as products whose rows are the windows themselves.
using System.Runtime.Intrinsics;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>
/// Convolutions in float and double by implicit GEMM: a row of the product is a window of x, read where it lies, k running over
/// kernel rows, kernel columns and channels as in the weights. Sums have the order that <see cref="SimdBlas"/> gives the product
/// of the im2col matrix and the weights, so that the two agree to the bit (but for infinite and NaN weights, which meet no zeros here where a tile of rows lies wholly in the padding).
/// </summary>
internal sealed class SimdDnn(SimdLibrary library) : IDnn
{
    /// <inheritdoc/>
    public string Name => $"FashionFlow SIMD DNN ({library.WidthName})";

    /// <inheritdoc/>
    /// <remarks>Scratch memory is the host's own, and no im2col matrix is made.</remarks>
    public long WorkspaceBytes(in ConvolutionDescription description) => 0;

    /// <inheritdoc/>
    /// <exception cref="GpuException">CUDA_ERROR_NOT_SUPPORTED: element types other than float and double.
    /// CUDA_ERROR_INVALID_VALUE: sizes below 1, a kernel larger than the padded input, an operand not inside one allocation.</exception>
    public void ConvolutionForward(
        GpuStream stream,
        in ConvolutionDescription description,
        DevicePointer<byte> x,
        DevicePointer<byte> w,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        DevicePointer<byte> y,
        Workspace workspace)
    {
        var d = description;
        lock (library.Device.ExecutionLock)
        {
            library.Device.Enter(stream);
            Check(d, x, w, bias, residual, y);
            if (d.ElementType == DType.Float32)
            {
                if (library.Width == VectorWidth.Bits512)
                {
                    Run<Simd512<float>, Vector512<float>, float>(d, x, w, bias, residual, y);
                }
                else
                {
                    Run<Simd256<float>, Vector256<float>, float>(d, x, w, bias, residual, y);
                }
            }
            else if (library.Width == VectorWidth.Bits512)
            {
                Run<Simd512<double>, Vector512<double>, double>(d, x, w, bias, residual, y);
            }
            else
            {
                Run<Simd256<double>, Vector256<double>, double>(d, x, w, bias, residual, y);
            }
        }
    }

    private static string Show(in ConvolutionDescription d)
        => $"x [{d.N}, {d.H}, {d.W}, {d.InChannels}], w [{d.OutChannels}, {d.KernelH}, {d.KernelW}, {d.InChannels}], strides ({d.StrideH}, {d.StrideW}), "
            + $"padding top {d.PadTop}, left {d.PadLeft}, bottom {d.PadBottom}, right {d.PadRight}";

    private void Check(
        in ConvolutionDescription d,
        DevicePointer<byte> x,
        DevicePointer<byte> w,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        DevicePointer<byte> y)
    {
        SimdLibrary.CheckTypes("ConvolutionForward", d.ElementType, d.AccumulationType);
        if (d.N < 0 || d.H < 1 || d.W < 1 || d.InChannels < 1 || d.OutChannels < 1 || d.KernelH < 1 || d.KernelW < 1
            || d.StrideH < 1 || d.StrideW < 1 || d.PadTop < 0 || d.PadLeft < 0 || d.PadBottom < 0 || d.PadRight < 0)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE, $"ConvolutionForward: sizes and strides must be at least 1 and padding at least 0: {Show(d)}");
        }

        Int128 rows = (Int128)d.N * d.OutH * d.OutW;
        if ((long)d.H + d.PadTop + d.PadBottom < d.KernelH || (long)d.W + d.PadLeft + d.PadRight < d.KernelW
            || rows > int.MaxValue || (Int128)d.KernelH * d.KernelW * d.InChannels > int.MaxValue)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE, $"ConvolutionForward: the kernel does not fit the padded input, or there are more than 2^31 windows: {Show(d)}");
        }

        if (d.N == 0)
        {
            return;
        }

        var size = d.ElementType.SizeInBytes();
        library.CheckOperand("ConvolutionForward", "x", x, (Int128)d.N * d.H * d.W * d.InChannels, size);
        library.CheckOperand("ConvolutionForward", "w", w, (Int128)d.OutChannels * d.KernelH * d.KernelW * d.InChannels, size);
        library.CheckOperand("ConvolutionForward", "y", y, rows * d.OutChannels, size);
        if (!bias.IsNull)
        {
            library.CheckOperand("ConvolutionForward", "bias", bias, d.OutChannels, size);
        }

        if (!residual.IsNull)
        {
            library.CheckOperand("ConvolutionForward", "residual", residual, rows * d.OutChannels, size);
        }
    }

    private unsafe void Run<TSimd, TVector, T>(
        in ConvolutionDescription d,
        DevicePointer<byte> x,
        DevicePointer<byte> w,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        DevicePointer<byte> y)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
    {
        var k = d.KernelH * d.KernelW * d.InChannels;
        var rows = new RowSource<T> { Source = (T*)x.Address, Stride = d.InChannels };
        if (d.KernelH != 1 || d.KernelW != 1 || d.StrideH != 1 || d.StrideW != 1 || d.PadTop + d.PadLeft + d.PadBottom + d.PadRight != 0)
        {
            rows.Windows = new WindowGeometry(
                d.N, d.H, d.W, d.InChannels, d.KernelH, d.KernelW, d.StrideH, d.StrideW, d.PadTop, d.PadLeft, d.OutH, d.OutW);

            // Tiles across pictures skip all padding; they pay where there is much of it and enough pictures to fill them.
            rows.Kind = d.InChannels >= RowSource<T>.ShortestPiece && d.N >= 4 && rows.Windows.PaddedPart > 0.05 ? RowKind.WindowPictures
                : rows.Windows.Segment >= RowSource<T>.ShortestPiece ? RowKind.WindowRows
                : RowKind.WindowGather;
        }

        using var zeros = new ScratchBuffer();
        rows.Zeros = (T*)zeros.Reserve(Math.Max(1, rows.ZeroElements) * sizeof(T));
        new Span<T>(rows.Zeros, rows.ZeroElements).Clear();
        new Product<TSimd, TVector, T>(library.Shared)
        {
            M = d.N * d.OutH * d.OutW,
            N = d.OutChannels,
            K = k,
            Rows = rows,
            B = (T*)w.Address,
            StrideB = k,
            TransposeB = true,
            C = (T*)y.Address,
            StrideC = d.OutChannels,
            Bias = (T*)bias.Address,
            Residual = (T*)residual.Address,
            Epilogue = d.Epilogue,
        }.Execute(library.Device.Workers);
    }
}
