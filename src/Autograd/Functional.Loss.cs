// Losses, and sums to one number.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

public static partial class Functional
{
    /// <inheritdoc cref="Ops.Sum"/>
    public static Tensor Sum(Tensor x)
    {
        var shape = x.Shape;
        return Tape.Record(nameof(Sum), Ops.Sum(x), [x], [], call => call.Set(0, Ops.RepeatScalar(call.Gradient, shape)));
    }

    /// <inheritdoc cref="Ops.Mean"/>
    public static Tensor Mean(Tensor x)
    {
        var shape = x.Shape;
        return Tape.Record(nameof(Mean), Ops.Mean(x), [x], [], call => call.Set(0, Ops.RepeatScalar(call.Gradient, shape, 1.0 / shape.Count)));
    }

    /// <inheritdoc cref="Ops.MeanSquaredError"/>
    public static Tensor MeanSquaredError(Tensor prediction, Tensor target)
        => Tape.Record(
            nameof(MeanSquaredError), Ops.MeanSquaredError(prediction, target), [prediction, target], [prediction, target], static call =>
            {
                var (prediction, target) = (call.Saved(0), call.Saved(1));
                if (call.Needs(0))
                {
                    call.Set(0, Ops.MeanSquaredErrorBackward(prediction, target, call.Gradient));
                }

                if (call.Needs(1))
                {
                    call.Set(1, Ops.MeanSquaredErrorBackward(target, prediction, call.Gradient));
                }
            });

    /// <inheritdoc cref="Ops.FrameLoss"/>
    public static Tensor FrameLoss(Tensor prediction, Tensor target, FrameReduction reduction)
        => Tape.Record(
            nameof(FrameLoss), Ops.FrameLoss(prediction, target, reduction), [prediction, target], [prediction, target], call =>
            {
                var (prediction, target) = (call.Saved(0), call.Saved(1));
                if (call.Needs(0))
                {
                    call.Set(0, Ops.FrameLossBackward(prediction, target, call.Gradient, reduction));
                }

                if (call.Needs(1))
                {
                    call.Set(1, Ops.FrameLossBackward(target, prediction, call.Gradient, reduction));
                }
            });

    /// <inheritdoc cref="Ops.KlDivergence"/>
    public static Tensor KlDivergence(Tensor moments)
        => Tape.Record(
            nameof(KlDivergence), Ops.KlDivergence(moments), [moments], [moments],
            static call => call.Set(0, Ops.KlDivergenceBackward(call.Saved(0), call.Gradient)));

    /// <inheritdoc cref="Ops.CrossEntropy"/>
    public static Tensor CrossEntropy(Tensor logits, Tensor targets)
        => Tape.Record(
            nameof(CrossEntropy), Ops.CrossEntropy(logits, targets), [logits], [logits, targets],
            static call => call.Set(0, Ops.CrossEntropyBackward(call.Saved(0), call.Saved(1), call.Gradient)));
}
