// Normalisations, and the token shift that goes with one of them.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

public static partial class Functional
{
    /// <inheritdoc cref="Ops.GroupNorm(Tensor, int, Tensor, Tensor, double, Tensor?, bool)"/>
    public static Tensor GroupNorm(
        Tensor x, int groups, Tensor weight, Tensor bias, double eps, Tensor? scaleShift = null, bool silu = false)
    {
        if (!IsRecorded(x, weight, bias, scaleShift))
        {
            return Unrecorded(nameof(GroupNorm), Ops.GroupNorm(x, groups, weight, bias, eps, scaleShift, silu));
        }

        // Of the forward pass only x and two numbers a group are kept: the normalised tensor, and what SiLU was applied to, follow.
        using var statistics = TensorScope.Detach(Tensor.Empty(x.Context, [x.Shape[0], Math.Max(groups, 0), 2], DType.Float64));
        var y = Ops.GroupNorm(x, groups, weight, bias, eps, scaleShift, silu, statistics);
        return Tape.Record(
            nameof(GroupNorm),
            y,
            [x, weight, bias, scaleShift],
            [x, weight, bias, scaleShift, statistics],
            call =>
            {
                var wanted = Wanted(call, NormInputs.X, NormInputs.Weight, NormInputs.Bias, NormInputs.ScaleShift);
                var gradients = Ops.GroupNormBackward(
                    call.Saved(0), groups, call.Saved(1), call.Saved(2), call.SavedOrNull(3), silu, call.Saved(4), call.Gradient, wanted);
                SetAll(call, gradients.X, gradients.Weight, gradients.Bias, gradients.ScaleShift);
            });
    }

    /// <inheritdoc cref="Ops.LayerNorm"/>
    public static Tensor LayerNorm(Tensor x, Tensor weight, Tensor bias, double eps)
        => Tape.Record(nameof(LayerNorm), Ops.LayerNorm(x, weight, bias, eps), [x, weight, bias], [x, weight], call =>
        {
            var wanted = Wanted(call, NormInputs.X, NormInputs.Weight, NormInputs.Bias);
            var gradients = Ops.LayerNormBackward(call.Saved(0), call.Saved(1), eps, call.Gradient, wanted);
            SetAll(call, gradients.X, gradients.Weight, gradients.Bias);
        });

    /// <inheritdoc cref="Ops.ChanLayerNorm"/>
    public static Tensor ChanLayerNorm(Tensor x, Tensor g, double eps, bool tokenShift = false)
        => Tape.Record(nameof(ChanLayerNorm), Ops.ChanLayerNorm(x, g, eps, tokenShift), [x, g], [x, g], call =>
        {
            var gradients = Ops.ChanLayerNormBackward(
                call.Saved(0), call.Saved(1), eps, tokenShift, call.Gradient, Wanted(call, NormInputs.X, NormInputs.Weight));
            SetAll(call, gradients.X, gradients.G);
        });

    /// <inheritdoc cref="Ops.TokenShift"/>
    public static Tensor TokenShift(Tensor x)
        => Tape.Record(nameof(TokenShift), Ops.TokenShift(x), [x], [], static call => call.Set(0, Ops.TokenShiftBackward(call.Gradient)));

    /// <summary>The inputs whose gradient somebody wants, of those in the order given.</summary>
    private static NormInputs Wanted(BackwardCall call, params ReadOnlySpan<NormInputs> inputs)
    {
        var wanted = NormInputs.None;
        for (var i = 0; i < inputs.Length; i++)
        {
            wanted |= call.Needs(i) ? inputs[i] : NormInputs.None;
        }

        return wanted;
    }
}
