// Lets every position of the video look at the picture's context.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>
/// x [b, f, h, w, c] and context [b, m, d]: layer norm, cross-attention, residual; layer norm, GEGLU feed-forward, residual;
/// then a pointwise convolution without a residual.
/// </summary>
public sealed class AttentionBlock : Module
{
    private readonly LayerNorm _attentionNorm;
    private readonly CrossAttention _attention;
    private readonly LayerNorm _feedForwardNorm;
    private readonly Linear _wide;
    private readonly Linear _narrow;
    private readonly PseudoConv3d _output;

    /// <summary>Describes the block: <paramref name="heads"/> heads of <paramref name="headWidth"/> channels.</summary>
    public AttentionBlock(int heads, int headWidth, int contextChannels = 768)
    {
        var channels = heads * headWidth;
        _attentionNorm = Add("layernorm_2", new LayerNorm(channels));
        _attention = Add("attention_2", new CrossAttention(heads, channels, contextChannels, projectionBias: false));
        _feedForwardNorm = Add("layernorm_3", new LayerNorm(channels));
        _wide = Add("linear_geglu_1", new Linear(channels, channels * 8));
        _narrow = Add("linear_geglu_2", new Linear(channels * 4, channels));
        _output = Add("conv_output", new PseudoConv3d(channels, channels, kernelSize: 1));
    }

    /// <summary>Applies the block.</summary>
    public Tensor Forward(Tensor x, Tensor context)
    {
        using var scope = TensorScope.Begin();
        using var tokens = x.Reshape(x.Shape[0], -1, x.Shape[-1]);
        using var attentionInput = _attentionNorm.Forward(tokens);
        using var attended = _attention.Forward(attentionInput, context, residual: tokens);
        attentionInput.Dispose();
        using var feedForwardInput = _feedForwardNorm.Forward(attended);
        using var wide = _wide.Forward(feedForwardInput);
        feedForwardInput.Dispose();
        using var gated = Functional.Geglu(wide);
        wide.Dispose();
        using var narrow = _narrow.Forward(gated, residual: attended);
        gated.Dispose();
        return Return(scope, _output.Forward(narrow.Reshape(x.Shape)));
    }
}
