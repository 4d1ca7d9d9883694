// Attention, and the position bias that is added to its scores.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

public static partial class Functional
{
    /// <inheritdoc cref="Ops.Attention"/>
    public static Tensor Attention(
        Tensor q, Tensor k, Tensor v, int heads, double scale, Tensor? bias = null, AttentionAxis axis = AttentionAxis.Tokens)
        => Tape.Record(nameof(Attention), Ops.Attention(q, k, v, heads, scale, bias, axis), [q, k, v, bias], [q, k, v, bias], call =>
        {
            var (dq, dk, dv, dbias) = Ops.AttentionBackward(
                call.Saved(0), call.Saved(1), call.Saved(2), call.Gradient, heads, scale, call.SavedOrNull(3), axis,
                Wanted(call, AttentionInputs.Query, AttentionInputs.Key, AttentionInputs.Value, AttentionInputs.Bias));
            SetAll(call, dq, dk, dv, dbias);
        });

    /// <inheritdoc cref="Ops.AttentionKv"/>
    public static Tensor AttentionKv(
        Tensor q, Tensor kv, int heads, double scale, Tensor? bias = null, AttentionAxis axis = AttentionAxis.Tokens)
        => Tape.Record(nameof(AttentionKv), Ops.AttentionKv(q, kv, heads, scale, bias, axis), [q, kv, bias], [q, kv, bias], call =>
        {
            var (dq, dkv, dbias) = Ops.AttentionKvBackward(
                call.Saved(0), call.Saved(1), call.Gradient, heads, scale, call.SavedOrNull(2), axis,
                Wanted(call, AttentionInputs.Query, AttentionInputs.Key | AttentionInputs.Value, AttentionInputs.Bias));
            SetAll(call, dq, dkv, dbias);
        });

    /// <inheritdoc cref="Ops.PositionBias"/>
    public static Tensor PositionBias(Tensor table, params ReadOnlySpan<int> dimensions)
    {
        var bias = Ops.PositionBias(table, dimensions);
        if (!IsRecorded(table))
        {
            return Unrecorded(nameof(PositionBias), bias);
        }

        var kept = dimensions.ToArray();
        return Tape.Record(nameof(PositionBias), bias, [table], [], call => call.Set(0, Ops.PositionBiasBackward(call.Gradient, kept)));
    }

    /// <summary>Of the names of an operator's inputs, in order, those whose gradient somebody wants.</summary>
    private static AttentionInputs Wanted(BackwardCall call, params ReadOnlySpan<AttentionInputs> inputs)
    {
        var wanted = AttentionInputs.None;
        for (var i = 0; i < inputs.Length; i++)
        {
            wanted |= call.Needs(i) ? inputs[i] : AttentionInputs.None;
        }

        return wanted;
    }
}
