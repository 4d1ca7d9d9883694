// All that a video depends on, so that it can be made again: written into the file's metadata and into its sidecar.
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Generation;

/// <summary>
/// A recipe. Paths are no part of it: a video that is given away tells nothing of its maker's folders. It holds no time
/// either: the same run gives the same text.
/// </summary>
internal sealed record Recipe
{
    /// <summary>The program with its version.</summary>
    public required string Program { get; init; }

    /// <summary>The picture.</summary>
    public required RecipeInput Input { get; init; }

    /// <summary>The model.</summary>
    public required RecipeModel Model { get; init; }

    /// <summary>The user's choices, those of the model filled in.</summary>
    public required RecipeOptions Options { get; init; }

    /// <summary>The reference's oddities, one switch each.</summary>
    public required RecipeCompat Compat { get; init; }

    /// <summary>Where it was computed.</summary>
    public required RecipeDevice Device { get; init; }

    /// <summary>What wrote the file.</summary>
    public required RecipeEncoder Encoder { get; init; }

    /// <summary>The recipe as one line of JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, RecipeJson.OneLine.Recipe);

    /// <summary>Reads a recipe; null if the text is none.</summary>
    public static Recipe? TryParse(string text)
    {
        try
        {
            return JsonSerializer.Deserialize(text, RecipeJson.OneLine.Recipe);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>The options and switches as the pipeline takes them.</summary>
    /// <exception cref="ModelException">A word in it is none that this version knows.</exception>
    public GenerationOptions ToGenerationOptions() => new()
    {
        Sampler = Word<SamplerKind>(Options.Sampler),
        Steps = Options.Steps,
        Eta = Options.Eta,
        Spacing = Options.Spacing is { } spacing ? Word<TimestepSpacing>(spacing) : TimestepSpacing.Uniform,
        Frames = Options.Frames,
        Seed = Options.Seed,
        Fit = Word<PictureFit>(Options.Fit),
        Compatibility = new CompatibilityOptions
        {
            Name = Compat.Name,
            ClipRescaling = Word<ClipRescaling>(Compat.ClipRescaling),
            ChannelNormEpsilon = Compat.ChannelNormEpsilon,
            SchedulePrecision = Word<SchedulePrecision>(Compat.SchedulePrecision),
            Fit = Word<PictureFit>(Options.Fit),
        },
    };

    /// <summary>An enumeration's value as recipes write it.</summary>
    public static string Word<T>(T value)
        where T : struct, Enum => EnumWord.Of(value);

    private static T Word<T>(string word)
        where T : struct, Enum =>
        Enum.TryParse<T>(word, ignoreCase: true, out var value) && Enum.IsDefined(value) && !char.IsAsciiDigit(word[0])
            ? value
            : throw new ModelException(string.Create(CultureInfo.InvariantCulture, $"the recipe says \"{word}\", which this version does not know"));
}

/// <summary>The picture of a recipe.</summary>
/// <param name="Name">Its file's name without folder.</param>
/// <param name="Sha256">Its file's hash.</param>
/// <param name="Frame">Which frame of an animation or video.</param>
internal sealed record RecipeInput(string Name, string Sha256, int Frame);

/// <summary>The model of a recipe.</summary>
/// <param name="Name">Its folder's name.</param>
/// <param name="Trained">Whether its weights were learned.</param>
/// <param name="Sha256">The hash of each file that it is made of.</param>
internal sealed record RecipeModel(string Name, bool Trained, IReadOnlyDictionary<string, string> Sha256)
{
    /// <summary>The files in which another model differs, by name.</summary>
    public IReadOnlyList<string> Differences(RecipeModel other) =>
        [.. Sha256.Keys.Union(other.Sha256.Keys)
            .Where(name => Sha256.GetValueOrDefault(name) != other.Sha256.GetValueOrDefault(name))
            .Order(StringComparer.Ordinal)];

    /// <summary>The model's folder: where it was, or the demo model if it has its name.</summary>
    /// <param name="path">Where it was; null if that is not known.</param>
    /// <param name="of">What was made with it, for the message.</param>
    /// <exception cref="UserError">It cannot be told.</exception>
    public string Find(string? path, string of) => path is not null && Directory.Exists(path)
        ? path
        : Name == System.IO.Path.GetFileName(Places.DemoModel())
            ? Places.DemoModel()
            : throw new UserError(ExitCode.Input, $"the model \"{Name}\", which {of} was made with, is not there", "name its folder: --model DIR");
}

/// <summary>The choices of a recipe.</summary>
internal sealed record RecipeOptions(string Sampler, int Steps, double Eta, ulong Seed, int Frames, double Fps, string Fit, int Width, int Height)
{
    /// <summary>Which times the sampler visits; null for evenly spread ones.</summary>
    public string? Spacing { get; init; }

    /// <summary>Rows at a time where frames were decoded in strips, which the last bits depend on; null where they were decoded whole.</summary>
    public int? DecodeRows { get; init; }

    /// <summary>A spacing as recipes write it.</summary>
    public static string? WordOf(TimestepSpacing spacing) => spacing == TimestepSpacing.Uniform ? null : Recipe.Word(spacing);
}

/// <summary>The compatibility switches of a recipe; see <see cref="CompatibilityOptions"/>.</summary>
internal sealed record RecipeCompat(string Name, string ClipRescaling, double ChannelNormEpsilon, string SchedulePrecision)
{
    /// <summary>The switches as recipes write them.</summary>
    public static RecipeCompat Of(CompatibilityOptions o) => new(o.Name, Recipe.Word(o.ClipRescaling), o.ChannelNormEpsilon, Recipe.Word(o.SchedulePrecision));
}

/// <summary>The device of a recipe.</summary>
/// <param name="Kind">cuda or virtual: the same kind gives the same bits.</param>
/// <param name="Architecture">sm_80 and the like.</param>
/// <param name="Name">The device's name.</param>
internal sealed record RecipeDevice(string Kind, string Architecture, string Name)
{
    /// <summary>The device as <c>--device</c> names it.</summary>
    [JsonIgnore]
    public string Specification => Kind == "virtual" ? $"virtual:{Architecture}" : Kind;
}

/// <summary>The encoder of a recipe.</summary>
/// <param name="Format">mp4, gif, webm or png.</param>
/// <param name="Ffmpeg">ffmpeg's version; null where it had no part.</param>
internal sealed record RecipeEncoder(string Format, string? Ffmpeg);

/// <summary>How recipes and sidecars are written as JSON.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Recipe))]
[JsonSerializable(typeof(Sidecar))]
[JsonSerializable(typeof(SavedOutput))]
internal sealed partial class RecipeJson : JsonSerializerContext
{
    /// <summary>On one line, for metadata.</summary>
    public static RecipeJson OneLine { get; } = new(Style(indented: false));

    /// <summary>On many lines, for people.</summary>
    public static RecipeJson Indented { get; } = new(Style(indented: true));

    private static JsonSerializerOptions Style(bool indented) => new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        // File names of any script stay readable; the text goes into no web page.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = indented,
    };
}
