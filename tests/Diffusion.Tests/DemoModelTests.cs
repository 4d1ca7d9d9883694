// The demo model, with all its weights: what fewer steps cost.
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Evaluation;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.Tests;

public sealed class DemoModelTests
{
    private static List<Rgb8Image>? s_thousand;

    // About 40 dB is where people begin to see differences; what is measured is 7 to 13 dB better. 48 dB is what a difference of one level
    // in every value gives.
    [TestCase(SamplerKind.Dpmpp, 20, TimestepSpacing.Uniform)]
    [TestCase(SamplerKind.Dpmpp, 20, TimestepSpacing.Karras)]
    [TestCase(SamplerKind.Ddim, 20, TimestepSpacing.Uniform)]
    [Category("Long")]
    public void A_few_steps_look_like_a_thousand(SamplerKind sampler, int steps, TimestepSpacing spacing)
    {
        using var context = GoldenFiles.OpenChecked();
        using var pipeline = FashionFlowPipeline.Load(context, Path.Combine(GoldenFiles.RepositoryRoot, "models", "demo"));
        var expected = Thousand(pipeline);
        var frames = Make(pipeline, new GenerationOptions { Sampler = sampler, Steps = steps, Spacing = spacing });

        // Frame 0 is given.
        var psnr = Enumerable.Range(1, frames.Count - 1).Select(i => PictureQuality.Psnr(frames[i], expected[i])).ToList();
        TestContext.Out.WriteLine($"{sampler} {steps} {spacing} against DDIM 1000: {string.Join(", ", psnr.Select(p => $"{p:f1}"))} dB");
        Assert.That(psnr, Has.All.GreaterThan(40));
    }

    private static List<Rgb8Image> Thousand(FashionFlowPipeline pipeline)
        => s_thousand ??= Make(pipeline, new GenerationOptions { Sampler = SamplerKind.Ddim, Steps = 1000 });

    private static List<Rgb8Image> Make(FashionFlowPipeline pipeline, GenerationOptions options)
    {
        var frames = new List<Rgb8Image>();
        pipeline.Generate(Picture(pipeline.Configuration), options, progress: null, (_, frame) =>
        {
            var copy = new Rgb8Image(frame.Width, frame.Height);
            frame.Data.CopyTo(copy.Data, 0);
            frames.Add(copy);
        });
        return frames;
    }

    // The model knows figures on light walls; a flat one is enough to see what a sampler changes.
    private static Rgb8Image Picture(ModelConfiguration c)
    {
        var picture = new Rgb8Image(c.PictureWidth, c.PictureHeight);
        for (var y = 0; y < picture.Height; y++)
        {
            var row = picture.Row(y);
            for (var x = 0; x < picture.Width; x++)
            {
                var (u, v) = ((x - (picture.Width / 2.0)) / picture.Width, (double)y / picture.Height);
                var isHead = v is > 0.05 and < 0.17 && Math.Abs(u) < 0.06;
                var isDress = v is >= 0.17 and < 0.75 && Math.Abs(u) < 0.08 + (0.2 * (v - 0.17));
                (row[3 * x], row[(3 * x) + 1], row[(3 * x) + 2]) = isHead ? ((byte)200, (byte)160, (byte)130) : isDress ? ((byte)150, (byte)(y / 12 % 2 * 90), (byte)180) : ((byte)225, (byte)228, (byte)226);
            }
        }

        return picture;
    }
}
