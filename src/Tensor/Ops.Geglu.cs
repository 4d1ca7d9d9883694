// The gated activation of the feed-forward layers.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>GEGLU (Shazeer 2020, arXiv 2002.05202): value * gelu(gate), the GELU exact, by erf.</summary>
    /// <param name="x">[.., 2c]: values, then gates.</param>
    /// <returns>[.., c].</returns>
    /// <exception cref="ArgumentException">The last axis is odd, or the element type is not supported.</exception>
    public static Tensor Geglu(Tensor x)
    {
        Require(x.Shape.Rank >= 1 && x.Shape[-1] > 0 && x.Shape[-1] % 2 == 0, $"the last axis of x {x.Shape} must hold as many gates as values");
        var c = x.Shape[-1] / 2;
        var rows = CheckedInt32(x.Count / (2 * c), $"rows of x {x.Shape}");
        var y = Tensor.Empty(x.Context, x.Shape.With(-1, c), x.DType);
        if (rows == 0)
        {
            return y;
        }

        // Narrow rows get as many threads as they have vectors, and a block 32 of them, so that no lane of a warp is idle.
        var vectors = c % 4 == 0 ? c / 4 : c;
        var block = vectors < WarpSize ? new Dim3(vectors, WarpSize) : new Dim3(WarpSize, RowWarps);
        var launch = new LaunchShape(CeilingDivide(rows, block.Y), block);
        switch (x.DType)
        {
            case DType.Float32:
                GegluKernels.GegluF32(x.Context.Stream, launch, x.Pointer<float>(), y.Pointer<float>(), rows, c);
                return y;
            case DType.Float64:
                GegluKernels.GegluF64(x.Context.Stream, launch, x.Pointer<double>(), y.Pointer<double>(), rows, c);
                return y;
            default:
                throw UnsupportedType(x);
        }
    }
}
