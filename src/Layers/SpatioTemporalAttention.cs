// Attention within each frame, then along time at each pixel, then a feed-forward; each with its residual.
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>
/// x [b, f, h, w, c]: spatial self-attention over h * w of each frame with a 2-D position bias, temporal self-attention over
/// f of each pixel with a 1-D bias (skipped without time), feed-forward; a residual around each.
/// </summary>
public sealed class SpatioTemporalAttention : Module
{
    private readonly SelfAttention _spatial;
    private readonly ContinuousPositionBias _spatialBias;
    private readonly SelfAttention _temporal;
    private readonly ContinuousPositionBias _temporalBias;
    private readonly FeedForward? _feedForward;

    /// <summary>Describes the layer.</summary>
    public SpatioTemporalAttention(int channels, int headWidth = 64, int heads = 8, bool addFeedForward = true, int feedForwardMult = 4)
    {
        _spatial = Add("spatial_attn", new SelfAttention(channels, headWidth, heads));
        _spatialBias = Add("spatial_rel_pos_bias", new ContinuousPositionBias(channels / 2, heads, axes: 2));
        _temporal = Add("temporal_attn", new SelfAttention(channels, headWidth, heads));
        _temporalBias = Add("temporal_rel_pos_bias", new ContinuousPositionBias(channels / 2, heads, axes: 1));
        _feedForward = addFeedForward ? Add("ff", new FeedForward(channels, feedForwardMult)) : null;
    }

    /// <summary>Applies the layer.</summary>
    public Tensor Forward(Tensor x, bool enableTime = true)
    {
        var s = x.Shape;
        var (b, f, h, w, c) = (s[0], s[1], s[2], s[3], s[4]);
        using var scope = TensorScope.Begin();
        var y = AttendSpace(x.Reshape(b * f, h * w, c), h, w).Reshape(b, f, h * w, c);
        if (enableTime)
        {
            using var bias = _temporalBias.Forward(x.Context, f);
            y = Next(y, _temporal.Forward(y, bias, AttentionAxis.Frames, residual: y));
        }

        var video = y.Reshape(b, f, h, w, c);
        return Return(scope, _feedForward is null ? video : _feedForward.Forward(video, enableTime, residual: video));
    }

    private Tensor AttendSpace(Tensor frames, int h, int w)
    {
        using var bias = _spatialBias.Forward(frames.Context, h, w);
        return _spatial.Forward(frames, bias, residual: frames);
    }
}
