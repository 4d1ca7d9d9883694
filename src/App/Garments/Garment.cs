// What a drawn garment and its wearer look like: a handful of choices, all made by a seed.
using System.Globalization;
using FashionFlow.Tensors;

namespace FashionFlow.App.Garments;

/// <summary>What is worn.</summary>
internal enum Cut
{
    /// <summary>A dress of one cloth.</summary>
    Dress,

    /// <summary>A top over a skirt.</summary>
    Skirt,

    /// <summary>A top over trousers.</summary>
    Trousers,

    /// <summary>An open coat over a plain top and trousers.</summary>
    Coat,
}

/// <summary>How long the sleeves are.</summary>
internal enum Sleeves
{
    /// <summary>None.</summary>
    None,

    /// <summary>To the middle of the upper arm.</summary>
    Short,

    /// <summary>To the wrist.</summary>
    Long,
}

/// <summary>The neckline.</summary>
internal enum Neckline
{
    /// <summary>Close to the neck.</summary>
    Round,

    /// <summary>A wide, deep curve.</summary>
    Scoop,

    /// <summary>A deep point.</summary>
    V,

    /// <summary>Wide and flat.</summary>
    Boat,
}

/// <summary>What is on a cloth.</summary>
internal enum Pattern
{
    /// <summary>Nothing.</summary>
    Plain,

    /// <summary>Stripes down the body.</summary>
    VerticalStripes,

    /// <summary>Stripes around the body.</summary>
    HorizontalStripes,

    /// <summary>Staggered dots.</summary>
    Dots,

    /// <summary>Stripes both ways, as in gingham.</summary>
    Checks,

    /// <summary>From one colour above to another below.</summary>
    Gradient,

    /// <summary>A colour on each side.</summary>
    TwoTone,
}

/// <summary>What is printed on the chest.</summary>
internal enum Print
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>A disc.</summary>
    Disc,

    /// <summary>A square on its corner.</summary>
    Diamond,

    /// <summary>A heart.</summary>
    Heart,

    /// <summary>Three bars.</summary>
    Bars,
}

/// <summary>How hair is worn.</summary>
internal enum Hair
{
    /// <summary>Short.</summary>
    Short,

    /// <summary>To the chin.</summary>
    Bob,

    /// <summary>Over the shoulders.</summary>
    Long,

    /// <summary>Knotted at the back.</summary>
    Bun,
}

/// <summary>A cloth.</summary>
/// <param name="Pattern">What is on it.</param>
/// <param name="Ground">Its colour; of stripes the one, of a gradient the upper one.</param>
/// <param name="Figure">The pattern's colour.</param>
/// <param name="Repeats">How often the pattern comes around the body.</param>
internal sealed record Cloth(Pattern Pattern, Vector Ground, Vector Figure, int Repeats);

/// <summary>A garment on its wearer before a background.</summary>
internal sealed record Garment
{
    /// <summary>What is worn.</summary>
    public required Cut Cut { get; init; }

    /// <summary>The cloth of the dress, the top or the coat.</summary>
    public required Cloth Upper { get; init; }

    /// <summary>The cloth of the skirt or the trousers; a dress has none.</summary>
    public required Cloth Lower { get; init; }

    /// <summary>The top under a coat.</summary>
    public required Vector Inner { get; init; }

    /// <summary>The sleeves.</summary>
    public required Sleeves Sleeves { get; init; }

    /// <summary>The neckline.</summary>
    public required Neckline Neckline { get; init; }

    /// <summary>Where dress, skirt, trousers or coat end, in metres above the floor.</summary>
    public required double Hem { get; init; }

    /// <summary>Where a top ends, in metres above the floor.</summary>
    public required double TopHem { get; init; }

    /// <summary>How wide the hem is beyond the body, in metres.</summary>
    public required double Flare { get; init; }

    /// <summary>Folds around a skirt.</summary>
    public required int Folds { get; init; }

    /// <summary>The belt's colour; null without a belt.</summary>
    public Vector? Belt { get; init; }

    /// <summary>The buttons' colour; null without buttons.</summary>
    public Vector? Buttons { get; init; }

    /// <summary>The print on the chest.</summary>
    public required Print Print { get; init; }

    /// <summary>The print's colour.</summary>
    public required Vector PrintColour { get; init; }

    /// <summary>How broad the wearer is, about 1.</summary>
    public required double Build { get; init; }

    /// <summary>The wearer's skin.</summary>
    public required Vector Skin { get; init; }

    /// <summary>How hair is worn.</summary>
    public required Hair Hair { get; init; }

    /// <summary>The hair's colour.</summary>
    public required Vector HairColour { get; init; }

    /// <summary>The shoes' colour.</summary>
    public required Vector Shoes { get; init; }

    /// <summary>The studio's colour.</summary>
    public required Vector Studio { get; init; }

    /// <summary>Garment <paramref name="index"/> of a split; it depends on nothing else, and no two of either split are the same.</summary>
    /// <param name="seed">The data set's seed.</param>
    /// <param name="split">"train" or "test": streams of their own from one distribution.</param>
    /// <param name="index">Its number from 1.</param>
    public static Garment Design(ulong seed, string split, int index)
    {
        var random = new PhiloxStream(seed, string.Create(CultureInfo.InvariantCulture, $"garments/{split}/{index}"));
        return new Designer(random).Design();
    }
}

/// <summary>Makes the choices in a fixed order, each from the stream's next number.</summary>
internal sealed class Designer(PhiloxStream random)
{
    private static readonly Vector[] Skins = Colours("#f6dcc9", "#eec6a6", "#dca983", "#c48a62", "#a06a45", "#7a4b30", "#55331f");
    private static readonly Vector[] HairColours = Colours("#17130f", "#2c1d14", "#4a2f1d", "#6d4527", "#96693a", "#c99f5e", "#e2cc94", "#8a3b20", "#8c8a88");
    private static readonly Vector[] Neutrals = Colours("#1b1c20", "#3a3d44", "#7d8087", "#c9c6bf", "#f3f0e8", "#1f2b45", "#b08d62", "#5a4030", "#6b7052");
    private static readonly Vector[] Leathers = Colours("#17161a", "#4a2c1c", "#8a5a36", "#c9a27a", "#efe9df", "#7a1f24");

    private static readonly Vector Dark = Vector.FromHex("#1a1c26");
    private static readonly Vector Light = Vector.FromHex("#f2ede0");

    /// <summary>A garment.</summary>
    public Garment Design()
    {
        var cut = Pick(Enum.GetValues<Cut>());
        var sleeves = cut == Cut.Coat ? Sleeves.Long : Pick(Enum.GetValues<Sleeves>());
        var upper = Cloth(withGradient: true);
        var lower = Cloth(withGradient: cut == Cut.Skirt);

        // Two loud cloths are one too many.
        if (upper.Pattern != Pattern.Plain && cut != Cut.Dress)
        {
            lower = lower with { Pattern = Pattern.Plain };
        }

        var flare = cut switch
        {
            Cut.Trousers or Cut.Coat => Between(0, 0.07),
            _ => Chance(0.3) ? 0 : Between(0.05, 0.21),
        };
        var hem = cut switch
        {
            Cut.Trousers => Chance(0.75) ? 0.085 : Between(0.20, 0.50),
            Cut.Coat => Between(0.36, 0.72),
            _ => flare == 0 ? Between(0.36, 0.58) : Between(0.16, 0.60),
        };
        var plain = upper.Pattern is Pattern.Plain or Pattern.Gradient;
        var print = plain && cut != Cut.Coat && Chance(0.45) ? Pick(Print.Disc, Print.Diamond, Print.Heart, Print.Bars) : Print.None;
        var neckline = Pick(Enum.GetValues<Neckline>());
        return new Garment
        {
            Cut = cut,
            Upper = upper,
            Lower = lower,
            Inner = Pick(Neutrals),
            Sleeves = sleeves,
            Neckline = neckline,
            Hem = hem,
            TopHem = Between(0.86, 1.02),
            Flare = flare,
            Folds = 6 + random.NextBelow(6),
            Belt = (cut is Cut.Dress or Cut.Skirt) && Chance(0.4) ? Pick(Leathers) : null,
            Buttons = cut == Cut.Coat || (print == Print.None && Chance(0.3)) ? Contrast(upper.Ground) : null,
            Print = print,
            PrintColour = Contrast(upper.Ground),
            Build = Between(0.93, 1.08),
            Skin = Pick(Skins),
            Hair = Pick(Enum.GetValues<Hair>()),
            HairColour = Pick(HairColours),
            Shoes = Pick(Leathers),
            Studio = Vector.FromHsl(random.NextUniform(), Between(0.04, 0.28), Between(0.88, 0.95)),
        };
    }

    private static Vector[] Colours(params string[] texts) => Array.ConvertAll(texts, Vector.FromHex);

    private static double Luminance(Vector colour) => colour.Dot(new Vector(0.2126, 0.7152, 0.0722));

    private Cloth Cloth(bool withGradient)
    {
        Pattern[] patterns = [Pattern.Plain, .. Enum.GetValues<Pattern>().Where(p => withGradient || p != Pattern.Gradient)];
        var pattern = Pick(patterns);
        var ground = Chance(0.2) ? Pick(Neutrals) : Colour();
        return new Cloth(pattern, ground, Contrast(ground), pattern switch
        {
            Pattern.VerticalStripes => 2 * (4 + random.NextBelow(4)),
            Pattern.Dots => 2 * (5 + random.NextBelow(3)),
            _ => 2 * (5 + random.NextBelow(4)),
        });
    }

    private Vector Colour() => Vector.FromHsl(random.NextUniform(), Between(0.35, 0.85), Between(0.25, 0.68));

    // A colour that can be told from another one: of another lightness, often of another hue.
    private Vector Contrast(Vector other)
    {
        var isLight = Luminance(other) > 0.42;
        return random.NextUniform() switch
        {
            < 0.35 => isLight ? Dark : Light,
            var share => Vector.FromHsl(share * 7 % 1, Between(0.45, 0.9), isLight ? Between(0.15, 0.30) : Between(0.70, 0.86)),
        };
    }

    private bool Chance(double share) => random.NextUniform() < share;

    private double Between(double low, double high) => low + ((high - low) * random.NextUniform());

    private T Pick<T>(params T[] choices) => choices[random.NextBelow(choices.Length)];
}
