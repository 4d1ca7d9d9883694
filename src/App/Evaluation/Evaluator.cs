// Holds a model to clips that it was not trained on: how near its frames come to the true ones, and whose garment they show.
using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using FashionFlow.App.Commands;
using FashionFlow.App.Generation;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Evaluation;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Evaluation;

/// <summary>
/// Evaluates one clip after the other. A clip's first frame is given to the model, so that only those behind it count, and all
/// figures are beside two others: those of the picture shown again and again, which a model must beat, and those of the true
/// frames after the autoencoder, which it cannot.
/// </summary>
/// <param name="maker">The model on its device, loaded.</param>
/// <param name="clips">The clips, checked.</param>
/// <param name="split">Their split's name.</param>
/// <param name="options">The choices, resolved; the seed is the one that clips' are derived from.</param>
/// <param name="cancellation">Stops it between steps and frames.</param>
internal sealed class Evaluator(VideoMaker maker, HeldOutClips clips, string split, GenerationOptions options, CancellationToken cancellation)
{
    // The first frame is given.
    private const int Given = 1;

    /// <summary>Evaluates the first clips.</summary>
    /// <param name="count">How many; garments are looked for among all clips nevertheless.</param>
    /// <param name="sheet">Shown each clip.</param>
    /// <param name="screen">Where progress is shown.</param>
    /// <exception cref="UserError">A clip has changed since it was checked, or the picture encoder tells nothing of it.</exception>
    public EvaluationReport Run(int count, EvaluationSheet sheet, Screen screen)
    {
        // As many bytes a garment as it has features: the frames are not kept.
        var gallery = ProgressDisplay.Run(screen, Describe);
        var found = ProgressDisplay.Run(screen, display => clips.Clips.Take(count).Select((clip, i) => Evaluate(clip, i, count, sheet, display)).ToArray());
        var (encoder, colour) = (gallery.Select(g => g.Encoder).ToArray(), gallery.Select(g => g.Colour).ToArray());
        var (generated, repeated, autoencoder) = (Kind(f => f.Generated), Kind(f => f.Repeated), Kind(f => f.Autoencoder));
        return new EvaluationReport
        {
            Program = VersionCommand.Program,
            Model = maker.DescribeModel(),
            Options = new EvaluationOptions(
                split,
                Recipe.Word(options.Sampler!.Value),
                options.Steps!.Value,
                options.Eta,
                Recipe.Word(options.Spacing!.Value),
                options.Seed,
                options.Frames!.Value,
                Recipe.Word(options.Fit!.Value),
                maker.Configuration.PictureWidth,
                maker.Configuration.PictureHeight),
            Compat = RecipeCompat.Of(options.Compatibility!),
            Device = maker.DescribeDevice(),
            Gallery = [.. clips.Clips.Select(c => c.Name)],
            Summary = new EvaluationSummary(
                found.Length,
                generated.Scores.Psnr - repeated.Scores.Psnr,
                found.Count(f => f.Generated.Measures.Psnr > f.Repeated.Measures.Psnr),
                1.0 / gallery.Length,
                generated.Scores,
                repeated.Scores,
                autoencoder.Scores),
            Clips =
            [
                .. found.Select((f, i) => new ClipScore(
                    f.Clip.Name,
                    f.Clip.Sha256,
                    f.Seed,
                    f.Generated.Measures.Psnr - f.Repeated.Measures.Psnr,
                    generated.Clip(i),
                    repeated.Clip(i),
                    autoencoder.Clip(i))),
            ],
            Skipped = [.. clips.Unusable.Select(c => new SkippedClip(c.Name, c.Error.Message))],
        };

        KindOfFrames Kind(Func<Found, Judged> choose)
        {
            var judged = found.Select(choose).ToArray();
            int[] own = [.. Enumerable.Range(0, judged.Length)];
            var byEncoder = IdentityRetrieval.Rank([.. judged.Select(j => j.Features.Encoder)], encoder, own);
            var byColour = IdentityRetrieval.Rank([.. judged.Select(j => j.Features.Colour)], colour, own);
            return new KindOfFrames([.. judged.Select(j => j.Measures)], byEncoder, byColour);
        }
    }

    /// <summary>A clip's seed: that of the run and the clip's name decide it, and not which others there are.</summary>
    internal static ulong SeedOf(ulong seed, string name) => BinaryPrimitives.ReadUInt64LittleEndian(
        SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{seed}/{name}"))));

    private Features[] Describe(ProgressDisplay display)
    {
        display.Report("describe garments", "garment", 0, clips.Clips.Count, 0);
        return
        [
            .. clips.Clips.Select((clip, i) =>
            {
                var features = FeaturesOf(clips.Read(clip, cancellation).Skip(Given), clip);
                display.Report("describe garments", "garment", i + 1, clips.Clips.Count, maker.PeakBytes);
                return features;
            }),
        ];
    }

    private Found Evaluate(HeldOutClip clip, int index, int count, EvaluationSheet sheet, ProgressDisplay display)
    {
        var truth = clips.Read(clip, cancellation);
        var own = options with { Seed = SeedOf(options.Seed, clip.Name) };
        var generated = new List<Rgb8Image>();
        maker.Pipeline.Generate(
            truth[0],
            own,
            new Forward(display, index, count, maker),
            (_, frame) => generated.Add(new Rgb8Image(frame.Width, frame.Height, [.. frame.Data])),
            cancellation);
        var repeated = Enumerable.Repeat(truth[0], truth.Count).ToList();
        var reconstructed = truth.Select((frame, i) =>
        {
            cancellation.ThrowIfCancellationRequested();
            return maker.Pipeline.Reconstruct(frame, i, own);
        }).ToList();
        sheet.Add(truth, generated);
        return new Found(clip, own.Seed, Judge(generated), Judge(repeated), Judge(reconstructed));

        Judged Judge(List<Rgb8Image> frames) => new(
            VideoQuality.Compare(frames, truth, Given),
            FeaturesOf(ReferenceEquals(frames, repeated) ? frames.Take(1) : frames.Skip(Given), clip));
    }

    // The mean over frames; the encoder's are of norm 1.
    private Features FeaturesOf(IEnumerable<Rgb8Image> frames, HeldOutClip clip)
    {
        var pictures = frames.ToList();
        var encoder = Mean([.. pictures.Select(picture =>
        {
            cancellation.ThrowIfCancellationRequested();
            return maker.Pipeline.Describe(picture, options);
        })]);
        return Array.TrueForAll(encoder, float.IsFinite) && Array.Exists(encoder, v => v != 0)
            ? new Features(encoder, Mean([.. pictures.Select(ColourLayout.Of)]))
            : throw new UserError(ExitCode.Input, $"the model's picture encoder makes nothing of {clip.Video}: its features are zero or not finite", "its weights may be damaged: fashionflow inspect --stats");
    }

    private static float[] Mean(float[][] vectors) =>
        [.. Enumerable.Range(0, vectors[0].Length).Select(i => (float)vectors.Average(v => (double)v[i]))];

    private sealed record Features(float[] Encoder, float[] Colour);

    private sealed record Judged(VideoMeasures Measures, Features Features);

    private sealed record Found(HeldOutClip Clip, ulong Seed, Judged Generated, Judged Repeated, Judged Autoencoder);

    private sealed class KindOfFrames(VideoMeasures[] measures, RetrievalResult encoder, RetrievalResult colour)
    {
        public SetScores Scores { get; } = SetScores.Of(measures, encoder, colour);

        public FrameScores Clip(int i) => new()
        {
            Psnr = measures[i].Psnr,
            Ssim = measures[i].Ssim,
            StepRatio = measures[i].Step / measures[i].TrueStep,
            EncoderRank = encoder.Ranks[i],
            ColourRank = colour.Ranks[i],
            FramePsnr = measures[i].FramePsnr,
            FrameSsim = measures[i].FrameSsim,
        };
    }

    // Steps are most of the work: one bar over those of all clips tells the time left.
    private sealed class Forward(ProgressDisplay display, int index, int count, VideoMaker maker) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value)
        {
            if (value.Stage == GenerationStage.Sampling && (value.Done > 0 || index == 0))
            {
                display.Report(
                    "sample videos",
                    "step",
                    (index * value.Total) + value.Done,
                    count * value.Total,
                    maker.PeakBytes,
                    string.Create(CultureInfo.InvariantCulture, $"clip {index + 1} of {count}"));
            }
        }
    }
}
