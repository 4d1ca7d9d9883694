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

    /// <summary>
    /// The most tokens that go through the block at a time, all of them at 0: nothing in it looks from one token at another, so that
    /// the result is the same, and the temporaries, nine times the input's size, shrink. A tape keeps them whole.
    /// </summary>
    public int TokensAtATime { get; set; }

    /// <summary>Applies the block.</summary>
    public Tensor Forward(Tensor x, Tensor context)
    {
        using var scope = TensorScope.Begin();
        var (batch, channels) = (x.Shape[0], x.Shape[-1]);
        var each = x.Shape.CountBetween(1, x.Shape.Rank - 1);
        if (TokensAtATime == 0 || each <= TokensAtATime || Tape.IsRecording)
        {
            return Return(scope, ForwardTokens(x.Reshape(batch, -1, channels), context, x.Shape));
        }

        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        IsUnseen = true;
        try
        {
            ForwardInParts(x, context, y, each);
        }
        finally
        {
            IsUnseen = false;
        }

        return Return(scope, y);
    }

    private void ForwardInParts(Tensor x, Tensor context, Tensor y, long each)
    {
        var (batch, channels) = (x.Shape[0], x.Shape[-1]);
        using var rows = x.Reshape(-1, channels);
        using var results = y.Reshape(-1, channels);
        for (var b = 0; b < batch; b++)
        {
            using var ofVideo = context.Narrow(b, 1);
            for (var start = 0L; start < each; start += TokensAtATime)
            {
                using var part = TensorScope.Begin();
                var count = (int)Math.Min(TokensAtATime, each - start);
                var at = checked((int)((b * each) + start));
                using var done = ForwardTokens(rows.Narrow(at, count).Reshape(1, count, channels), ofVideo, [count, channels]);
                results.Narrow(at, count).CopyFrom(done);
            }
        }
    }

    private Tensor ForwardTokens(Tensor tokens, Tensor context, Shape shape)
    {
        using var scope = TensorScope.Begin();
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
        return scope.Keep(_output.Forward(narrow.Reshape(shape)));
    }
}
