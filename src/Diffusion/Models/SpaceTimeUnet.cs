// The denoising network: a U-Net over space and, on levels that ask for it, time.
using FashionFlow.Autograd;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion;

/// <summary>
/// Predicts the noise in a latent video from the video [b, f, h, w, c], a timestep [b] and a context [b, n, d]. Parameter
/// names and order are the reference's (<c>downs</c> from the outside in, <c>ups</c> likewise, run from the inside out).
/// </summary>
public sealed class SpaceTimeUnet : Module
{
    private const int MiddleHeads = 8;
    private const int MiddleHeadWidth = 64;

    // Skips enter scaled, as in Saharia et al. 2022 (Imagen).
    private static readonly double SkipScale = 1 / Math.Sqrt(2);

    private readonly TimestepConditioning? _timestep;
    private readonly List<UnetDownLevel> _downs = [];
    private readonly List<UnetUpLevel> _ups = [];
    private readonly ResnetBlock _middle1;
    private readonly SpatioTemporalAttention _middleAttention;
    private readonly ResnetBlock _middle2;
    private readonly PseudoConv3d _in;
    private readonly PseudoConv3d _out;

    /// <summary>Describes the network.</summary>
    public SpaceTimeUnet(UnetOptions options)
    {
        Options = options;
        var channels = options.DimMult.Select(m => m * options.Dim).Prepend(options.Dim).ToArray();
        int? timestep = options.ConditionOnTimestep ? options.Dim * 4 : null;
        _timestep = options.ConditionOnTimestep ? Add("to_timestep_cond", new TimestepConditioning(options.Dim)) : null;
        for (var i = 0; i < options.Levels; i++)
        {
            _downs.Add(Add($"downs.{i}", new UnetDownLevel(options, i, channels[i], channels[i + 1], timestep)));
        }

        for (var i = 0; i < options.Levels; i++)
        {
            _ups.Add(Add($"ups.{i}", new UnetUpLevel(options, i, channels[i], channels[i + 1], timestep)));
        }

        _middle1 = Add("mid_block1", new ResnetBlock(channels[^1], channels[^1], timestep));
        _middleAttention = Add("mid_attn", new SpatioTemporalAttention(channels[^1], MiddleHeadWidth, MiddleHeads));
        _middle2 = Add("mid_block2", new ResnetBlock(channels[^1], channels[^1], timestep));
        _in = Add("conv_in", new PseudoConv3d(options.Channels, options.Dim, kernelSize: 7, temporalKernelSize: 3));
        _out = Add("conv_out", new PseudoConv3d(options.Dim, options.Channels, kernelSize: 3, temporalKernelSize: 3));
    }

    /// <summary>Sizes and switches.</summary>
    public UnetOptions Options { get; }

    /// <summary>
    /// The lower bound of the variance in the feed-forwards' norms: <see cref="ChanLayerNorm.Float32Epsilon"/>, or
    /// <see cref="ChanLayerNorm.HalfEpsilon"/> where the reference's sampling under autocast is to be met.
    /// </summary>
    public double ChannelNormEpsilon
    {
        get => Modules.OfType<ChanLayerNorm>().First().Epsilon;
        set
        {
            foreach (var norm in Modules.OfType<ChanLayerNorm>())
            {
                norm.Epsilon = value;
            }
        }
    }

    /// <summary>The most tokens that go through a cross-attention block at a time (<see cref="AttentionBlock.TokensAtATime"/>); all of them at 0.</summary>
    public int TokensAtATime
    {
        get => Modules.OfType<AttentionBlock>().First().TokensAtATime;
        set
        {
            foreach (var block in Modules.OfType<AttentionBlock>())
            {
                block.TokensAtATime = value;
            }
        }
    }

    /// <summary>
    /// Whether blocks are computed again on the way back instead of keeping their activations: gradients of the same bits for
    /// a third more work and a fraction of the memory (<see cref="Checkpoint"/>).
    /// </summary>
    public bool Recompute { get; set; }

    /// <summary>Predicts the noise, of x's shape.</summary>
    /// <param name="x">Video [b, f, h, w, c].</param>
    /// <param name="timestep">[b]; null for a model without.</param>
    /// <param name="context">[b, n, d].</param>
    /// <param name="enableTime">False treats the frames as unrelated pictures; then any number of them goes.</param>
    /// <exception cref="ArgumentException">A shape does not fit the model.</exception>
    public Tensor Forward(Tensor x, Tensor? timestep, Tensor context, bool enableTime = true)
    {
        CheckInputs(x, timestep, context, enableTime);
        using var scope = TensorScope.Begin();
        var t = _timestep?.Forward(timestep!);
        var h = UnetLevels.Run(i => _in.Forward(i[0]!, enableTime), Recompute, x);
        var skips = new Stack<Tensor>();
        foreach (var level in _downs)
        {
            h = level.Forward(h, t, context, enableTime, Recompute, skips);
        }

        h = Next(h, UnetLevels.Run(i => _middle1.Forward(i[0]!, i[1], enableTime), Recompute, h, t));
        h = Next(h, UnetLevels.Run(i => _middleAttention.Forward(i[0]!, enableTime), Recompute, h));
        h = Next(h, UnetLevels.Run(i => _middle2.Forward(i[0]!, i[1], enableTime), Recompute, h, t));
        for (var i = _ups.Count - 1; i >= 0; i--)
        {
            h = _ups[i].Forward(h, t, context, enableTime, Recompute, skips);
        }

        return Return(scope, UnetLevels.Run(i => _out.Forward(i[0]!, enableTime), Recompute, h));
    }

    /// <summary>Checks the number of frames.</summary>
    /// <returns>Null if it fits, else one line that says what would.</returns>
    public string? DescribeFrameProblem(int frames) => Options.DescribeFrameProblem(frames);

    /// <summary>[skip / sqrt 2, h] along the channels.</summary>
    internal static Tensor Join(Tensor skip, Tensor h) => Functional.ConcatChannels(skip, SkipScale, h);

    private void CheckInputs(Tensor x, Tensor? timestep, Tensor context, bool enableTime)
    {
        var o = Options;
        if (x.Shape.Rank != 5 || x.Shape[-1] != o.Channels)
        {
            throw new ArgumentException($"the U-Net takes videos [b, f, h, w, {o.Channels}], not {x.Shape}");
        }

        if (x.Shape[2] % o.SpaceMultiple != 0 || x.Shape[3] % o.SpaceMultiple != 0 || x.Shape[2] == 0 || x.Shape[3] == 0)
        {
            throw new ArgumentException(
                $"a latent of {x.Shape[2]} x {x.Shape[3]} (h x w) does not fit: the U-Net halves it {o.Levels} times, so both must be multiples of {o.SpaceMultiple}");
        }

        if (enableTime && DescribeFrameProblem(x.Shape[1]) is { } problem)
        {
            throw new ArgumentException(problem);
        }

        if (context.Shape.Rank != 3 || context.Shape[0] != x.Shape[0] || context.Shape[2] != o.ContextChannels)
        {
            throw new ArgumentException($"the context must be [{x.Shape[0]}, n, {o.ContextChannels}], not {context.Shape}");
        }

        if (timestep is null == o.ConditionOnTimestep || (timestep is not null && timestep.Shape != new Shape(x.Shape[0])))
        {
            throw new ArgumentException(o.ConditionOnTimestep
                ? $"the U-Net needs one timestep a video, [{x.Shape[0]}], not {timestep?.Shape.ToString() ?? "none"}"
                : "this U-Net takes no timestep");
        }
    }
}

/// <summary>What the levels' builders share.</summary>
internal static class UnetLevels
{
    // Heads of the cross-attention from the outermost level in; the reference hard-codes 1 x 64, 1 x 128, 2 x 128, 4 x 128 for
    // dim 64 and its mirror image (4 x 64 and so on) on the way up.
    private static readonly int[] CrossHeads = [1, 1, 2, 4];

    /// <summary>Runs a block; where activations are computed again, nothing but its inputs is kept.</summary>
    public static Tensor Run(Func<Tensor?[], Tensor> block, bool recompute, params Tensor?[] inputs)
        => recompute ? Checkpoint.Run(block, inputs) : block(inputs);

    public static AttentionBlock CrossAttention(UnetOptions o, int level, int channels)
    {
        var heads = CrossHeads[level];
        return channels % heads == 0
            ? new AttentionBlock(heads, channels / heads, o.ContextChannels)
            : throw new ModelException($"level {level} of the U-Net has {channels} channels, which {heads} attention heads do not divide");
    }
}

/// <summary>A level on the way down; it leaves two skips.</summary>
internal sealed class UnetDownLevel : Module
{
    private readonly ResnetBlock _first;
    private readonly List<ResnetBlock> _rest = [];
    private readonly SpatioTemporalAttention? _attention;
    private readonly Downsample _down;
    private readonly AttentionBlock _cross;

    public UnetDownLevel(UnetOptions o, int level, int inputs, int outputs, int? timestep)
    {
        _first = Add("0", new ResnetBlock(inputs, outputs, timestep));
        for (var i = 0; i < o.ResnetBlockDepths[level]; i++)
        {
            _rest.Add(Add($"1.{i}", new ResnetBlock(outputs, outputs)));
        }

        _attention = o.SelfAttentions[level] ? Add("2", new SpatioTemporalAttention(outputs, o.HeadWidth, o.Heads)) : null;
        _down = Add("3", new Downsample(outputs, o.TemporalCompression[level]));
        _cross = Add("4", UnetLevels.CrossAttention(o, level, outputs));
    }

    public Tensor Forward(Tensor h, Tensor? t, Tensor context, bool enableTime, bool recompute, Stack<Tensor> skips)
    {
        h = Next(h, UnetLevels.Run(x => _first.Forward(x[0]!, x[1], enableTime), recompute, h, t));
        skips.Push(h.AddReference());
        foreach (var block in _rest)
        {
            h = Next(h, UnetLevels.Run(x => block.Forward(x[0]!, enableTime: enableTime), recompute, h));
        }

        h = _attention is null ? h : Next(h, UnetLevels.Run(x => _attention.Forward(x[0]!, enableTime), recompute, h));
        skips.Push(h.AddReference());
        return Next(h, UnetLevels.Run(x => Leave(x[0]!, x[1]!, enableTime), recompute, h, context));
    }

    /// <summary>One block to be computed again: its input is a skip, which is kept anyway.</summary>
    private Tensor Leave(Tensor h, Tensor context, bool enableTime)
    {
        using var scope = TensorScope.Begin();
        using var down = _down.Forward(h, enableTime);
        return scope.Keep(_cross.Forward(down, context));
    }
}

/// <summary>A level on the way up; it takes two skips, the one behind the attention first.</summary>
internal sealed class UnetUpLevel : Module
{
    private readonly ResnetBlock _first;
    private readonly List<ResnetBlock> _rest = [];
    private readonly SpatioTemporalAttention? _attention;
    private readonly Upsample _up;
    private readonly AttentionBlock _cross;

    public UnetUpLevel(UnetOptions o, int level, int inputs, int outputs, int? timestep)
    {
        _first = Add("0", new ResnetBlock(outputs * 2, inputs, timestep));
        for (var i = 0; i < o.ResnetBlockDepths[level]; i++)
        {
            _rest.Add(Add($"1.{i}", new ResnetBlock(i == 0 ? inputs + outputs : inputs, inputs)));
        }

        _attention = o.SelfAttentions[level] ? Add("2", new SpatioTemporalAttention(inputs, o.HeadWidth, o.Heads)) : null;
        _up = Add("3", new Upsample(outputs, o.TemporalCompression[level]));
        _cross = Add("4", UnetLevels.CrossAttention(o, level, inputs));
    }

    public Tensor Forward(Tensor h, Tensor? t, Tensor context, bool enableTime, bool recompute, Stack<Tensor> skips)
    {
        using (var skip = skips.Pop())
        {
            h = Next(h, UnetLevels.Run(x => Enter(x[0]!, x[1]!, x[2], enableTime, frees: !recompute), recompute, h, skip, t));
        }

        using (var skip = skips.Pop())
        {
            h = Next(h, UnetLevels.Run(x => Join(x[0]!, x[1]!, enableTime, frees: !recompute), recompute, h, skip));
        }

        foreach (var block in _rest.Skip(1))
        {
            h = Next(h, UnetLevels.Run(x => block.Forward(x[0]!, enableTime: enableTime), recompute, h));
        }

        h = _attention is null ? h : Next(h, UnetLevels.Run(x => _attention.Forward(x[0]!, enableTime), recompute, h));
        return Next(h, UnetLevels.Run(x => _cross.Forward(x[0]!, x[1]!), recompute, h, context));
    }

    // Joining is part of the blocks that are computed again: a joined tensor is twice as large as what it is made of, and the
    // skip is kept anyway. A pass that keeps nothing frees the parts as soon as they are joined.
    private Tensor Enter(Tensor h, Tensor skip, Tensor? t, bool enableTime, bool frees)
    {
        using var scope = TensorScope.Begin();
        using var up = _up.Forward(h, enableTime);
        Free(frees, h);
        using var joined = SpaceTimeUnet.Join(skip, up);
        up.Dispose();
        Free(frees, skip);
        return scope.Keep(_first.Forward(joined, t, enableTime));
    }

    private Tensor Join(Tensor h, Tensor skip, bool enableTime, bool frees)
    {
        using var scope = TensorScope.Begin();
        using var joined = SpaceTimeUnet.Join(skip, h);
        Free(frees, h);
        Free(frees, skip);
        return scope.Keep(_rest[0].Forward(joined, enableTime: enableTime));
    }

    private static void Free(bool frees, Tensor tensor)
    {
        if (frees)
        {
            tensor.Dispose();
        }
    }
}
