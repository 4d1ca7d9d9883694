// The variational autoencoder of Stable Diffusion: pictures to latents an eighth of their size, and back.
using System.Text.RegularExpressions;
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>Sizes of an <see cref="AutoencoderKl"/>, in diffusers' terms. The defaults are Stable Diffusion v1-4's.</summary>
public sealed record AutoencoderOptions
{
    /// <summary>Channels of a picture.</summary>
    public int InChannels { get; init; } = 3;

    /// <summary>Channels of a decoded picture.</summary>
    public int OutChannels { get; init; } = 3;

    /// <summary>Channels a level, from the picture's size down.</summary>
    public IReadOnlyList<int> BlockOutChannels { get; init; } = [128, 256, 512, 512];

    /// <summary>Residual blocks a level of the encoder; the decoder has one more.</summary>
    public int LayersPerBlock { get; init; } = 2;

    /// <summary>Channels of a latent.</summary>
    public int LatentChannels { get; init; } = 4;

    /// <summary>Groups of every group norm.</summary>
    public int NormGroups { get; init; } = 32;

    /// <summary>Epsilon of every group norm.</summary>
    public double NormEpsilon { get; init; } = 1e-6;

    /// <summary>What latents are multiplied by for the diffusion model, and divided by before decoding.</summary>
    public double ScalingFactor { get; init; } = 0.18215;

    /// <summary>Picture pixels a latent pixel, along each axis.</summary>
    public int Downscale => 1 << (BlockOutChannels.Count - 1);
}

/// <summary>
/// AutoencoderKL (Rombach et al. 2022) under diffusers' parameter names, old spellings included. Pictures are
/// [n, h, w, 3], latents [n, h', w', c], moments [n, h', w', 2c]: mean, then log-variance.
/// </summary>
/// <remarks>
/// A new autoencoder starts as a nearly linear map with little noise in its latents: the branches of residual blocks end in
/// zeros (Goyal et al. 2017, section 5.1), convolutions outside them keep variances, pictures count as differences from a light
/// grey, and log-variances start low. PyTorch's own starting values shrink a signal by sqrt 3 at every convolution that no norm
/// follows; colours, which vary a tenth as much as brightness, then drown on their way to the latents, and a small
/// autoencoder sees grey for its first thousands of steps.
/// </remarks>
public sealed partial class AutoencoderKl : Module
{
    private readonly AutoencoderEncoder _encoder;
    private readonly AutoencoderDecoder _decoder;
    private readonly Convolution2d _quant;
    private readonly Convolution2d _postQuant;

    /// <summary>Describes the model.</summary>
    public AutoencoderKl(AutoencoderOptions options)
    {
        Options = options;
        var latent = options.LatentChannels;
        _encoder = Add("encoder", new AutoencoderEncoder(options));
        _decoder = Add("decoder", new AutoencoderDecoder(options));
        _quant = Add(
            "quant_conv", AutoencoderParts.Convolution(latent * 2, latent * 2, 1, Initialization.SecondHalf(AutoencoderParts.FirstLogVariance, latent * 2)));
        _postQuant = Add("post_quant_conv", AutoencoderParts.Convolution(latent, latent, 1));
    }

    /// <summary>The model's sizes.</summary>
    public AutoencoderOptions Options { get; }

    /// <summary>Rows of an activation that are on the device at a time where pictures are decoded in strips; 0 where they are not.</summary>
    public int RowsAtATime { get; set; }

    /// <inheritdoc/>
    public override string CurrentName(string name)
        => OldAttentionName().Replace(name, m => m.Groups[1].Value + m.Groups[2].Value switch
        {
            "query" => "to_q",
            "key" => "to_k",
            "value" => "to_v",
            _ => "to_out.0",
        });

    /// <summary>Moments of the latents of pictures.</summary>
    public Tensor Encode(Tensor pictures)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(_quant.Forward(_encoder.Forward(pictures)));
    }

    /// <summary>Pictures of latents, which are not scaled.</summary>
    public Tensor Decode(Tensor latents)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(_decoder.Forward(_postQuant.Forward(latents)));
    }

    /// <summary>
    /// The picture of one latent, decoded in strips of rows: activations of the picture's size lie in host memory and pass through the
    /// device strip by strip. Convolutions get the rows beside a strip, and norms the statistics of the whole picture, so that no
    /// seam shows; only the order of the statistics' sums differs from <see cref="Decode"/>.
    /// </summary>
    /// <param name="latent">[1, h, w, c], not scaled.</param>
    /// <param name="rows">Rows of an activation that are on the device at a time, from 1.</param>
    /// <param name="onStrip">Gets each strip [1, r, width, 3] of the picture with the number of its first row, from the top; valid during the call.</param>
    public void DecodeInStrips(Tensor latent, int rows, Action<int, Tensor> onStrip)
    {
        using var scope = TensorScope.Begin();
        _decoder.ForwardInStrips(_postQuant.Forward(latent), rows, onStrip);
    }

    [GeneratedRegex(@"^(.*\.attentions\.\d+\.)(query|key|value|proj_attn)(?=\.)")]
    private static partial Regex OldAttentionName();
}

/// <summary>The encoder: levels of residual blocks with strided convolutions between them, then the middle.</summary>
internal sealed class AutoencoderEncoder : Module
{
    private readonly Convolution2d _in;
    private readonly List<AutoencoderLevel> _levels = [];
    private readonly AutoencoderMiddle _middle;
    private readonly GroupNorm _normOut;
    private readonly Convolution2d _out;

    public AutoencoderEncoder(AutoencoderOptions o)
    {
        var widths = o.BlockOutChannels;
        _in = Add(
            "conv_in",
            AutoencoderParts.Convolution(o.InChannels, widths[0], 3, Initialization.Cancelling(AutoencoderParts.PictureLevel, o.InChannels * 9)));
        for (var i = 0; i < widths.Count; i++)
        {
            var level = new AutoencoderLevel(o, widths[Math.Max(i - 1, 0)], widths[i], o.LayersPerBlock, down: i < widths.Count - 1, up: false);
            _levels.Add(Add($"down_blocks.{i}", level));
        }

        _middle = Add("mid_block", new AutoencoderMiddle(o, widths[^1]));
        _normOut = Add("conv_norm_out", new GroupNorm(o.NormGroups, widths[^1], o.NormEpsilon));
        _out = Add("conv_out", AutoencoderParts.Convolution(widths[^1], o.LatentChannels * 2, 3));
    }

    public Tensor Forward(Tensor x)
    {
        using var scope = TensorScope.Begin();
        var h = _in.Forward(x);
        foreach (var level in _levels)
        {
            h = Next(h, level.Forward(h));
        }

        h = Next(h, _middle.Forward(h));
        h = Next(h, _normOut.Forward(h, silu: true));
        return Return(scope, _out.Forward(h));
    }
}

/// <summary>The decoder: the middle, then levels of residual blocks with doubling between them.</summary>
internal sealed class AutoencoderDecoder : Module
{
    private readonly Convolution2d _in;
    private readonly List<AutoencoderLevel> _levels = [];
    private readonly AutoencoderMiddle _middle;
    private readonly GroupNorm _normOut;
    private readonly Convolution2d _out;

    public AutoencoderDecoder(AutoencoderOptions o)
    {
        var widths = o.BlockOutChannels.Reverse().ToList();
        _in = Add("conv_in", AutoencoderParts.Convolution(o.LatentChannels, widths[0], 3));
        for (var i = 0; i < widths.Count; i++)
        {
            var level = new AutoencoderLevel(o, widths[Math.Max(i - 1, 0)], widths[i], o.LayersPerBlock + 1, down: false, up: i < widths.Count - 1);
            _levels.Add(Add($"up_blocks.{i}", level));
        }

        _middle = Add("mid_block", new AutoencoderMiddle(o, widths[0]));
        _normOut = Add("conv_norm_out", new GroupNorm(o.NormGroups, widths[^1], o.NormEpsilon));

        _out = Add("conv_out", AutoencoderParts.Convolution(widths[^1], o.OutChannels, 3, Initialization.Constant(AutoencoderParts.PictureLevel)));
    }

    public Tensor Forward(Tensor x)
    {
        using var scope = TensorScope.Begin();
        var h = _in.Forward(x);
        h = Next(h, _middle.Forward(h));
        foreach (var level in _levels)
        {
            h = Next(h, level.Forward(h));
        }

        h = Next(h, _normOut.Forward(h, silu: true));
        return Return(scope, _out.Forward(h));
    }

    // What is of the latent's size stays on the device as a whole: the middle looks at all of it at once.
    public void ForwardInStrips(Tensor x, int rows, Action<int, Tensor> onStrip)
    {
        using var scope = TensorScope.Begin();
        var h = _in.Forward(x);
        h = Next(h, _middle.Forward(h));
        var strips = new StripActivation(h);
        h.Dispose();
        foreach (var level in _levels)
        {
            strips = level.ForwardInStrips(strips, rows);
        }

        var norm = strips.Coefficients(_normOut, rows);
        strips.Walk(rows, (strip, part) => onStrip(strip.Start, _out.Forward(_normOut.ForwardPart(part, norm), strip.Padding)));
    }
}

/// <summary>One level: residual blocks, then halving or doubling.</summary>
internal sealed class AutoencoderLevel : Module
{
    private readonly List<AutoencoderResnet> _resnets = [];
    private readonly AutoencoderDownsample? _down;
    private readonly AutoencoderUpsample? _up;

    public AutoencoderLevel(AutoencoderOptions o, int inputs, int outputs, int layers, bool down, bool up)
    {
        for (var i = 0; i < layers; i++)
        {
            _resnets.Add(Add($"resnets.{i}", new AutoencoderResnet(o, i == 0 ? inputs : outputs, outputs)));
        }

        _down = down ? Add("downsamplers.0", new AutoencoderDownsample(outputs)) : null;
        _up = up ? Add("upsamplers.0", new AutoencoderUpsample(outputs)) : null;
    }

    public Tensor Forward(Tensor x)
    {
        using var scope = TensorScope.Begin();
        var h = x;
        foreach (var resnet in _resnets)
        {
            h = Next(h, resnet.Forward(h), keep: x);
        }

        h = _down is null ? h : Next(h, _down.Forward(h));
        h = _up is null ? h : Next(h, _up.Forward(h));
        return Return(scope, h);
    }

    public StripActivation ForwardInStrips(StripActivation x, int rows)
    {
        foreach (var resnet in _resnets)
        {
            x = resnet.ForwardInStrips(x, rows);
        }

        return _up is null ? x : _up.ForwardInStrips(x, rows);
    }
}

/// <summary>The middle: residual block, single-head attention over all pixels, residual block.</summary>
internal sealed class AutoencoderMiddle : Module
{
    private readonly AutoencoderAttention _attention;
    private readonly AutoencoderResnet _first;
    private readonly AutoencoderResnet _second;

    public AutoencoderMiddle(AutoencoderOptions o, int channels)
    {
        _attention = Add("attentions.0", new AutoencoderAttention(o, channels));
        _first = Add("resnets.0", new AutoencoderResnet(o, channels, channels));
        _second = Add("resnets.1", new AutoencoderResnet(o, channels, channels));
    }

    public Tensor Forward(Tensor x)
    {
        using var scope = TensorScope.Begin();
        var h = _first.Forward(x);
        h = Next(h, _attention.Forward(h));
        return Return(scope, Next(h, _second.Forward(h)));
    }
}

/// <summary>GroupNorm, SiLU, 3x3 convolution, twice, plus the input (through a 1x1 convolution if the channels change).</summary>
internal sealed class AutoencoderResnet : Module
{
    private readonly GroupNorm _norm1;
    private readonly Convolution2d _conv1;
    private readonly GroupNorm _norm2;
    private readonly Convolution2d _conv2;
    private readonly Convolution2d? _shortcut;

    public AutoencoderResnet(AutoencoderOptions o, int inputs, int outputs)
    {
        _norm1 = Add("norm1", new GroupNorm(o.NormGroups, inputs, o.NormEpsilon));
        _conv1 = Add("conv1", new Convolution2d(inputs, outputs, 3, padding: AutoencoderParts.Same));
        _norm2 = Add("norm2", new GroupNorm(o.NormGroups, outputs, o.NormEpsilon));
        _conv2 = Add("conv2", AutoencoderParts.BranchEnd(outputs));
        _shortcut = inputs == outputs ? null : Add("conv_shortcut", AutoencoderParts.Convolution(inputs, outputs, 1));
    }

    public Tensor Forward(Tensor x)
    {
        using var scope = TensorScope.Begin();
        var h = _norm1.Forward(x, silu: true);
        h = Next(h, _conv1.Forward(h));
        h = Next(h, _norm2.Forward(h, silu: true));
        var shortcut = _shortcut is null ? x : _shortcut.Forward(x);
        return Return(scope, _conv2.Forward(h, residual: shortcut));
    }

    public StripActivation ForwardInStrips(StripActivation x, int rows)
    {
        using var scope = TensorScope.Begin();
        var norm1 = x.Coefficients(_norm1, rows);
        var h = x.Map(rows, 1, (strip, part) => _conv1.Forward(_norm1.ForwardPart(part, norm1), strip.Padding));
        var norm2 = h.Coefficients(_norm2, rows);
        return h.Map(rows, 1, (strip, part) =>
        {
            var beside = x.Get(strip.Start, part.Shape[1] + strip.Padding.Top + strip.Padding.Bottom - 2);
            return _conv2.Forward(_norm2.ForwardPart(part, norm2), strip.Padding, _shortcut is null ? beside : _shortcut.Forward(beside));
        });
    }
}

/// <summary>GroupNorm, then attention of one head over all pixels, plus the input.</summary>
internal sealed class AutoencoderAttention : Module
{
    private readonly double _scale;
    private readonly GroupNorm _norm;
    private readonly Linear _query;
    private readonly Linear _key;
    private readonly Linear _value;
    private readonly Linear _out;

    public AutoencoderAttention(AutoencoderOptions o, int channels)
    {
        _scale = 1 / Math.Sqrt(channels);
        _norm = Add("group_norm", new GroupNorm(o.NormGroups, channels, o.NormEpsilon));
        _query = Add("to_q", new Linear(channels, channels));
        _key = Add("to_k", new Linear(channels, channels));
        _value = Add("to_v", new Linear(channels, channels));
        _out = Add("to_out.0", new Linear(channels, channels));
    }

    public Tensor Forward(Tensor x)
    {
        using var scope = TensorScope.Begin();
        var tokens = x.Reshape(x.Shape[0], -1, x.Shape[-1]);
        using var normed = _norm.Forward(tokens);
        using var attended = Functional.Attention(_query.Forward(normed), _key.Forward(normed), _value.Forward(normed), heads: 1, _scale);
        return Return(scope, _out.Forward(attended, residual: tokens).Reshape(x.Shape));
    }
}

/// <summary>3x3 convolution of stride 2; one zero row and column are added at the bottom and right.</summary>
internal sealed class AutoencoderDownsample : Module
{
    private readonly Convolution2d _conv;

    public AutoencoderDownsample(int channels)
        => _conv = Add("conv", AutoencoderParts.Convolution(channels, channels, 3, stride: 2, padding: new Padding2d(0, 0, 1, 1)));

    public Tensor Forward(Tensor x)
    {
        using var scope = TensorScope.Begin();
        return Return(scope, _conv.Forward(x));
    }
}

/// <summary>Doubling by repetition, then a 3x3 convolution.</summary>
internal sealed class AutoencoderUpsample : Module
{
    private readonly Convolution2d _conv;

    public AutoencoderUpsample(int channels) => _conv = Add("conv", AutoencoderParts.Convolution(channels, channels, 3));

    public Tensor Forward(Tensor x)
    {
        using var scope = TensorScope.Begin();
        return Return(scope, _conv.Forward(Functional.UpsampleNearest2x(x)));
    }

    public StripActivation ForwardInStrips(StripActivation x, int rows)
    {
        return x.Map(Math.Max(rows / 2, 1), 2, (strip, part) =>
        {
            // A row of the neighbour becomes two, of which the convolution needs the nearer one.
            var doubled = Functional.UpsampleNearest2x(part);
            var (above, below) = (1 - strip.Padding.Top, 1 - strip.Padding.Bottom);
            var s = doubled.Shape;
            var rowsNeeded = s[1] - above - below;
            return _conv.Forward(doubled.Reshape(s[1], s[2], s[3]).Narrow(above, rowsNeeded).Reshape(1, rowsNeeded, s[2], s[3]), strip.Padding);
        });
    }
}

/// <summary>What the autoencoder's parts share.</summary>
internal static class AutoencoderParts
{
    /// <summary>The padding with which a 3x3 convolution keeps the size.</summary>
    public static Padding2d Same => Padding2d.Same(3, 3);

    /// <summary>Where pictures in [0, 1] are expected to lie: products are shown before light walls.</summary>
    public const double PictureLevel = 0.6;

    /// <summary>The log-variance that latents start with: a deviation of a fiftieth, which hides nothing from the decoder.</summary>
    public const double FirstLogVariance = -8;

    /// <summary>A convolution outside the branches of residual blocks, which keeps the variance of what passes; its bias starts at zero.</summary>
    public static Convolution2d Convolution(
        int inputs, int outputs, int size, Initialization? biasStart = null, int stride = 1, Padding2d? padding = null)
    {
        var fanIn = inputs * size * size;
        return new Convolution2d(
            inputs,
            outputs,
            size,
            stride,
            padding ?? Padding2d.Same(size, size),
            weightStart: Initialization.VariancePreserving(fanIn),
            biasStart: biasStart ?? Initialization.Zero(fanIn));
    }

    /// <summary>The last convolution of a residual block's branch, which adds nothing yet.</summary>
    public static Convolution2d BranchEnd(int channels)
    {
        var zero = Initialization.Zero(channels * 9);
        return new Convolution2d(channels, channels, 3, padding: Same, weightStart: zero, biasStart: zero);
    }
}
