// The options of the U-Net's constructor, as the reference has them.
namespace FashionFlow.Diffusion;

/// <summary>Sizes and switches of a <see cref="SpaceTimeUnet"/>. The defaults are the published full size.</summary>
public sealed record UnetOptions
{
    /// <summary>Channels of the outermost level (<c>dim</c>).</summary>
    public int Dim { get; init; } = 64;

    /// <summary>Channels of the latent (<c>channels</c>).</summary>
    public int Channels { get; init; } = 4;

    /// <summary>Channels of each level as a multiple of <see cref="Dim"/> (<c>dim_mult</c>); four levels at most.</summary>
    public IReadOnlyList<int> DimMult { get; init; } = [1, 2, 4, 8];

    /// <summary>Which levels have spatio-temporal attention (<c>self_attns</c>).</summary>
    public IReadOnlyList<bool> SelfAttentions { get; init; } = [false, false, false, true];

    /// <summary>Which levels halve the frames (<c>temporal_compression</c>).</summary>
    public IReadOnlyList<bool> TemporalCompression { get; init; } = [false, false, false, true];

    /// <summary>Residual blocks of each level behind its first (<c>resnet_block_depths</c>).</summary>
    public IReadOnlyList<int> ResnetBlockDepths { get; init; } = [2, 2, 2, 2];

    /// <summary>Channels of a head in the levels' spatio-temporal attention (<c>attn_dim_head</c>); in the middle it is 64.</summary>
    public int HeadWidth { get; init; } = 64;

    /// <summary>Heads of the levels' spatio-temporal attention (<c>attn_heads</c>); in the middle there are 8.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>Whether the model takes a timestep (<c>condition_on_timestep</c>).</summary>
    public bool ConditionOnTimestep { get; init; } = true;

    /// <summary>Width of a context token (<c>context_dim</c>; the reference hard-codes 768).</summary>
    public int ContextChannels { get; init; } = 768;

    /// <summary>The number of levels.</summary>
    public int Levels => DimMult.Count;

    /// <summary>What the latent's height and width must be a multiple of.</summary>
    public int SpaceMultiple => 1 << Levels;

    /// <summary>What the number of frames must be a multiple of when time is enabled.</summary>
    public int FrameMultiple => 1 << TemporalCompression.Count(c => c);

    /// <summary>What is wrong with this number of frames, as a sentence; null if nothing is.</summary>
    public string? DescribeFrameProblem(int frames)
        => frames > 0 && frames % FrameMultiple == 0
            ? null
            : $"{frames} frames do not fit this model: its levels fold them {FrameMultiple} to 1, so their number must be a multiple of {FrameMultiple}";

    internal static UnetOptions Read(JsonOptions json)
    {
        var full = new UnetOptions();
        var mult = json.Ints("dim_mult", full.DimMult);
        var options = new UnetOptions
        {
            Dim = json.Int("dim", full.Dim),
            Channels = json.Int("channels", full.Channels),
            DimMult = mult,
            SelfAttentions = json.Bools("self_attns", full.SelfAttentions, mult.Count),
            TemporalCompression = json.Bools("temporal_compression", full.TemporalCompression, mult.Count),
            ResnetBlockDepths = json.Ints("resnet_block_depths", full.ResnetBlockDepths, mult.Count),
            HeadWidth = json.Int("attn_dim_head", full.HeadWidth),
            Heads = json.Int("attn_heads", full.Heads),
            ConditionOnTimestep = json.Bool("condition_on_timestep", full.ConditionOnTimestep),
            ContextChannels = json.Int("context_dim", full.ContextChannels),
        };

        // cross_attn is a remark in the golden files: the widths follow from the channels.
        json.RejectUnknown("cross_attn", "note");
        if (mult.Count is 0 or > 4)
        {
            throw json.Error($"dim_mult has {mult.Count} levels; one to four are possible");
        }

        return options;
    }
}
