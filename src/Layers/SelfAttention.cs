// Multi-head self-attention with its layer norm in front, over tokens or over the frames of every pixel.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>
/// softmax(q k^T / sqrt(d) + bias) v of the layer-normed input (Vaswani et al. 2017); no biases on the projections. Keys
/// and values are one projection. The reference calls it <c>Attention</c>.
/// </summary>
public sealed class SelfAttention : Module
{
    private readonly int _heads;
    private readonly double _scale;
    private readonly LayerNorm _norm;
    private readonly Linear _query;
    private readonly Linear _keyValue;
    private readonly Linear _out;

    /// <summary>Describes the layer: <paramref name="heads"/> heads of <paramref name="headWidth"/> channels each.</summary>
    public SelfAttention(int channels, int headWidth = 64, int heads = 8)
    {
        var inner = headWidth * heads;
        _heads = heads;
        _scale = 1 / Math.Sqrt(headWidth);
        _norm = Add("norm", new LayerNorm(channels));
        _query = Add("to_q", new Linear(channels, inner, bias: false));
        _keyValue = Add("to_kv", new Linear(channels, inner * 2, bias: false));
        _out = Add("to_out", new Linear(inner, channels, bias: false, weight: Initialization.Zero(inner)));
    }

    /// <summary>Attends.</summary>
    /// <param name="x">[b, n, c]; over frames [b, f, p, c].</param>
    /// <param name="bias">[heads, n, n] or null.</param>
    /// <param name="axis">Over tokens, or over the frames of every pixel.</param>
    /// <param name="residual">Added to the result; null for none.</param>
    public Tensor Forward(Tensor x, Tensor? bias = null, AttentionAxis axis = AttentionAxis.Tokens, Tensor? residual = null)
    {
        using var scope = TensorScope.Begin();
        using var normed = _norm.Forward(x);
        using var query = _query.Forward(normed);
        using var keyValue = _keyValue.Forward(normed);
        normed.Dispose();
        using var attended = Functional.AttentionKv(query, keyValue, _heads, _scale, bias, axis);
        return Return(scope, _out.Forward(attended, residual: residual));
    }
}
