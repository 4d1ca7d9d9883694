// Multi-head attention from the video's tokens to the context's.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>softmax(q k^T / sqrt(d)) v with queries from x [b, n, c] and keys and values from y [b, m, context].</summary>
public sealed class CrossAttention : Module
{
    private readonly int _heads;
    private readonly double _scale;
    private readonly Linear _query;
    private readonly Linear _key;
    private readonly Linear _value;
    private readonly Linear _out;

    /// <summary>Describes the layer.</summary>
    public CrossAttention(int heads, int channels, int contextChannels, bool projectionBias = true, bool outputBias = true)
    {
        if (heads < 1 || channels % heads != 0)
        {
            throw new ArgumentException($"{channels} channels cannot be split into {heads} attention heads");
        }

        _heads = heads;
        _scale = 1 / Math.Sqrt(channels / heads);
        _query = Add("q_proj", new Linear(channels, channels, projectionBias));
        _key = Add("k_proj", new Linear(contextChannels, channels, projectionBias));
        _value = Add("v_proj", new Linear(contextChannels, channels, projectionBias));
        _out = Add("out_proj", new Linear(channels, channels, outputBias));
    }

    /// <summary>Attends from x to y and adds <paramref name="residual"/>.</summary>
    public Tensor Forward(Tensor x, Tensor y, Tensor? residual = null)
    {
        using var scope = TensorScope.Begin();
        using var query = _query.Forward(x);
        var key = _key.Forward(y);
        var value = _value.Forward(y);
        using var attended = Functional.Attention(query, key, value, _heads, _scale);
        query.Dispose();
        return Return(scope, _out.Forward(attended, residual: residual));
    }
}
