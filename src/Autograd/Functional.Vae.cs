// Latents of the encoder's posterior.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

public static partial class Functional
{
    /// <inheritdoc cref="Ops.PosteriorSample"/>
    /// <remarks>The noise is a draw, not a value that can be learned: no gradient passes to it.</remarks>
    public static Tensor PosteriorSample(Tensor moments, Tensor noise, double scale)
        => Tape.Record(
            nameof(PosteriorSample), Ops.PosteriorSample(moments, noise, scale), [moments], [moments, noise],
            call => call.Set(0, Ops.PosteriorSampleBackward(call.Saved(0), call.Saved(1), call.Gradient, scale)));

    /// <inheritdoc cref="Ops.PosteriorMean"/>
    public static Tensor PosteriorMean(Tensor moments, double scale)
    {
        var shape = moments.Shape;
        return Tape.Record(
            nameof(PosteriorMean), Ops.PosteriorMean(moments, scale), [moments], [],
            call => call.Set(0, Ops.PadChannels(call.Gradient, 0, shape[-1], scale)));
    }
}
