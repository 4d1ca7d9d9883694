// Gradients of the operators in Ops.Elementwise.cs, and the sum in place by which gradients gather.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    private delegate void Map2<T>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> gradient, DevicePointer<T> y, int n)
        where T : unmanaged;

    /// <summary>y += x, in place; both of one shape, in memory that does not overlap.</summary>
    public static void Accumulate(Tensor y, Tensor x)
    {
        RequireFloating(y);
        RequireSameShape(y, x);
        y.MarkWritten();
        var n = (int)y.Count;
        if (n > 0 && y.DType == DType.Float32)
        {
            ElementwiseBackwardKernels.AccumulateF32(y.Context.Stream, CoverFours(n), y.Pointer<float>(), x.Pointer<float>(), n);
        }
        else if (n > 0)
        {
            ElementwiseBackwardKernels.AccumulateF64(y.Context.Stream, CoverFours(n), y.Pointer<double>(), x.Pointer<double>(), n);
        }
    }

    /// <summary>The gradient of <see cref="Silu"/> at x: s (1 + x (1 - s)) times the result's gradient, s = sigmoid(x).</summary>
    public static Tensor SiluBackward(Tensor x, Tensor gradient)
        => MapBackward(x, gradient, ElementwiseBackwardKernels.SiluBackwardF32, ElementwiseBackwardKernels.SiluBackwardF64);

    /// <summary>The gradient of <see cref="Gelu"/> at x: Phi(x) + x phi(x) times the result's gradient.</summary>
    public static Tensor GeluBackward(Tensor x, Tensor gradient)
        => MapBackward(x, gradient, ElementwiseBackwardKernels.GeluBackwardF32, ElementwiseBackwardKernels.GeluBackwardF64);

    /// <summary>The gradient of <see cref="QuickGelu"/> at x: s (1 + 1.702 x (1 - s)) times the result's gradient, s = sigmoid(1.702 x).</summary>
    public static Tensor QuickGeluBackward(Tensor x, Tensor gradient)
        => MapBackward(x, gradient, ElementwiseBackwardKernels.QuickGeluBackwardF32, ElementwiseBackwardKernels.QuickGeluBackwardF64);

    /// <summary>The gradient of <see cref="Clamp"/> at x: the result's gradient between the bounds and on them, else 0, as in PyTorch.</summary>
    public static Tensor ClampBackward(Tensor x, Tensor gradient, double low, double high)
        => MapBackward(
            x,
            gradient,
            (stream, in shape, x, gradient, dx, n) =>
                ElementwiseBackwardKernels.ClampBackwardF32(stream, shape, x, gradient, (float)low, (float)high, dx, n),
            (stream, in shape, x, gradient, dx, n) => ElementwiseBackwardKernels.ClampBackwardF64(stream, shape, x, gradient, low, high, dx, n));

    /// <summary>The gradient of an <see cref="Epilogue"/> at its argument x.</summary>
    public static Tensor EpilogueBackward(Tensor x, Tensor gradient, Epilogue epilogue) => epilogue switch
    {
        Epilogue.Silu => SiluBackward(x, gradient),
        Epilogue.Gelu => GeluBackward(x, gradient),
        Epilogue.QuickGelu => QuickGeluBackward(x, gradient),
        _ => gradient.AddReference(),
    };

    /// <summary>The gradient of <see cref="Tensor.Narrow"/>: rows [start, ..) of a taller tensor of zeros.</summary>
    /// <param name="gradient">[n, ..].</param>
    /// <param name="start">Its first row in the result.</param>
    /// <param name="rows">Rows of the result.</param>
    public static Tensor PadRows(Tensor gradient, int start, int rows)
    {
        Require(
            gradient.Shape.Rank > 0 && start >= 0 && start <= rows - gradient.Shape[0],
            $"{gradient.Shape} from row {start} on does not fit {rows} rows");
        var y = Tensor.Zeros(gradient.Context, gradient.Shape.With(0, rows), gradient.DType);
        if (gradient.Count > 0)
        {
            var offset = start * gradient.Shape.CountBetween(1, gradient.Shape.Rank) * gradient.DType.SizeInBytes();
            gradient.Context.Device.Copy(Bytes(y).Offset(offset), Bytes(gradient), gradient.Bytes, gradient.Context.Stream);
        }

        return y;
    }

    private static Tensor MapBackward(
        Tensor x, Tensor gradient, Map2<float> single, Map2<double> @double, [CallerMemberName] string operation = "")
    {
        RequireFloating(x, operation);
        RequireSameShape(x, gradient, operation);
        var dx = Like(x, x.Shape);
        var n = (int)dx.Count;
        if (n > 0 && dx.DType == DType.Float32)
        {
            single(dx.Context.Stream, CoverFours(n), x.Pointer<float>(), gradient.Pointer<float>(), dx.Pointer<float>(), n);
        }
        else if (n > 0)
        {
            @double(dx.Context.Stream, CoverFours(n), x.Pointer<double>(), gradient.Pointer<double>(), dx.Pointer<double>(), n);
        }

        return dx;
    }
}
