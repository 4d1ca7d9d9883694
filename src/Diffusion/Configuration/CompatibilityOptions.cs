// Where the reference does something odd, we can do it too: each oddity is a switch with a name.
using FashionFlow.Diffusion.Preprocessing;
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

    /// <summary>The name that outputs record.</summary>
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

    /// <summary>The options of that name.</summary>
    /// <exception cref="ModelException">There are none of that name.</exception>
    public static CompatibilityOptions Parse(string name) => name switch
    {
        "fashionflow" => FashionFlow,
        "fixed" => Fixed,
        _ => throw new ModelException($"unknown compatibility mode \"{name}\"; possible are \"fashionflow\" and \"fixed\""),
    };
}
