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
        if (n == 0)
        {
            return y;
        }

        var (stream, launch) = (y.Context.Stream, CoverFours(n));
        switch (y.DType)
        {
            case DType.Float32:
                ElementwiseKernels.AddF32(stream, launch, a.Pointer<float>(), b.Pointer<float>(), y.Pointer<float>(), n);
                return y;
            case DType.Float64:
                ElementwiseKernels.AddF64(stream, launch, a.Pointer<double>(), b.Pointer<double>(), y.Pointer<double>(), n);
                return y;
            case DType.Float16:
                ElementwiseHalfKernels.AddF16(stream, launch, a.Pointer<Half>(), b.Pointer<Half>(), y.Pointer<Half>(), n);
                return y;
            default:
                ElementwiseHalfKernels.AddBf16(stream, launch, a.Pointer<BFloat16>(), b.Pointer<BFloat16>(), y.Pointer<BFloat16>(), n);
                return y;
        }
    }

    /// <summary>a + factor * b, of one shape, with one rounding (a fused multiply-add).</summary>
    public static Tensor AddScaled(Tensor a, Tensor b, double factor)
    {
        RequireSameShape(a, b);
        var y = Like(a, a.Shape);
        var n = (int)y.Count;
        if (n == 0)
        {
            return y;
        }

        var (stream, launch) = (y.Context.Stream, CoverFours(n));
        switch (y.DType)
        {
            case DType.Float32:
                ElementwiseKernels.AddScaledF32(stream, launch, a.Pointer<float>(), b.Pointer<float>(), (float)factor, y.Pointer<float>(), n);
                return y;
            case DType.Float64:
                ElementwiseKernels.AddScaledF64(stream, launch, a.Pointer<double>(), b.Pointer<double>(), factor, y.Pointer<double>(), n);
                return y;
            case DType.Float16:
                ElementwiseHalfKernels.AddScaledF16(stream, launch, a.Pointer<Half>(), b.Pointer<Half>(), (float)factor, y.Pointer<Half>(), n);
                return y;
            default:
                ElementwiseHalfKernels.AddScaledBf16(
                    stream, launch, a.Pointer<BFloat16>(), b.Pointer<BFloat16>(), (float)factor, y.Pointer<BFloat16>(), n);
                return y;
        }
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
        var (stream, launch) = (y.Context.Stream, CoverRows(rows, columns));
        switch (y.DType)
        {
            case DType.Float32:
                ElementwiseKernels.AddBroadcastRowF32(stream, launch, x.Pointer<float>(), row.Pointer<float>(), y.Pointer<float>(), rows, columns);
                return y;
            case DType.Float64:
                ElementwiseKernels.AddBroadcastRowF64(stream, launch, x.Pointer<double>(), row.Pointer<double>(), y.Pointer<double>(), rows, columns);
                return y;
            case DType.Float16:
                ElementwiseHalfKernels.AddBroadcastRowF16(stream, launch, x.Pointer<Half>(), row.Pointer<Half>(), y.Pointer<Half>(), rows, columns);
                return y;
            default:
                ElementwiseHalfKernels.AddBroadcastRowBf16(
                    stream, launch, x.Pointer<BFloat16>(), row.Pointer<BFloat16>(), y.Pointer<BFloat16>(), rows, columns);
                return y;
        }
    }

    /// <summary>factor * x.</summary>
    public static Tensor Scale(Tensor x, double factor)
        => Map(
            x,
            (stream, in shape, x, y, n) => ElementwiseKernels.ScaleF32(stream, shape, x, (float)factor, y, n),
            (stream, in shape, x, y, n) => ElementwiseKernels.ScaleF64(stream, shape, x, factor, y, n),
            (stream, in shape, x, y, n) => ElementwiseHalfKernels.ScaleF16(stream, shape, x, (float)factor, y, n),
            (stream, in shape, x, y, n) => ElementwiseHalfKernels.ScaleBf16(stream, shape, x, (float)factor, y, n));

    /// <summary>min(max(x, low), high); a NaN stays one.</summary>
    public static Tensor Clamp(Tensor x, double low, double high)
    {
        Require(low <= high, $"the lower bound {low} is above the upper bound {high}");
        return Map(
            x,
            (stream, in shape, x, y, n) => ElementwiseKernels.ClampF32(stream, shape, x, (float)low, (float)high, y, n),
            (stream, in shape, x, y, n) => ElementwiseKernels.ClampF64(stream, shape, x, low, high, y, n),
            (stream, in shape, x, y, n) => ElementwiseHalfKernels.ClampF16(stream, shape, x, (float)low, (float)high, y, n),
            (stream, in shape, x, y, n) => ElementwiseHalfKernels.ClampBf16(stream, shape, x, (float)low, (float)high, y, n));
    }

    /// <summary>x * sigmoid(x).</summary>
    public static Tensor Silu(Tensor x)
        => Map(x, ElementwiseKernels.SiluF32, ElementwiseKernels.SiluF64, ElementwiseHalfKernels.SiluF16, ElementwiseHalfKernels.SiluBf16);

    /// <summary>Exact GELU: x * Phi(x), by erf.</summary>
    public static Tensor Gelu(Tensor x)
        => Map(x, ElementwiseKernels.GeluF32, ElementwiseKernels.GeluF64, ElementwiseHalfKernels.GeluF16, ElementwiseHalfKernels.GeluBf16);

    /// <summary>x * sigmoid(1.702 x), as CLIP has it.</summary>
    public static Tensor QuickGelu(Tensor x)
        => Map(
            x, ElementwiseKernels.QuickGeluF32, ElementwiseKernels.QuickGeluF64, ElementwiseHalfKernels.QuickGeluF16,
            ElementwiseHalfKernels.QuickGeluBf16);

    /// <summary>
    /// x in another element type, rounded once, to nearest even. To its own type, it is x's memory. There is no way from Float64 to a
    /// half type: through Float32 it would be rounded twice.
    /// </summary>
    public static Tensor Cast(Tensor x, DType type)
    {
        RequireFloatingOrHalf(x);
        Require(type.IsFloatingPoint(), $"no kernel from {x.DType} to {type}; Float32, Float64, Float16 and BFloat16 are supported");
        Require(
            x.DType != DType.Float64 || !type.IsHalf(),
            $"no kernel from {x.DType} to {type}; a cast to Float32 before it would round a second time");
        if (type == x.DType)
        {
            return x.AddReference();
        }

        if (x.DType.IsHalf() && type != DType.Float32)
        {
            // Float holds every number of a half type, so the first step rounds nothing.
            using var single = TensorScope.Detach(Cast(x, DType.Float32));
            return Cast(single, type);
        }

        var y = Tensor.Empty(x.Context, x.Shape, type);
        var n = (int)y.Count;
        if (n == 0)
        {
            return y;
        }

        var (stream, launch) = (y.Context.Stream, CoverFours(n));
        switch (x.DType, type)
        {
            case (DType.Float64, _):
                ElementwiseKernels.CastF64ToF32(stream, launch, x.Pointer<double>(), y.Pointer<float>(), n);
                return y;
            case (_, DType.Float64):
                ElementwiseKernels.CastF32ToF64(stream, launch, x.Pointer<float>(), y.Pointer<double>(), n);
                return y;
            case (DType.Float16, _):
                ElementwiseHalfKernels.CastF16ToF32(stream, launch, x.Pointer<Half>(), y.Pointer<float>(), n);
                return y;
            case (DType.BFloat16, _):
                ElementwiseHalfKernels.CastBf16ToF32(stream, launch, x.Pointer<BFloat16>(), y.Pointer<float>(), n);
                return y;
            case (_, DType.Float16):
                ElementwiseHalfKernels.CastF32ToF16(stream, launch, x.Pointer<float>(), y.Pointer<Half>(), n);
                return y;
            default:
                ElementwiseHalfKernels.CastF32ToBf16(stream, launch, x.Pointer<float>(), y.Pointer<BFloat16>(), n);
                return y;
        }
    }

    /// <summary>Overwrites every element of x, in place.</summary>
    public static void Fill(Tensor x, double value)
    {
        RequireFloatingOrHalf(x);
        x.MarkWritten();
        var n = (int)x.Count;
        if (n == 0)
        {
            return;
        }

        var (stream, launch) = (x.Context.Stream, CoverFours(n));
        switch (x.DType)
        {
            case DType.Float32:
                ElementwiseKernels.FillF32(stream, launch, x.Pointer<float>(), (float)value, n);
                break;
            case DType.Float64:
                ElementwiseKernels.FillF64(stream, launch, x.Pointer<double>(), value, n);
                break;
            case DType.Float16:
                ElementwiseHalfKernels.FillF16(stream, launch, x.Pointer<Half>(), (float)value, n);
                break;
            default:
                ElementwiseHalfKernels.FillBf16(stream, launch, x.Pointer<BFloat16>(), (float)value, n);
                break;
        }
    }

    /// <summary>A tensor of one value.</summary>
    public static Tensor Full(DeviceContext context, Shape shape, double value, DType type = DType.Float32)
    {
        var y = NewFloating(context, shape, type, halves: true);
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
        Map1<Half> half,
        Map1<BFloat16> brain,
        [CallerMemberName] string operation = "")
    {
        RequireFloatingOrHalf(x, operation);
        var y = Like(x, x.Shape);
        var n = (int)y.Count;
        if (n == 0)
        {
            return y;
        }

        var (stream, launch) = (y.Context.Stream, CoverFours(n));
        switch (y.DType)
        {
            case DType.Float32:
                single(stream, launch, x.Pointer<float>(), y.Pointer<float>(), n);
                return y;
            case DType.Float64:
                @double(stream, launch, x.Pointer<double>(), y.Pointer<double>(), n);
                return y;
            case DType.Float16:
                half(stream, launch, x.Pointer<Half>(), y.Pointer<Half>(), n);
                return y;
            default:
                brain(stream, launch, x.Pointer<BFloat16>(), y.Pointer<BFloat16>(), n);
                return y;
        }
    }
}
