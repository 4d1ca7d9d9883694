// Element by element: sums, scaling, activations, conversion.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

public static partial class Functional
{
    /// <inheritdoc cref="Ops.Add"/>
    public static Tensor Add(Tensor a, Tensor b)
        => Tape.Record(nameof(Add), Ops.Add(a, b), [a, b], [], static call =>
        {
            call.Set(0, call.Gradient);
            call.Set(1, call.Gradient);
        });

    /// <inheritdoc cref="Ops.AddScaled"/>
    public static Tensor AddScaled(Tensor a, Tensor b, double factor)
        => Tape.Record(nameof(AddScaled), Ops.AddScaled(a, b, factor), [a, b], [], call =>
        {
            call.Set(0, call.Gradient);
            if (call.Needs(1))
            {
                call.Set(1, Ops.Scale(call.Gradient, factor));
            }
        });

    /// <inheritdoc cref="Ops.AddBroadcastRow"/>
    public static Tensor AddBroadcastRow(Tensor x, Tensor row)
    {
        var shape = row.Shape;
        return Tape.Record(nameof(AddBroadcastRow), Ops.AddBroadcastRow(x, row), [x, row], [], call =>
        {
            call.Set(0, call.Gradient);
            if (call.Needs(1))
            {
                call.Set(1, Ops.SumRows(call.Gradient, shape));
            }
        });
    }

    /// <inheritdoc cref="Ops.Scale"/>
    public static Tensor Scale(Tensor x, double factor)
        => Tape.Record(nameof(Scale), Ops.Scale(x, factor), [x], [], call => call.Set(0, Ops.Scale(call.Gradient, factor)));

    /// <inheritdoc cref="Ops.Clamp"/>
    public static Tensor Clamp(Tensor x, double low, double high)
        => Tape.Record(
            nameof(Clamp), Ops.Clamp(x, low, high), [x], [x], call => call.Set(0, Ops.ClampBackward(call.Saved(0), call.Gradient, low, high)));

    /// <inheritdoc cref="Ops.Silu"/>
    public static Tensor Silu(Tensor x)
        => Tape.Record(nameof(Silu), Ops.Silu(x), [x], [x], static call => call.Set(0, Ops.SiluBackward(call.Saved(0), call.Gradient)));

    /// <inheritdoc cref="Ops.Gelu"/>
    public static Tensor Gelu(Tensor x)
        => Tape.Record(nameof(Gelu), Ops.Gelu(x), [x], [x], static call => call.Set(0, Ops.GeluBackward(call.Saved(0), call.Gradient)));

    /// <inheritdoc cref="Ops.QuickGelu"/>
    public static Tensor QuickGelu(Tensor x)
        => Tape.Record(nameof(QuickGelu), Ops.QuickGelu(x), [x], [x], static call => call.Set(0, Ops.QuickGeluBackward(call.Saved(0), call.Gradient)));

    /// <inheritdoc cref="Ops.Cast"/>
    public static Tensor Cast(Tensor x, DType type)
    {
        var from = x.DType;
        return Tape.Record(nameof(Cast), Ops.Cast(x, type), [x], [], call => call.Set(0, Ops.Cast(call.Gradient, from)));
    }

    /// <summary>An activation by its name in the library seam; <see cref="Epilogue.None"/> gives x itself.</summary>
    private static Tensor Activate(Tensor x, Epilogue epilogue) => epilogue switch
    {
        Epilogue.Silu => Silu(x),
        Epilogue.Gelu => Gelu(x),
        Epilogue.QuickGelu => QuickGelu(x),
        _ => x,
    };
}
