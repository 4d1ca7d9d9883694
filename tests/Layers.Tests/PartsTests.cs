// Layers that work in parts to save memory give what they give as a whole.
using FashionFlow.Autograd;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tests;

[Category("EveryDevice")]
public sealed class PartsTests
{
    [TestCase(1)]
    [TestCase(7)]
    [TestCase(64)]
    [TestCase(119)]
    [TestCase(120)]
    public void Cross_attention_over_some_tokens_at_a_time_gives_the_same_bits(int tokens)
    {
        using var context = GoldenFiles.OpenChecked();
        using (var block = new AttentionBlock(heads: 2, headWidth: 8, contextChannels: 12))
        using (TensorScope.Begin())
        {
            block.Load(context, new SeededWeights(3, "block", nothingZero: true));
            var x = Ops.Randn(context, [2, 3, 8, 5, 16], 1, "x");
            var y = Ops.Randn(context, [2, 6, 12], 1, "context");
            var seen = new List<string>();
            var whole = block.Forward(x, y).ToArray<float>();
            block.TokensAtATime = tokens;
            block.Observer = (path, _) => seen.Add(path);
            Assert.That(block.Forward(x, y).ToArray<float>(), Is.EqualTo(whole));
            Assert.That(seen, tokens < 120 ? Is.EqualTo(new[] { "" }) : Has.Count.GreaterThan(3), "only what is whole is shown");
            block.Observer = null;
        }

        context.CheckLeaks();
    }

    [Test]
    public void A_tape_keeps_the_tokens_together()
    {
        using var context = GoldenFiles.OpenChecked();
        using (var block = new AttentionBlock(heads: 1, headWidth: 8, contextChannels: 12))
        using (TensorScope.Begin())
        {
            block.Load(context, new SeededWeights(3, "block", nothingZero: true));
            block.RequireGradients();
            var x = Ops.Randn(context, [1, 2, 4, 4, 8], 1, "x");
            var y = Ops.Randn(context, [1, 6, 12], 1, "context");
            var gradients = new List<float[]>();
            foreach (var tokens in new[] { 0, 5 })
            {
                block.TokensAtATime = tokens;
                using var tape = Tape.Begin();
                tape.Backward(Functional.Mean(block.Forward(x, y)));
                gradients.Add([.. block.Parameters.SelectMany(p => p.Parameter.Value.Gradient()!.ToArray<float>())]);
                foreach (var (_, parameter) in block.Parameters)
                {
                    parameter.Value.ClearGradient();
                }
            }

            Assert.That(gradients[1], Is.EqualTo(gradients[0]));
        }

        context.CheckLeaks();
    }

    // Only the statistics of the norms are added up in another order: double to double, then rounded. The tolerance is that of the
    // golden outputs; what is seen is a tenth of it.
    [TestCase("a", 1)]
    [TestCase("a", 3)]
    [TestCase("a", 8)]
    [TestCase("a", 1000)]
    [TestCase("odd", 2)]
    [TestCase("odd", 5)]
    public void A_picture_that_is_decoded_in_strips_shows_no_seam(string which, int rows)
    {
        using var context = GoldenFiles.OpenChecked();
        using (var vae = new AutoencoderKl(new AutoencoderOptions { BlockOutChannels = [32, 64], LayersPerBlock = 1, NormGroups = 8 }))
        using (var file = SafetensorsFile.Open(GoldenFiles.Data("vae_tiny.safetensors")))
        using (TensorScope.Begin())
        {
            vae.Load(context, new FileWeights(file, "vae_tiny"));
            var (h, w) = which == "a" ? (6, 4) : (5, 7);
            var latent = Ops.Randn(context, [1, h, w, 4], 2, "latent");
            var decoded = vae.Decode(latent);
            var whole = decoded.ToArray<float>();
            var (shape, row) = (decoded.Shape, decoded.Shape[2] * decoded.Shape[3]);
            var strips = new float[whole.Length];
            var next = 0;
            vae.DecodeInStrips(latent, rows, (start, strip) =>
            {
                Assert.That(start, Is.EqualTo(next));
                strip.CopyTo(strips.AsSpan(start * row, strip.Shape[1] * row));
                next += strip.Shape[1];
            });
            var largest = whole.Max(Math.Abs);
            var worst = whole.Zip(strips, (a, b) => Math.Abs(a - b)).Max();
            TestContext.Out.WriteLine($"{worst / largest:e2}");
            using (Assert.EnterMultipleScope())
            {
                Assert.That(next, Is.EqualTo(shape[1]));
                Assert.That(worst, Is.LessThanOrEqualTo(GoldenFiles.Tolerance * largest));
            }
        }

        context.CheckLeaks();
    }
}
