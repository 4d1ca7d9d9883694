// How new models start: the reference's rules, read off the values.
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Tests;

[TestFixture]
public sealed class SeededWeightsTests
{
    private static Dictionary<string, float[]> Start(Module module, bool nothingZero = false, ulong seed = 7)
    {
        using var context = GoldenFiles.OpenChecked();
        using (module)
        {
            module.Load(context, new SeededWeights(seed, "test", nothingZero));
            return module.Parameters.ToDictionary(p => p.Name, p => p.Parameter.ReadTorch(), StringComparer.Ordinal);
        }
    }

    [Test]
    public void Temporal_convolutions_start_as_identity_and_attention_outputs_at_zero()
    {
        var block = Start(new Block(4, 8));
        var temporal = block["project.temporal_conv.weight"];
        for (var i = 0; i < temporal.Length; i++)
        {
            Assert.That(temporal[i], Is.EqualTo(i / 3 / 8 == i / 3 % 8 && i % 3 == 1 ? 1f : 0f));
        }

        Assert.That(block["project.temporal_conv.bias"], Has.All.Zero);
        Assert.That(block["norm.weight"], Has.All.EqualTo(1f));
        Assert.That(Start(new SelfAttention(8))["to_out.weight"], Has.All.Zero);
    }

    [Test]
    public void Weights_and_biases_are_uniform_within_one_over_the_root_of_the_fan_in()
    {
        var bound = 1 / MathF.Sqrt(4 * 9);
        var block = Start(new Block(4, 64));
        Assert.That(block["project.spatial_conv.weight"], Has.All.InRange(-bound, bound));
        Assert.That(block["project.spatial_conv.weight"].Max(), Is.GreaterThan(0.95 * bound));
        Assert.That(block["project.spatial_conv.weight"].Min(), Is.LessThan(-0.95 * bound));
        Assert.That(block["project.spatial_conv.bias"].Distinct().Count(), Is.GreaterThan(60));
    }

    [Test]
    public void Upsampling_repeats_its_weights_for_each_sub_pixel()
    {
        var up = Start(new Upsample(6, upsampleTime: true));
        var weight = up["up_space.0.weight"];
        for (var row = 0; row < 24; row++)
        {
            Assert.That(weight[(row * 6)..((row + 1) * 6)], Is.EqualTo(weight[(row / 4 * 24)..((row / 4 * 24) + 6)]));
        }

        Assert.That(weight.Max(Math.Abs), Is.InRange(0.8 * Math.Sqrt(1), Math.Sqrt(6.0 / 6)));
        Assert.That(up["up_space.0.bias"], Has.All.Zero);
    }

    [Test]
    public void Adapter_starts_by_passing_the_clip_tokens_through()
    {
        var mix = Start(new EmbeddingAdapter(5, 8, 4, 6))["linear1.weight"];
        Assert.That(mix, Is.EqualTo(Enumerable.Range(0, 45).Select(i => i / 9 == i % 9 ? 1f : 0f)));
    }

    [Test]
    public void An_autoencoder_starts_nearly_linear_with_little_noise_and_sees_differences_from_light_grey()
    {
        var vae = Start(new AutoencoderKl(new AutoencoderOptions { BlockOutChannels = [8, 16], LayersPerBlock = 1, LatentChannels = 3, NormGroups = 4 }));
        foreach (var (name, values) in vae.Where(p => p.Key.Contains(".conv2.", StringComparison.Ordinal)))
        {
            Assert.That(values, Has.All.Zero, name);
        }

        Assert.That(vae["quant_conv.bias"], Is.EqualTo(new float[] { 0, 0, 0, -8, -8, -8 }));
        Assert.That(vae["decoder.conv_out.bias"], Has.All.EqualTo(0.6f));
        var bound = MathF.Sqrt(3f / (8 * 9));
        Assert.That(vae["encoder.down_blocks.0.downsamplers.0.conv.weight"].Max(Math.Abs), Is.InRange(0.95f * bound, bound));
        var (kernels, biases) = (vae["encoder.conv_in.weight"].Chunk(3 * 9).ToList(), vae["encoder.conv_in.bias"]);
        for (var i = 0; i < 8; i++)
        {
            // 27 products and their sum in single precision.
            Assert.That((0.6 * kernels[i].Sum(w => (double)w)) + biases[i], Is.EqualTo(0).Within(1e-6));
        }
    }

    [Test]
    public void Same_seed_same_weights_and_another_seed_others()
    {
        var first = Start(new Block(4, 8))["project.spatial_conv.weight"];
        Assert.That(Start(new Block(4, 8))["project.spatial_conv.weight"], Is.EqualTo(first));
        Assert.That(Start(new Block(4, 8), seed: 8)["project.spatial_conv.weight"], Is.Not.EqualTo(first));
    }

    [Test]
    public void Random_start_leaves_nothing_zero_or_identity()
    {
        foreach (var (name, values) in Start(new SpatioTemporalAttention(8, 4, 2), nothingZero: true).Concat(Start(new Block(8, 8), nothingZero: true)))
        {
            Assert.That(values.Count(v => v is 0f or 1f), Is.Zero, name);
        }
    }
}
