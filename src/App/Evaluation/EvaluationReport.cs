// What an evaluation finds, and how it was made: the text of evaluation.json.
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using FashionFlow.App.Generation;
using FashionFlow.Diffusion.Evaluation;

namespace FashionFlow.App.Evaluation;

/// <summary>An evaluation. As a recipe it holds neither paths nor times: the same run gives the same text.</summary>
internal sealed record EvaluationReport
{
    /// <summary>The program with its version.</summary>
    public required string Program { get; init; }

    /// <summary>The model.</summary>
    public required RecipeModel Model { get; init; }

    /// <summary>The choices.</summary>
    public required EvaluationOptions Options { get; init; }

    /// <summary>The reference's oddities, one switch each.</summary>
    public required RecipeCompat Compat { get; init; }

    /// <summary>Where it was computed.</summary>
    public required RecipeDevice Device { get; init; }

    /// <summary>The clips that garments are looked for among: all of the split that can be used.</summary>
    public required IReadOnlyList<string> Gallery { get; init; }

    /// <summary>The figures over all clips.</summary>
    public required EvaluationSummary Summary { get; init; }

    /// <summary>Each clip's.</summary>
    public required IReadOnlyList<ClipScore> Clips { get; init; }

    /// <summary>Clips that could not be used.</summary>
    public required IReadOnlyList<SkippedClip> Skipped { get; init; }

    /// <summary>Writes it as indented JSON. What is not finite, as the PSNR of equal pictures, is null: JSON knows no infinity.</summary>
    public void WriteTo(Stream stream)
    {
        JsonSerializer.Serialize(stream, this, EvaluationJson.Indented.EvaluationReport);
        stream.WriteByte((byte)'\n');
    }
}

/// <summary>The choices of an evaluation.</summary>
internal sealed record EvaluationOptions(string Split, string Sampler, int Steps, double Eta, string Spacing, ulong Seed, int Frames, string Fit, int Width, int Height);

/// <summary>A clip that was left out.</summary>
/// <param name="Name">Its path within the folder of videos.</param>
/// <param name="Reason">Why.</param>
internal sealed record SkippedClip(string Name, string Reason);

/// <summary>A clip's figures.</summary>
/// <param name="Name">Its path within the folder of videos.</param>
/// <param name="Sha256">The video's hash.</param>
/// <param name="Seed">The seed of what was generated: <c>generate</c> makes the same frames with it.</param>
/// <param name="GainDb">How much nearer, in PSNR, the generated frames are than the repeated picture.</param>
/// <param name="Generated">The generated frames'.</param>
/// <param name="Repeated">The input picture's, shown again and again.</param>
/// <param name="Autoencoder">The true frames' after the autoencoder: what a perfect denoiser would get.</param>
internal sealed record ClipScore(string Name, string Sha256, ulong Seed, double GainDb, FrameScores Generated, FrameScores Repeated, FrameScores Autoencoder);

/// <summary>Frames from the second on against the true ones.</summary>
internal sealed record FrameScores
{
    /// <summary>The PSNR in decibels of the mean squared error over the frames.</summary>
    public required double Psnr { get; init; }

    /// <summary>The mean SSIM.</summary>
    public required double Ssim { get; init; }

    /// <summary>How much frames differ from one to the next (<see cref="VideoQuality.Steps"/>), over how much the true ones do.</summary>
    public required double StepRatio { get; init; }

    /// <summary>The place of the own garment among all by the model's picture encoder, from 1.</summary>
    public required int EncoderRank { get; init; }

    /// <summary>The same by <see cref="ColourLayout"/>.</summary>
    public required int ColourRank { get; init; }

    /// <summary>Each frame's PSNR, from the second frame on.</summary>
    public required IReadOnlyList<double> FramePsnr { get; init; }

    /// <summary>Each frame's SSIM.</summary>
    public required IReadOnlyList<double> FrameSsim { get; init; }
}

/// <summary>The figures over all clips.</summary>
/// <param name="Clips">How many.</param>
/// <param name="GainDb">The difference of the PSNRs of what was generated and of the repeated picture.</param>
/// <param name="BetterClips">In how many clips it is above zero.</param>
/// <param name="Chance">What share of garments is found by guessing.</param>
/// <param name="Generated">The generated frames'.</param>
/// <param name="Repeated">The repeated picture's.</param>
/// <param name="Autoencoder">The autoencoder's.</param>
internal sealed record EvaluationSummary(int Clips, double GainDb, int BetterClips, double Chance, SetScores Generated, SetScores Repeated, SetScores Autoencoder)
{
    /// <summary>The three with their names, as tables and plots have them.</summary>
    [JsonIgnore]
    public IReadOnlyList<(string Name, SetScores Scores)> Rows => [("generated", Generated), ("repeated picture", Repeated), ("autoencoder", Autoencoder)];
}

/// <summary>Figures over all clips of one kind of frames.</summary>
internal sealed record SetScores
{
    /// <summary>The PSNR of the mean squared error over all clips: a mean of decibels would favour the best clips.</summary>
    public required double Psnr { get; init; }

    /// <summary>The middle clip's.</summary>
    public required double MedianPsnr { get; init; }

    /// <summary>The worst clip's.</summary>
    public required double WorstPsnr { get; init; }

    /// <summary>The mean SSIM.</summary>
    public required double Ssim { get; init; }

    /// <summary>The middle clip's.</summary>
    public required double MedianSsim { get; init; }

    /// <summary>The worst clip's.</summary>
    public required double WorstSsim { get; init; }

    /// <summary>The mean frame-to-frame difference over the true clips'.</summary>
    public required double StepRatio { get; init; }

    /// <summary>How garments are found again by the model's picture encoder.</summary>
    public required RetrievalScores Encoder { get; init; }

    /// <summary>How by <see cref="ColourLayout"/>.</summary>
    public required RetrievalScores Colour { get; init; }

    /// <summary>The PSNR of each place in the video, from the second frame on, over all clips.</summary>
    public required IReadOnlyList<double> FramePsnr { get; init; }

    /// <summary>Sums up clips' measures.</summary>
    public static SetScores Of(IReadOnlyList<VideoMeasures> clips, RetrievalResult encoder, RetrievalResult colour) => new()
    {
        Psnr = PictureQuality.PsnrOf(clips.Average(c => c.FrameError.Average())),
        MedianPsnr = Median(clips.Select(c => c.Psnr)),
        WorstPsnr = clips.Min(c => c.Psnr),
        Ssim = clips.Average(c => c.Ssim),
        MedianSsim = Median(clips.Select(c => c.Ssim)),
        WorstSsim = clips.Min(c => c.Ssim),
        StepRatio = clips.Sum(c => c.Step) / clips.Sum(c => c.TrueStep),
        Encoder = new RetrievalScores(encoder.TopOne, encoder.MeanReciprocalRank),
        Colour = new RetrievalScores(colour.TopOne, colour.MeanReciprocalRank),
        FramePsnr = [.. Enumerable.Range(0, clips[0].FrameError.Count).Select(frame => PictureQuality.PsnrOf(clips.Average(c => c.FrameError[frame])))],
    };

    /// <summary>The middle value; between two, their mean.</summary>
    internal static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}

/// <summary>How often garments are found again.</summary>
/// <param name="TopOne">The share that is found first.</param>
/// <param name="MeanReciprocalRank">The mean of 1 / place.</param>
internal sealed record RetrievalScores(double TopOne, double MeanReciprocalRank);

/// <summary>How evaluations are written as JSON.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(EvaluationReport))]
internal sealed partial class EvaluationJson : JsonSerializerContext
{
    /// <summary>On many lines, for people.</summary>
    public static EvaluationJson Indented { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        // File names of any script stay readable; the text goes into no web page.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true,
        Converters = { new FiniteOrNull() },
    });

    private sealed class FiniteOrNull : JsonConverter<double>
    {
        public override bool HandleNull => true;

        public override double Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
            reader.TokenType == JsonTokenType.Null ? double.NaN : reader.GetDouble();

        public override void Write(Utf8JsonWriter writer, double value, JsonSerializerOptions options)
        {
            if (double.IsFinite(value))
            {
                writer.WriteNumberValue(value);
            }
            else
            {
                writer.WriteNullValue();
            }
        }
    }
}
