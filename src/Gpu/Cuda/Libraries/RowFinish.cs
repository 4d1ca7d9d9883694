// Launches kernels/finish.cu: what a library did not fuse.
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Gpu.Cuda.Libraries;

/// <summary>Bias, residual and activation of a product or convolution that is already in place.</summary>
internal static class RowFinish
{
    private const int Threads = 256;
    private const int WarpSize = 32;

    /// <summary>Columns that a row of threads takes: ROW_TILE_COLUMNS of kernels/include/rows.cuh.</summary>
    private const int TileColumns = 1024;

    /// <summary>The driver's limit of a grid's y.</summary>
    private const int MaxGridY = 65535;

    /// <summary>Queues <c>c = epilogue(c + bias + residual)</c>, in place; nothing where there is nothing to do.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="type">Element type of all operands.</param>
    /// <param name="c">[batch, rows, columns].</param>
    /// <param name="bias">[columns], or null.</param>
    /// <param name="residual">As c lies, or null.</param>
    /// <param name="rows">Rows of a matrix.</param>
    /// <param name="columns">Their length.</param>
    /// <param name="stride">Elements from one row to the next.</param>
    /// <param name="batch">Matrices.</param>
    /// <param name="batchStride">Elements from one matrix to the next.</param>
    /// <param name="epilogue">Applied last.</param>
    /// <exception cref="GpuException">CUDA_ERROR_NOT_SUPPORTED: an element type without a kernel.</exception>
    public static void Queue(
        GpuStream stream,
        DType type,
        DevicePointer<byte> c,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        int rows,
        int columns,
        long stride,
        int batch,
        long batchStride,
        Epilogue epilogue)
    {
        if ((bias.IsNull && residual.IsNull && epilogue == Epilogue.None) || rows == 0 || columns == 0)
        {
            return;
        }

        // Narrow rows share a warp, so that its lanes are not idle.
        var width = Math.Min(WarpSize, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)(columns + 3) / 4));
        var block = new Dim3(width, Threads / width);
        var blocks = checked((int)(Blocks(rows, block.Y) * Blocks(columns, TileColumns)));
        var size = type.SizeInBytes();
        for (var first = 0; first < batch; first += MaxGridY)
        {
            var launch = new LaunchShape(new Dim3(blocks, Math.Min(MaxGridY, batch - first)), block);
            var offset = first * batchStride * size;
            var (own, added) = (c.Offset(offset), residual.IsNull ? residual : residual.Offset(offset));
            switch (type)
            {
                case DType.Float32:
                    FinishKernels.FinishRowsF32(
                        stream, launch, own.Cast<float>(), bias.Cast<float>(), added.Cast<float>(), rows, columns, stride, batchStride, (int)epilogue);
                    break;
                case DType.Float64:
                    FinishKernels.FinishRowsF64(
                        stream, launch, own.Cast<double>(), bias.Cast<double>(), added.Cast<double>(), rows, columns, stride, batchStride, (int)epilogue);
                    break;
                default:
                    throw new GpuException(CudaResult.CUDA_ERROR_NOT_SUPPORTED, $"there is no kernel for bias and activation in {type}");
            }
        }
    }

    private static long Blocks(int extent, int each) => ((long)extent + each - 1) / each;
}
