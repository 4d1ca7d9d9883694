// Where the reference does something odd, we can do it too: each oddity is a switch with a name.
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Diffusion.Training;
using FashionFlow.Layers;

namespace FashionFlow.Diffusion;

/// <summary>
/// The reference's oddities, one switch each. <see cref="FashionFlow"/> reproduces what its released checkpoint was made
/// with and sampled with, and is how a model is sampled whose configuration names no mode; <see cref="Fixed"/> is what a new
/// training should use.
/// </summary>
public sealed record CompatibilityOptions
{
    /// <summary>The reference, oddities included (<c>--compat fashionflow</c>).</summary>
    public static CompatibilityOptions FashionFlow { get; } = new()
    {
        Name = "fashionflow",
        ClipRescaling = ClipRescaling.Faithful,
        ChannelNormEpsilon = ChanLayerNorm.HalfEpsilon,
        SchedulePrecision = SchedulePrecision.Reference,
        Fit = PictureFit.Stretch,
        SumsFrameLosses = true,
        Windows = EpochRandomness.Frozen,
    };

    /// <summary>The oddities put right (<c>--compat fixed</c>).</summary>
    public static CompatibilityOptions Fixed { get; } = new()
    {
        Name = "fixed",
        ClipRescaling = ClipRescaling.Fixed,
        ChannelNormEpsilon = ChanLayerNorm.Float32Epsilon,
        SchedulePrecision = SchedulePrecision.Double,
        Fit = PictureFit.Crop,
    };

    private static readonly Switch[] s_switches =
    [
        Switch.Of("clip-rescaling", o => o.ClipRescaling, (o, value) => o with { ClipRescaling = value }),
        new(
            "channel-norm-epsilon",
            ["1e-3", "1e-5"],
            o => o.ChannelNormEpsilon == ChanLayerNorm.HalfEpsilon ? "1e-3" : "1e-5",
            (o, word) => o with { ChannelNormEpsilon = word == "1e-3" ? ChanLayerNorm.HalfEpsilon : ChanLayerNorm.Float32Epsilon }),
        Switch.Of("schedule-precision", o => o.SchedulePrecision, (o, value) => o with { SchedulePrecision = value }),
        new("frame-losses", ["sum", "mean"], o => o.SumsFrameLosses ? "sum" : "mean", (o, word) => o with { SumsFrameLosses = word == "sum" }),
        Switch.Of("windows", o => o.Windows, (o, value) => o with { Windows = value }),
    ];

    /// <summary>The modes' names, the reference's first.</summary>
    public static IReadOnlyList<string> Modes { get; } = [FashionFlow.Name, Fixed.Name];

    /// <summary>The switches as users set them, each with its possible words, e.g. <c>frame-losses=sum|mean</c>.</summary>
    public static IReadOnlyList<string> Switches { get; } = [.. s_switches.Select(s => $"{s.Name}={string.Join('|', s.Words)}")];

    /// <summary>The name that outputs record: the mode's, and after commas each switch that is set otherwise than the mode sets it.</summary>
    public required string Name { get; init; }

    /// <summary>
    /// How often CLIP's preprocessing scales by 1/255. The reference does it twice, so that its encoder sees almost constant
    /// values; which of the two its checkpoint was trained with cannot be told.
    /// </summary>
    public required ClipRescaling ClipRescaling { get; init; }

    /// <summary>
    /// The lower bound of the variance in the feed-forwards' norms: the reference trains with 1e-5, but samples under
    /// autocast, where half types make it 1e-3.
    /// </summary>
    public required double ChannelNormEpsilon { get; init; }

    /// <summary>Whether the schedule's derived tables are computed in float32, as the reference's are, or in double.</summary>
    public required SchedulePrecision SchedulePrecision { get; init; }

    /// <summary>
    /// How a picture of other proportions is fitted where <see cref="GenerationOptions.Fit"/> does not say: the reference
    /// stretches it, which makes a garment wider or narrower than it is.
    /// </summary>
    public required PictureFit Fit { get; init; }

    /// <summary>
    /// Whether a training's loss is the sum over frames of each frame's mean squared error, as the reference's, or their mean:
    /// the sum ties the learning rate to the window's length. Generating does not look at it.
    /// </summary>
    public bool SumsFrameLosses { get; init; }

    /// <summary>
    /// Whether each epoch of a training has its own windows and order. The reference's are the first epoch's for ever.
    /// Generating does not look at it.
    /// </summary>
    public EpochRandomness Windows { get; init; }

    /// <summary>
    /// Reads a mode with switches: <c>fashionflow</c>, or <c>fashionflow,clip-rescaling=fixed</c>. How pictures are fitted has no
    /// switch here: that is every command's <c>--fit</c>.
    /// </summary>
    /// <exception cref="ModelException">It is none; the message says what is possible.</exception>
    public static CompatibilityOptions Parse(string text)
    {
        var parts = text.Split(',');
        var mode = ModeOf(text) switch
        {
            "fashionflow" => FashionFlow,
            "fixed" => Fixed,
            var other when s_switches.Any(s => other.StartsWith(s.Name + "=", StringComparison.Ordinal))
                => throw new ModelException($"compat: the switch {other} needs a mode before it: {FashionFlow.Name},{other} or {Fixed.Name},{other}"),
            var other => throw new ModelException($"compat: the mode must be {string.Join(" or ", Modes)}, not '{other}'"),
        };
        var options = mode;
        foreach (var part in parts.Skip(1))
        {
            var pair = part.Split('=', 2);
            var named = s_switches.FirstOrDefault(s => s.Name == pair[0])
                ?? throw new ModelException($"compat: there is no switch '{pair[0]}'; there are {string.Join(", ", s_switches.Select(s => s.Name))}");
            if (pair.Length < 2 || !named.Words.Contains(pair[1]))
            {
                throw new ModelException($"compat: {named.Name} must be {string.Join(" or ", named.Words)}, not '{(pair.Length < 2 ? "" : pair[1])}'");
            }

            options = named.Set(options, pair[1]);
        }

        var set = s_switches.Where(s => s.Get(options) != s.Get(mode)).Select(s => $",{s.Name}={s.Get(options)}");
        return options with { Name = mode.Name + string.Concat(set) };
    }

    /// <summary>The mode of a text for <see cref="Parse"/>: what stands before the first comma.</summary>
    public static string ModeOf(string text) => text.Split(',', 2)[0];

    /// <summary>One switch: its name, the words that it can be set to, and the option behind it.</summary>
    private sealed record Switch(
        string Name, string[] Words, Func<CompatibilityOptions, string> Get, Func<CompatibilityOptions, string, CompatibilityOptions> Set)
    {
        /// <summary>A switch over an enumeration.</summary>
        public static Switch Of<T>(string name, Func<CompatibilityOptions, T> get, Func<CompatibilityOptions, T, CompatibilityOptions> set)
            where T : struct, Enum => new(
                name,
                [.. Enum.GetValues<T>().Select(EnumWord.Of)],
                o => EnumWord.Of(get(o)),
                (o, word) => set(o, Enum.GetValues<T>().First(value => EnumWord.Of(value) == word)));
    }
}
