// The feed-forward of spatio-temporal attention: gated, with half of its channels looking one frame back.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>
/// x [b, f, h, w, c]: linear to 2 * inner, GEGLU (Shazeer 2020), token shift (only with time), channel norm, linear back.
/// inner = floor(c * mult * 2 / 3).
/// </summary>
public sealed class FeedForward : Module
{
    private readonly Linear _in;
    private readonly ChanLayerNorm _norm;
    private readonly Linear _out;

    /// <summary>Describes the layer.</summary>
    public FeedForward(int channels, int mult = 4)
    {
        var inner = channels * mult * 2 / 3;
        _in = Add("proj_in.0", new Linear(channels, inner * 2, bias: false, LinearStorage.Convolution3d));
        _norm = Add("proj_out.0", new ChanLayerNorm(inner));
        _out = Add("proj_out.1", new Linear(inner, channels, bias: false, LinearStorage.Convolution3d));
    }

    /// <summary>Applies the layer and adds <paramref name="residual"/>.</summary>
    public Tensor Forward(Tensor x, bool enableTime = true, Tensor? residual = null)
    {
        using var scope = TensorScope.Begin();
        using var wide = _in.Forward(x);
        using var gated = Functional.Geglu(wide);
        wide.Dispose();
        using var normed = _norm.Forward(gated, tokenShift: enableTime);
        gated.Dispose();
        return Return(scope, _out.Forward(normed, residual: residual));
    }
}
