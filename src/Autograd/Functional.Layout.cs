// Moving elements: joining, cutting, permuting, folding, resampling. A gradient takes the way back.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

public static partial class Functional
{
    /// <inheritdoc cref="Ops.ConcatChannels"/>
    public static Tensor ConcatChannels(Tensor a, double aScale, Tensor b)
    {
        var channels = a.Shape.Rank > 0 ? a.Shape[-1] : 0;
        return Tape.Record(
            nameof(ConcatChannels), Ops.ConcatChannels(a, aScale, b), [a, b], [],
            call =>
            {
                var (da, db) = Ops.ConcatChannelsBackward(call.Gradient, channels, aScale, call.Needs(0), call.Needs(1));
                SetAll(call, da, db);
            });
    }

    /// <inheritdoc cref="Ops.ConcatTokens"/>
    public static Tensor ConcatTokens(Tensor a, Tensor b)
    {
        var shape = a.Shape;
        return Tape.Record(
            nameof(ConcatTokens), Ops.ConcatTokens(a, b), [a, b], [],
            call =>
            {
                var (da, db) = Ops.ConcatTokensBackward(call.Gradient, shape[1], call.Needs(0), call.Needs(1));
                SetAll(call, da, db);
            });
    }

    /// <inheritdoc cref="Ops.SliceChannels"/>
    public static Tensor SliceChannels(Tensor x, int start, int length)
    {
        var shape = x.Shape;
        return Tape.Record(
            nameof(SliceChannels), Ops.SliceChannels(x, start, length), [x], [],
            call => call.Set(0, Ops.PadChannels(call.Gradient, start, shape[-1])));
    }

    /// <inheritdoc cref="Ops.Permute"/>
    public static Tensor Permute(Tensor x, params int[] axes)
    {
        var y = Ops.Permute(x, axes);
        if (!IsRecorded(x))
        {
            return Unrecorded(nameof(Permute), y);
        }

        // Now, since the array is the caller's.
        var inverse = new int[axes.Length];
        for (var i = 0; i < axes.Length; i++)
        {
            inverse[axes[i]] = i;
        }

        return Tape.Record(nameof(Permute), y, [x], [], call => call.Set(0, Ops.Permute(call.Gradient, inverse)));
    }

    /// <inheritdoc cref="Ops.SpaceToDepth"/>
    public static Tensor SpaceToDepth(Tensor x, int patch = 2)
        => Tape.Record(
            nameof(SpaceToDepth), Ops.SpaceToDepth(x, patch), [x], [], call => call.Set(0, Ops.DepthToSpace(call.Gradient, patch)));

    /// <inheritdoc cref="Ops.DepthToSpace"/>
    public static Tensor DepthToSpace(Tensor x, int patch = 2)
        => Tape.Record(
            nameof(DepthToSpace), Ops.DepthToSpace(x, patch), [x], [], call => call.Set(0, Ops.SpaceToDepth(call.Gradient, patch)));

    /// <inheritdoc cref="Ops.FoldFrames"/>
    public static Tensor FoldFrames(Tensor x)
        => Tape.Record(nameof(FoldFrames), Ops.FoldFrames(x), [x], [], static call => call.Set(0, Ops.UnfoldFrames(call.Gradient)));

    /// <inheritdoc cref="Ops.UnfoldFrames"/>
    public static Tensor UnfoldFrames(Tensor x)
        => Tape.Record(nameof(UnfoldFrames), Ops.UnfoldFrames(x), [x], [], static call => call.Set(0, Ops.FoldFrames(call.Gradient)));

    /// <inheritdoc cref="Ops.UpsampleNearest2x"/>
    public static Tensor UpsampleNearest2x(Tensor x)
        => Tape.Record(
            nameof(UpsampleNearest2x), Ops.UpsampleNearest2x(x), [x], [], static call => call.Set(0, Ops.UpsampleNearest2xBackward(call.Gradient)));

    /// <inheritdoc cref="Ops.MaxPool2x2"/>
    /// <remarks>The gradient goes to the first of equal maxima in row order, as in PyTorch.</remarks>
    public static Tensor MaxPool2x2(Tensor x)
        => Tape.Record(
            nameof(MaxPool2x2), Ops.MaxPool2x2(x), [x], [x], static call => call.Set(0, Ops.MaxPool2x2Backward(call.Saved(0), call.Gradient)));
}
