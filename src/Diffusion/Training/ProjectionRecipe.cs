// All that a clip's latents and tokens depend on beside its frames: two clips of one recipe can be trained on together.
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using FashionFlow.Gpu;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Layers;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// How frames become latents and tokens. Of the model it holds the autoencoder and CLIP alone: the U-Net and the adapter, which
/// are trained, have no part in it, so that latents stay good whatever becomes of those.
/// </summary>
/// <param name="Compat">The compatibility mode's name.</param>
/// <param name="ClipRescaling">How often CLIP's preprocessing scales by 1/255: faithful (twice) or fixed (once).</param>
/// <param name="Fit">How frames of other proportions are fitted: stretch, crop or pad.</param>
/// <param name="Width">Width of the fitted frames in pixels.</param>
/// <param name="Height">Their height.</param>
/// <param name="Vae">The autoencoder.</param>
/// <param name="Clip">CLIP's vision encoder.</param>
public sealed record ProjectionRecipe(
    string Compat, string ClipRescaling, string Fit, int Width, int Height, RecipePart<AutoencoderOptions> Vae, RecipePart<ClipVisionOptions> Clip)
{
    /// <summary>The shape of one frame's latent [h, w, c].</summary>
    [JsonIgnore]
    public IReadOnlyList<int> LatentShape => [Height / Vae.Options.Downscale, Width / Vae.Options.Downscale, Vae.Options.LatentChannels];

    /// <summary>The shape of one frame's CLIP tokens [n, d].</summary>
    [JsonIgnore]
    public IReadOnlyList<int> TokenShape => [Clip.Options.Tokens, Clip.Options.HiddenSize];

    /// <summary>The recipe of a model in a mode. It reads weight files to hash them, and loads nothing.</summary>
    /// <param name="configuration">The model's configuration.</param>
    /// <param name="modelDirectory">The model's folder.</param>
    /// <param name="compatibility">The mode.</param>
    /// <param name="fit">How frames are fitted; null for the mode's own way.</param>
    /// <exception cref="ModelException">A weights file cannot be read, or is missing without a seed in its place.</exception>
    public static ProjectionRecipe Of(ModelConfiguration configuration, string modelDirectory, CompatibilityOptions compatibility, PictureFit? fit = null) => new(
        compatibility.Name,
        EnumWord.Of(compatibility.ClipRescaling),
        EnumWord.Of(fit ?? compatibility.Fit),
        configuration.PictureWidth,
        configuration.PictureHeight,
        new(Weights(configuration, modelDirectory, ModelFiles.Vae), configuration.Vae),
        new(Weights(configuration, modelDirectory, ModelFiles.Clip), configuration.Clip));

    /// <summary>The recipe as one line of JSON. Recipes are the same if these texts are.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, TrainingJson.OneLine.ProjectionRecipe);

    private static string Weights(ModelConfiguration configuration, string directory, string name)
    {
        if (ModelFiles.Find(directory, name) is not { } path)
        {
            return configuration.WeightSeed is { } seed ? $"seed {seed}, {EnumWord.Of(configuration.SeededStart)}" : throw ModelParts.Missing(directory, name);
        }

        try
        {
            return $"sha256 {ContentHash.Of(path)}";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelException($"{path}: {e.Message}", e);
        }
    }
}

/// <summary>One network of a recipe.</summary>
/// <param name="Weights">"sha256 ..." of its weights file, or "seed N, random" where a seed makes them.</param>
/// <param name="Options">Its sizes.</param>
public sealed record RecipePart<T>(string Weights, T Options);

/// <summary>How training data's descriptions are written as JSON.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ProjectionRecipe))]
[JsonSerializable(typeof(LatentIndex))]
internal sealed partial class TrainingJson : JsonSerializerContext
{
    /// <summary>On one line, for metadata.</summary>
    public static TrainingJson OneLine { get; } = new(Style(indented: false));

    /// <summary>On many lines, for people.</summary>
    public static TrainingJson Indented { get; } = new(Style(indented: true));

    private static JsonSerializerOptions Style(bool indented) => new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
        // File names of any script stay readable; the text goes into no web page.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = indented,
    };
}
