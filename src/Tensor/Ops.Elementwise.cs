// Operators that treat every element alike: sums, scaling, activations, conversion.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    private delegate void Map1<T>(GpuStream stream, in LaunchShape shape, DevicePointer<T> x, DevicePointer<T> y, int n)
        where T : unmanaged;

    /// <summary>a + b, of one shape.</summary>
    public static Tensor Add(Tensor a, Tensor b)
    {
        RequireSameShape(a, b);
        var y = Like(a, a.Shape);
        var n = (int)y.Count;
        if (n > 0 && y.DType == DType.Float32)
        {
            ElementwiseKernels.AddF32(y.Context.Stream, CoverFours(n), a.Pointer<float>(), b.Pointer<float>(), y.Pointer<float>(), n);
        }
        else if (n > 0)
        {
            ElementwiseKernels.AddF64(y.Context.Stream, CoverFours(n), a.Pointer<double>(), b.Pointer<double>(), y.Pointer<double>(), n);
        }

        return y;
    }

    /// <summary>a + factor * b, of one shape, with one rounding (a fused multiply-add).</summary>
    public static Tensor AddScaled(Tensor a, Tensor b, double factor)
    {
        RequireSameShape(a, b);
        var y = Like(a, a.Shape);
        var n = (int)y.Count;
        if (n > 0 && y.DType == DType.Float32)
        {
            ElementwiseKernels.AddScaledF32(
                y.Context.Stream, CoverFours(n), a.Pointer<float>(), b.Pointer<float>(), (float)factor, y.Pointer<float>(), n);
        }
        else if (n > 0)
        {
            ElementwiseKernels.AddScaledF64(
                y.Context.Stream, CoverFours(n), a.Pointer<double>(), b.Pointer<double>(), factor, y.Pointer<double>(), n);
        }

        return y;
    }

    /// <summary>x [.., n, c] + row [n, c]: the row is repeated over the leading axes of x. Any row that is a suffix of x's shape will do.</summary>
    public static Tensor AddBroadcastRow(Tensor x, Tensor row)
    {
        RequireAlike(x, row);
        var leading = x.Shape.Rank - row.Shape.Rank;
        Require(
            leading >= 0 && x.Shape.Lengths[leading..].SequenceEqual(row.Shape),
            $"a row of shape {row.Shape} is not the end of shape {x.Shape}");
        var y = Like(x, x.Shape);
        if (y.Count == 0)
        {
            return y;
        }

        var rows = (int)x.Shape.CountBetween(0, leading);
        var columns = (int)row.Count;
        if (y.DType == DType.Float32)
        {
            ElementwiseKernels.AddBroadcastRowF32(
                y.Context.Stream, CoverRows(rows, columns), x.Pointer<float>(), row.Pointer<float>(), y.Pointer<float>(), rows, columns);
        }
        else
        {
            ElementwiseKernels.AddBroadcastRowF64(
                y.Context.Stream, CoverRows(rows, columns), x.Pointer<double>(), row.Pointer<double>(), y.Pointer<double>(), rows, columns);
        }

        return y;
    }

    /// <summary>factor * x.</summary>
    public static Tensor Scale(Tensor x, double factor)
        => Map(
            x,
            (stream, in shape, x, y, n) => ElementwiseKernels.ScaleF32(stream, shape, x, (float)factor, y, n),
            (stream, in shape, x, y, n) => ElementwiseKernels.ScaleF64(stream, shape, x, factor, y, n));

    /// <summary>min(max(x, low), high); a NaN stays one.</summary>
    public static Tensor Clamp(Tensor x, double low, double high)
    {
        Require(low <= high, $"the lower bound {low} is above the upper bound {high}");
        return Map(
            x,
            (stream, in shape, x, y, n) => ElementwiseKernels.ClampF32(stream, shape, x, (float)low, (float)high, y, n),
            (stream, in shape, x, y, n) => ElementwiseKernels.ClampF64(stream, shape, x, low, high, y, n));
    }

    /// <summary>x * sigmoid(x).</summary>
    public static Tensor Silu(Tensor x) => Map(x, ElementwiseKernels.SiluF32, ElementwiseKernels.SiluF64);

    /// <summary>Exact GELU: x * Phi(x), by erf.</summary>
    public static Tensor Gelu(Tensor x) => Map(x, ElementwiseKernels.GeluF32, ElementwiseKernels.GeluF64);

    /// <summary>x * sigmoid(1.702 x), as CLIP has it.</summary>
    public static Tensor QuickGelu(Tensor x) => Map(x, ElementwiseKernels.QuickGeluF32, ElementwiseKernels.QuickGeluF64);

    /// <summary>x in another element type, rounded to nearest even: Float32 to Float64 and back. To its own type, it is x's memory.</summary>
    public static Tensor Cast(Tensor x, DType type)
    {
        RequireFloating(x);
        Require(type is DType.Float32 or DType.Float64, $"no kernel from {x.DType} to {type}; Float32 and Float64 are supported");
        if (type == x.DType)
        {
            return x.AddReference();
        }

        var y = Tensor.Empty(x.Context, x.Shape, type);
        var n = (int)y.Count;
        if (n > 0 && type == DType.Float32)
        {
            ElementwiseKernels.CastF64ToF32(y.Context.Stream, CoverFours(n), x.Pointer<double>(), y.Pointer<float>(), n);
        }
        else if (n > 0)
        {
            ElementwiseKernels.CastF32ToF64(y.Context.Stream, CoverFours(n), x.Pointer<float>(), y.Pointer<double>(), n);
        }

        return y;
    }

    /// <summary>Overwrites every element of x, in place.</summary>
    public static void Fill(Tensor x, double value)
    {
        RequireFloating(x);
        x.MarkWritten();
        var n = (int)x.Count;
        if (n > 0 && x.DType == DType.Float32)
        {
            ElementwiseKernels.FillF32(x.Context.Stream, CoverFours(n), x.Pointer<float>(), (float)value, n);
        }
        else if (n > 0)
        {
            ElementwiseKernels.FillF64(x.Context.Stream, CoverFours(n), x.Pointer<double>(), value, n);
        }
    }

    /// <summary>A tensor of one value.</summary>
    public static Tensor Full(DeviceContext context, Shape shape, double value, DType type = DType.Float32)
    {
        var y = NewFloating(context, shape, type);
        Fill(y, value);
        return y;
    }

    /// <summary>A thread for every four elements, as the vectorised maps take them.</summary>
    private static LaunchShape CoverFours(int n) => Cover(CeilingDivide(n, 4));

    private static void RequireSameShape(Tensor a, Tensor b, [CallerMemberName] string operation = "")
    {
        RequireAlike(a, b, operation);
        Require(a.Shape == b.Shape, $"shapes differ, {a.Shape} and {b.Shape}", operation);
    }

    private static Tensor Map(
        Tensor x,
        Map1<float> single,
        Map1<double> @double,
        [CallerMemberName] string operation = "")
    {
        RequireFloating(x, operation);
        var y = Like(x, x.Shape);
        var n = (int)y.Count;
        if (n > 0 && y.DType == DType.Float32)
        {
            single(y.Context.Stream, CoverFours(n), x.Pointer<float>(), y.Pointer<float>(), n);
        }
        else if (n > 0)
        {
            @double(y.Context.Stream, CoverFours(n), x.Pointer<double>(), y.Pointer<double>(), n);
        }

        return y;
    }
}
