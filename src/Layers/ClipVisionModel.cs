// The vision half of CLIP: a transformer over patches of a picture.
using FashionFlow.Autograd;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>Sizes of a <see cref="ClipVisionModel"/>, in Hugging Face's terms. The defaults are ViT-B/32's.</summary>
public sealed record ClipVisionOptions
{
    /// <summary>Width of a token.</summary>
    public int HiddenSize { get; init; } = 768;

    /// <summary>Transformer layers.</summary>
    public int Layers { get; init; } = 12;

    /// <summary>Attention heads.</summary>
    public int Heads { get; init; } = 12;

    /// <summary>Width of the feed-forward.</summary>
    public int IntermediateSize { get; init; } = 3072;

    /// <summary>Height and width of the picture.</summary>
    public int ImageSize { get; init; } = 224;

    /// <summary>Height and width of a patch.</summary>
    public int PatchSize { get; init; } = 32;

    /// <summary>Epsilon of every layer norm.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>Tokens: the patches and the class token.</summary>
    public int Tokens => ((ImageSize / PatchSize) * (ImageSize / PatchSize)) + 1;
}

/// <summary>
/// CLIP's vision encoder (Radford et al. 2021) under Hugging Face's parameter names, with the quick GELU. Pixel values
/// [n, h, w, 3], normalised, give tokens [n, tokens, width].
/// </summary>
public sealed class ClipVisionModel : Module
{
    private readonly ClipEmbeddings _embeddings;
    private readonly LayerNorm _preNorm;
    private readonly List<ClipLayer> _layers = [];
    private readonly LayerNorm _postNorm;

    /// <summary>Describes the model.</summary>
    public ClipVisionModel(ClipVisionOptions options)
    {
        Options = options;
        _embeddings = Add("vision_model.embeddings", new ClipEmbeddings(options));
        _preNorm = Add("vision_model.pre_layrnorm", new LayerNorm(options.HiddenSize, options.NormEpsilon));
        for (var i = 0; i < options.Layers; i++)
        {
            _layers.Add(Add($"vision_model.encoder.layers.{i}", new ClipLayer(options)));
        }

        _postNorm = Add("vision_model.post_layernorm", new LayerNorm(options.HiddenSize, options.NormEpsilon));
    }

    /// <summary>The model's sizes.</summary>
    public ClipVisionOptions Options { get; }

    /// <inheritdoc/>
    /// <remarks>The published file holds the whole CLIP model: its text half and the projections are passed over.</remarks>
    public override bool IsForeign(string name)
        => name.StartsWith("text_model.", StringComparison.Ordinal)
            || name is "visual_projection.weight" or "text_projection.weight" or "logit_scale" or "vision_model.embeddings.position_ids";

    /// <summary>The last hidden state, before the final norm: what the reference conditions on.</summary>
    public Tensor Forward(Tensor pixels)
    {
        using var scope = TensorScope.Begin();
        using var embedded = _embeddings.Forward(pixels);
        var h = _preNorm.Forward(embedded);
        foreach (var layer in _layers)
        {
            h = Next(h, layer.Forward(h));
        }

        return Return(scope, h);
    }

    /// <summary>The normed class token [n, 1, width] of a last hidden state; CLIP's pooled output.</summary>
    public Tensor Pool(Tensor lastHiddenState)
    {
        using var scope = TensorScope.Begin();
        var s = lastHiddenState.Shape;
        var tokensFirst = Functional.Permute(lastHiddenState, 1, 0, 2);
        return scope.Keep(_postNorm.Forward(tokensFirst.Narrow(0, 1).Reshape(s[0], 1, s[2])));
    }
}

/// <summary>Patches through a strided convolution, a class token in front, a learned position each.</summary>
internal sealed class ClipEmbeddings : Module
{
    private readonly ClipVisionOptions _options;
    private readonly Parameter _class;
    private readonly Convolution2d _patches;
    private readonly Parameter _positions;

    public ClipEmbeddings(ClipVisionOptions options)
    {
        _options = options;
        _class = Declare("class_embedding", [options.HiddenSize], Initialization.Gaussian(0.02));
        _patches = Add("patch_embedding", new Convolution2d(3, options.HiddenSize, options.PatchSize, options.PatchSize, bias: false));
        _positions = Declare("position_embedding.weight", [options.Tokens, options.HiddenSize], Initialization.Gaussian(0.02));
    }

    public Tensor Forward(Tensor pixels)
    {
        if (pixels.Shape.Rank != 4 || pixels.Shape[1] != _options.ImageSize || pixels.Shape[2] != _options.ImageSize)
        {
            throw new ArgumentException($"CLIP takes pictures of {_options.ImageSize} x {_options.ImageSize} pixels [n, h, w, 3], not {pixels.Shape}");
        }

        using var scope = TensorScope.Begin();
        var width = _options.HiddenSize;
        var patches = _patches.Forward(pixels).Reshape(pixels.Shape[0], -1, width);
        var zeros = Tensor.Zeros(pixels.Context, [pixels.Shape[0], 1, width], pixels.DType);
        var classes = Functional.AddBroadcastRow(zeros, _class.Value.Reshape(1, width));
        return Return(scope, Functional.AddBroadcastRow(Functional.ConcatTokens(classes, patches), _positions.Value));
    }
}

/// <summary>One transformer layer: attention and feed-forward, each normed in front and with its residual.</summary>
internal sealed class ClipLayer : Module
{
    private readonly int _heads;
    private readonly double _scale;
    private readonly Linear _key;
    private readonly Linear _value;
    private readonly Linear _query;
    private readonly Linear _out;
    private readonly LayerNorm _norm1;
    private readonly Linear _wide;
    private readonly Linear _narrow;
    private readonly LayerNorm _norm2;

    public ClipLayer(ClipVisionOptions o)
    {
        _heads = o.Heads;
        _scale = 1 / Math.Sqrt(o.HiddenSize / o.Heads);
        _key = Add("self_attn.k_proj", new Linear(o.HiddenSize, o.HiddenSize));
        _value = Add("self_attn.v_proj", new Linear(o.HiddenSize, o.HiddenSize));
        _query = Add("self_attn.q_proj", new Linear(o.HiddenSize, o.HiddenSize));
        _out = Add("self_attn.out_proj", new Linear(o.HiddenSize, o.HiddenSize));
        _norm1 = Add("layer_norm1", new LayerNorm(o.HiddenSize, o.NormEpsilon));
        _wide = Add("mlp.fc1", new Linear(o.HiddenSize, o.IntermediateSize));
        _narrow = Add("mlp.fc2", new Linear(o.IntermediateSize, o.HiddenSize));
        _norm2 = Add("layer_norm2", new LayerNorm(o.HiddenSize, o.NormEpsilon));
    }

    public Tensor Forward(Tensor x)
    {
        using var scope = TensorScope.Begin();
        var normed = _norm1.Forward(x);
        var attended = Functional.Attention(_query.Forward(normed), _key.Forward(normed), _value.Forward(normed), _heads, _scale);
        var h = _out.Forward(attended, residual: x);
        return Return(scope, _narrow.Forward(_wide.Forward(_norm2.Forward(h), Epilogue.QuickGelu), residual: h));
    }
}
