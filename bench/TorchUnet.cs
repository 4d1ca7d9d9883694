// The U-Net as libtorch users write it, over the parameters of ours under the names that both share: the same network on the
// same weights, so that the losses of the two must agree.
using FashionFlow.Diffusion;
using FashionFlow.Layers;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;
using Parameter = TorchSharp.Modules.Parameter;
using Tensor = TorchSharp.torch.Tensor;

namespace FashionFlow.Bench;

/// <summary>
/// <see cref="SpaceTimeUnet"/> in libtorch, channels first as the reference: videos [b, c, f, h, w]. Attention is
/// scaled_dot_product_attention.
/// </summary>
internal sealed class TorchUnet
{
    private readonly UnetOptions _options;
    private readonly Dictionary<string, Parameter> _parameters = new(StringComparer.Ordinal);

    public TorchUnet(SpaceTimeUnet ours)
    {
        _options = ours.Options;
        foreach (var (name, parameter) in ours.Parameters)
        {
            long[] shape = [.. parameter.TorchShape.Lengths.ToArray().Select(length => (long)length)];
            _parameters[name] = new Parameter(torch.tensor(parameter.ReadTorch(), shape));
        }
    }

    /// <summary>Its parameters, leaves.</summary>
    public IReadOnlyCollection<Parameter> Parameters => _parameters.Values;

    /// <summary>The noise in x [b, c, f, h, w], at timesteps [b], with a context [b, n, d].</summary>
    public Tensor Forward(Tensor x, Tensor timestep, Tensor context)
    {
        var t = F.silu(Linear("to_timestep_cond.1", Embed(timestep)));
        var h = PseudoConv("conv_in", x);
        var skips = new Stack<Tensor>();
        for (var i = 0; i < _options.Levels; i++)
        {
            var level = $"downs.{i}";
            h = Resnet($"{level}.0", h, t);
            skips.Push(h);
            h = Rest(level, i, h);
            skips.Push(h);
            h = CrossAttend($"{level}.4", Down($"{level}.3", h, _options.TemporalCompression[i]), context, i);
        }

        h = Resnet("mid_block1", h, t);
        h = Attend("mid_attn", h, heads: 8);
        h = Resnet("mid_block2", h, t);
        for (var i = _options.Levels - 1; i >= 0; i--)
        {
            var level = $"ups.{i}";
            h = Join(skips, Up($"{level}.3", h, _options.TemporalCompression[i]));
            h = Join(skips, Resnet($"{level}.0", h, t));
            h = CrossAttend($"{level}.4", Rest(level, i, h), context, i);
        }

        return PseudoConv("conv_out", h);
    }

    private static Tensor Join(Stack<Tensor> skips, Tensor h) => cat([skips.Pop() * (1 / Math.Sqrt(2)), h], 1);

    private static Tensor Modulated(Tensor x, Tensor scaleShift)
    {
        var parts = scaleShift.reshape(x.shape[0], -1, 1, 1, 1).chunk(2, 1);
        return (x * (parts[0] + 1)) + parts[1];
    }

    private static Tensor Geglu(Tensor x, long axis)
    {
        var parts = x.chunk(2, axis);
        return parts[0] * F.gelu(parts[1]);
    }

    private static Tensor Heads(Tensor x, long heads) => x.reshape(x.shape[0], x.shape[1], heads, -1).transpose(1, 2);

    private static Tensor Joined(Tensor x) => x.transpose(1, 2).reshape(x.shape[0], x.shape[2], -1);

    private Tensor Embed(Tensor timestep)
    {
        var half = _options.Dim / 2;
        var rates = torch.exp(arange(half, float32) * (-Math.Log(10000) / (half - 1)));
        var angles = timestep.unsqueeze(1) * rates.unsqueeze(0);
        return cat([angles.sin(), angles.cos()], 1);
    }

    private Tensor? Named(string name) => _parameters.GetValueOrDefault(name);

    private Tensor Linear(string name, Tensor x) => F.linear(x, _parameters[$"{name}.weight"], Named($"{name}.bias"));

    private Tensor Norm(string name, Tensor x) => F.layer_norm(x, [x.shape[^1]], _parameters[$"{name}.weight"], _parameters[$"{name}.bias"], 1e-5);

    // A convolution of size 1 over [b, c, f, h, w] of a weight that PyTorch stores with two or three axes of 1.
    private Tensor Pointwise(string name, Tensor x)
    {
        var weight = _parameters[$"{name}.weight"];
        return F.conv3d(x, weight.dim() == 5 ? weight : weight.unsqueeze(2), Named($"{name}.bias"));
    }

    private Tensor PseudoConv(string name, Tensor x)
    {
        var (b, f, h, w) = (x.shape[0], x.shape[2], x.shape[3], x.shape[4]);
        var spatial = _parameters[$"{name}.spatial_conv.weight"];
        var pad = spatial.shape[^1] / 2;
        var frames = F.conv2d(
            x.transpose(1, 2).reshape(b * f, x.shape[1], h, w), spatial, _parameters[$"{name}.spatial_conv.bias"], padding: [pad, pad]);
        var pixels = frames.reshape(b, f, -1, h, w).permute(0, 3, 4, 2, 1).reshape(b * h * w, -1, f);
        var temporal = _parameters[$"{name}.temporal_conv.weight"];
        pixels = F.conv1d(pixels, temporal, _parameters[$"{name}.temporal_conv.bias"], padding: temporal.shape[^1] / 2);
        return pixels.reshape(b, h, w, -1, f).permute(0, 3, 4, 1, 2);
    }

    private Tensor Block(string name, Tensor x, Tensor? scaleShift)
    {
        var y = F.group_norm(
            PseudoConv($"{name}.project", x), 8, _parameters[$"{name}.norm.weight"], _parameters[$"{name}.norm.bias"], 1e-5);
        return F.silu(scaleShift is null ? y : Modulated(y, scaleShift));
    }

    private Tensor Resnet(string name, Tensor x, Tensor? t)
    {
        var scaleShift = t is null ? null : Linear($"{name}.timestep_mlp.1", F.silu(t));
        var y = Block($"{name}.block2", Block($"{name}.block1", x, scaleShift), null);
        return y + (Named($"{name}.res_conv.spatial_conv.weight") is null ? x : Pointwise($"{name}.res_conv.spatial_conv", x));
    }

    private Tensor Rest(string level, int i, Tensor h)
    {
        for (var block = 0; block < _options.ResnetBlockDepths[i]; block++)
        {
            h = Resnet($"{level}.1.{block}", h, null);
        }

        return _options.SelfAttentions[i] ? Attend($"{level}.2", h, _options.Heads) : h;
    }

    private Tensor Attend(string name, Tensor x, int heads)
    {
        var (b, c, f, h, w) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3], x.shape[4]);
        var y = x.permute(0, 2, 3, 4, 1).reshape(b * f, h * w, c);
        y = y + SelfAttend($"{name}.spatial_attn", y, Bias($"{name}.spatial_rel_pos_bias", (int)h, (int)w), heads);
        y = y.reshape(b, f, h * w, c).transpose(1, 2).reshape(b * h * w, f, c);
        y = y + SelfAttend($"{name}.temporal_attn", y, Bias($"{name}.temporal_rel_pos_bias", (int)f), heads);
        y = y.reshape(b, h, w, f, c).permute(0, 4, 3, 1, 2);
        return y + FeedForward($"{name}.ff", y);
    }

    private Tensor SelfAttend(string name, Tensor x, Tensor bias, int heads)
    {
        var normed = Norm($"{name}.norm", x);
        var kv = Linear($"{name}.to_kv", normed).chunk(2, -1);
        var y = F.scaled_dot_product_attention(Heads(Linear($"{name}.to_q", normed), heads), Heads(kv[0], heads), Heads(kv[1], heads), bias);
        return Linear($"{name}.to_out", Joined(y));
    }

    // The network's value for every offset, looked up for every pair: [1, heads, n, n].
    private Tensor Bias(string name, params int[] lengths)
    {
        var positions = cartesian_prod([.. lengths.Select(length => arange(length, int64))]).reshape(-1, lengths.Length);
        var offsets = cartesian_prod([.. lengths.Select(length => arange(1 - length, length, 1, float32))]).reshape(-1, lengths.Length);
        var table = F.silu(Linear($"{name}.net.0.0", offsets));
        table = Linear($"{name}.net.2", F.silu(Linear($"{name}.net.1.0", table)));
        var pairs = positions.unsqueeze(1) - positions.unsqueeze(0);
        var index = zeros_like(pairs.select(-1, 0));
        for (var axis = 0; axis < lengths.Length; axis++)
        {
            index = (index * ((2 * lengths[axis]) - 1)) + pairs.select(-1, axis) + (lengths[axis] - 1);
        }

        return table[index].permute(2, 0, 1).unsqueeze(0);
    }

    private Tensor FeedForward(string name, Tensor x)
    {
        var y = Geglu(Pointwise($"{name}.proj_in.0", x), 1);
        var c = y.shape[1];
        var kept = (c + 1) / 2;
        var late = y.narrow(1, kept, c - kept);
        y = cat([y.narrow(1, 0, kept), cat([zeros_like(late.narrow(2, 0, 1)), late.narrow(2, 0, late.shape[2] - 1)], 2)], 1);
        var variance = y.var([1L], unbiased: false, keepdim: true);
        y = (y - y.mean([1L], keepdim: true)) * variance.clamp(min: ChanLayerNorm.Float32Epsilon).rsqrt() * _parameters[$"{name}.proj_out.0.g"];
        return Pointwise($"{name}.proj_out.1", y);
    }

    private Tensor CrossAttend(string name, Tensor x, Tensor context, int level)
    {
        var (b, c, f, h, w) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3], x.shape[4]);
        var heads = level < 2 ? 1 : level < 3 ? 2 : 4;
        var y = x.permute(0, 2, 3, 4, 1).reshape(b, f * h * w, c);
        var normed = Norm($"{name}.layernorm_2", y);
        var attended = F.scaled_dot_product_attention(
            Heads(Linear($"{name}.attention_2.q_proj", normed), heads),
            Heads(Linear($"{name}.attention_2.k_proj", context), heads),
            Heads(Linear($"{name}.attention_2.v_proj", context), heads));
        y = y + Linear($"{name}.attention_2.out_proj", Joined(attended));
        y = y + Linear($"{name}.linear_geglu_2", Geglu(Linear($"{name}.linear_geglu_1", Norm($"{name}.layernorm_3", y)), -1));
        return Pointwise($"{name}.conv_output.spatial_conv", y.reshape(b, f, h, w, c).permute(0, 4, 1, 2, 3));
    }

    // Two rows and two columns, then two frames, folded into the channels behind them, and the ways back.
    private Tensor Down(string name, Tensor x, bool time)
    {
        var (b, c, f, h, w) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3] / 2, x.shape[4] / 2);
        var y = Pointwise(
            $"{name}.down_space.1", x.reshape(b, c, f, h, 2, w, 2).permute(0, 1, 4, 6, 2, 3, 5).reshape(b, c * 4, f, h, w));
        return time
            ? Pointwise($"{name}.down_time.1", y.reshape(b, c, f / 2, 2, h, w).permute(0, 1, 3, 2, 4, 5).reshape(b, c * 2, f / 2, h, w))
            : y;
    }

    private Tensor Up(string name, Tensor x, bool time)
    {
        var (b, c, f, h, w) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3], x.shape[4]);
        var y = Pointwise($"{name}.up_space.0", x)
            .reshape(b, c, 2, 2, f, h, w).permute(0, 1, 4, 5, 2, 6, 3).reshape(b, c, f, h * 2, w * 2);
        return time
            ? Pointwise($"{name}.up_time.0", y).reshape(b, c, 2, f, h * 2, w * 2).permute(0, 1, 3, 2, 4, 5).reshape(b, c, f * 2, h * 2, w * 2)
            : y;
    }
}
