// Sums over rows: what the gradient of a repeated row is.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>Rows that a block of sum_rows adds up.</summary>
    private const int SumRowsChunk = 256;

    /// <summary>The sum over all rows, in double and in an order that depends on the shape alone.</summary>
    /// <param name="x">[.., columns], or a row of that shape where the row has several axes.</param>
    /// <param name="row">The shape of a row: the end of x's shape.</param>
    /// <returns>Of the row's shape; zeros where there are no rows.</returns>
    /// <exception cref="ArgumentException">The row is not the end of x's shape.</exception>
    public static Tensor SumRows(Tensor x, Shape row)
    {
        RequireFloating(x);
        var leading = x.Shape.Rank - row.Rank;
        Require(leading >= 0 && x.Shape.Lengths[leading..].SequenceEqual(row), $"a row of shape {row} is not the end of shape {x.Shape}");
        var columns = (int)row.Count;
        var rows = (int)x.Shape.CountBetween(0, leading);
        if (rows == 0 || columns == 0)
        {
            return Tensor.Zeros(x.Context, row, x.DType);
        }

        // A pass leaves a row for every chunk, in double; the last one leaves a single row.
        Tensor? partial = null;
        for (var left = rows; ;)
        {
            var chunks = CeilingDivide(left, SumRowsChunk);
            var from = partial ?? x;
            var y = chunks == 1 ? Like(x, row) : Tensor.Empty(x.Context, [chunks, columns], DType.Float64);
            var launch = new LaunchShape(new Dim3(CeilingDivide(columns, WarpSize), chunks), new Dim3(WarpSize, 8));
            var stream = x.Context.Stream;
            switch (from.DType, y.DType)
            {
                case (DType.Float32, DType.Float32):
                    SumRowsKernels.SumRowsF32(stream, launch, from.Pointer<float>(), y.Pointer<float>(), left, columns);
                    break;
                case (DType.Float32, DType.Float64):
                    SumRowsKernels.SumRowsF32ToF64(stream, launch, from.Pointer<float>(), y.Pointer<double>(), left, columns);
                    break;
                case (DType.Float64, DType.Float32):
                    SumRowsKernels.SumRowsF64ToF32(stream, launch, from.Pointer<double>(), y.Pointer<float>(), left, columns);
                    break;
                default:
                    SumRowsKernels.SumRowsF64(stream, launch, from.Pointer<double>(), y.Pointer<double>(), left, columns);
                    break;
            }

            partial?.Dispose();
            if (chunks == 1)
            {
                return y;
            }

            (partial, left) = (y, chunks);
        }
    }
}
