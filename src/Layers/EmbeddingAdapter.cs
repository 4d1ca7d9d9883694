// Mixes the picture's CLIP tokens with its latent into the context that the U-Net looks at.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>
/// CLIP tokens [b, n, d] and latent [b, h, w, c]: the latent is max-pooled 2x2, its c channels become c tokens of width
/// (h/2)(w/2), a linear layer maps them to d, they are put behind the CLIP tokens, and a linear map over the token axis
/// brings n + c tokens back to n. Result [b, n, d].
/// </summary>
public sealed class EmbeddingAdapter : Module
{
    private readonly int _tokens;
    private readonly int _latentWidth;
    private readonly Linear _latent;
    private readonly Linear _mix;

    /// <summary>Describes the adapter.</summary>
    /// <param name="clipTokens">CLIP tokens, 50 at full size.</param>
    /// <param name="clipWidth">Their width, 768 at full size.</param>
    /// <param name="latentChannels">Channels of the latent, 4.</param>
    /// <param name="latentWidth">Pooled pixels of the latent, 1280 at full size.</param>
    public EmbeddingAdapter(int clipTokens = 50, int clipWidth = 768, int latentChannels = 4, int latentWidth = 1280)
    {
        var inputs = clipTokens + latentChannels;
        _tokens = clipTokens;
        _latentWidth = latentWidth;
        _latent = Add("vae2clip", new Linear(latentWidth, clipWidth));
        _mix = Add("linear1", new Linear(inputs, clipTokens, weight: Initialization.Identity(inputs)));
    }

    /// <summary>Applies the adapter.</summary>
    /// <exception cref="ArgumentException">The latent is not of the size that the adapter was made for.</exception>
    public Tensor Forward(Tensor clip, Tensor latent)
    {
        var (h, w) = (latent.Shape[1] / 2, latent.Shape[2] / 2);
        if (h * w != _latentWidth || clip.Shape[1] != _tokens)
        {
            throw new ArgumentException(
                $"the adapter takes {_tokens} CLIP tokens and a latent of {_latentWidth} pooled pixels, not {clip.Shape[1]} and {h} x {w} = {h * w}");
        }

        using var scope = TensorScope.Begin();
        var pooled = Functional.MaxPool2x2(latent);
        var channelsFirst = Functional.Permute(pooled, 0, 3, 1, 2).Reshape(latent.Shape[0], latent.Shape[-1], h * w);
        var tokens = Functional.ConcatTokens(clip, _latent.Forward(channelsFirst));
        var mixed = _mix.Forward(Functional.Permute(tokens, 0, 2, 1));
        return Return(scope, Functional.Permute(mixed, 0, 2, 1));
    }
}
