// Operators that treat every element alike: sums, scaling, activations, conversion.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>a + b, of one shape.</summary>
    public static Tensor Add(Tensor a, Tensor b) => Pending();

    /// <summary>factor * x.</summary>
    public static Tensor Scale(Tensor x, double factor) => Pending();

    /// <summary>a + factor * b, of one shape; one rounding an element (fused multiply-add).</summary>
    public static Tensor AddScaled(Tensor a, Tensor b, double factor) => Pending();

    /// <summary>x [.., n, c] + row [n, c], the row repeated over the leading axes.</summary>
    public static Tensor AddBroadcastRow(Tensor x, Tensor row) => Pending();

    /// <summary>x * sigmoid(x).</summary>
    public static Tensor Silu(Tensor x) => Pending();

    /// <summary>Exact GELU: x * Phi(x), by erf.</summary>
    public static Tensor Gelu(Tensor x) => Pending();

    /// <summary>x * sigmoid(1.702 x), as CLIP has it.</summary>
    public static Tensor QuickGelu(Tensor x) => Pending();

    /// <summary>min(max(x, low), high); NaN stays NaN.</summary>
    public static Tensor Clamp(Tensor x, double low, double high) => Pending();

    /// <summary>x in another element type, rounded to nearest even. Float32 and Float64.</summary>
    public static Tensor Cast(Tensor x, DType type) => Pending();

    /// <summary>Overwrites every element of x in place.</summary>
    public static void Fill(Tensor x, double value) => Pending();

    /// <summary>A tensor of one value.</summary>
    public static Tensor Full(DeviceContext context, Shape shape, double value, DType type = DType.Float32) => Pending();

    // Bodies follow with the kernels' bindings.
    private static Tensor Pending() => throw new NotSupportedException("this operator's kernel is not bound yet");
}
