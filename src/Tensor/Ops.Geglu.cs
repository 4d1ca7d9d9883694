// The gated activation of the feed-forward layers, and its gradient.
using System.Runtime.CompilerServices;
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
        RequireFloatingOrHalf(x);
        var (rows, c) = GegluRows(x);
        var y = Tensor.Empty(x.Context, x.Shape.With(-1, c), x.DType);
        if (rows == 0)
        {
            return y;
        }

        var (stream, launch) = (x.Context.Stream, GegluLaunch(rows, c));
        switch (x.DType)
        {
            case DType.Float32:
                GegluKernels.GegluF32(stream, launch, x.Pointer<float>(), y.Pointer<float>(), rows, c);
                return y;
            case DType.Float64:
                GegluKernels.GegluF64(stream, launch, x.Pointer<double>(), y.Pointer<double>(), rows, c);
                return y;
            case DType.Float16:
                GegluHalfKernels.GegluF16(stream, launch, x.Pointer<Half>(), y.Pointer<Half>(), rows, c);
                return y;
            default:
                GegluHalfKernels.GegluBf16(stream, launch, x.Pointer<BFloat16>(), y.Pointer<BFloat16>(), rows, c);
                return y;
        }
    }

    /// <summary>
    /// The gradient of <see cref="Geglu"/> at x, values and gates: gate Phi(gate) and value (Phi(gate) + gate phi(gate)) times the
    /// result's gradient, Phi and phi distribution and density of the normal distribution.
    /// </summary>
    /// <param name="x">[.., 2c]: values, then gates.</param>
    /// <param name="gradient">[.., c].</param>
    /// <returns>[.., 2c].</returns>
    public static Tensor GegluBackward(Tensor x, Tensor gradient)
    {
        var (rows, c) = GegluRows(x);
        RequireFloating(x);
        RequireAlike(x, gradient);
        Require(gradient.Shape == x.Shape.With(-1, c), $"the gradient must be {x.Shape.With(-1, c)} for x {x.Shape}, not {gradient.Shape}");
        var dx = Like(x, x.Shape);
        if (rows > 0 && x.DType == DType.Float32)
        {
            GegluBackwardKernels.GegluBackwardF32(
                x.Context.Stream, GegluLaunch(rows, c), x.Pointer<float>(), gradient.Pointer<float>(), dx.Pointer<float>(), rows, c);
        }
        else if (rows > 0)
        {
            GegluBackwardKernels.GegluBackwardF64(
                x.Context.Stream, GegluLaunch(rows, c), x.Pointer<double>(), gradient.Pointer<double>(), dx.Pointer<double>(), rows, c);
        }

        return dx;
    }

    private static (int Rows, int Channels) GegluRows(Tensor x, [CallerMemberName] string operation = "")
    {
        Require(
            x.Shape.Rank >= 1 && x.Shape[-1] > 0 && x.Shape[-1] % 2 == 0,
            $"the last axis of x {x.Shape} must hold as many gates as values",
            operation);
        var c = x.Shape[-1] / 2;
        return (CheckedInt32(x.Count / (2 * c), $"rows of x {x.Shape}"), c);
    }

    /// <summary>Narrow rows get as many threads as they have vectors, and a block 32 of them, so that no lane of a warp is idle.</summary>
    private static LaunchShape GegluLaunch(int rows, int c)
    {
        var vectors = c % 4 == 0 ? c / 4 : c;
        var block = vectors < WarpSize ? new Dim3(vectors, WarpSize) : new Dim3(WarpSize, RowWarps);
        return new LaunchShape(CeilingDivide(rows, block.Y), block);
    }
}
