// Strict loading: what does not fit is named, and then nothing was loaded.
using CsCheck;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tests;

[TestFixture]
public sealed class WeightLoadingTests
{
    [Test]
    public void Each_wrong_parameter_is_named_with_its_nearest_and_nothing_loads()
    {
        using var context = GoldenFiles.OpenChecked();
        using var file = SafetensorsFile.Open(GoldenFiles.Data("layers.safetensors"));

        // The stored block is one of 2 x 4 channels with a context of 10; this one has a context of 11 and heads of another width.
        using var module = new AttentionBlock(2, 4, 11);
        var error = Assert.Throws<WeightLoadException>(() => module.Load(context, new FileWeights(file, "layers.safetensors", "attn_block.param.")));
        Assert.That(error!.Problems, Is.EqualTo(new[]
        {
            "attention_2.k_proj.weight has shape [8, 10], the model needs [8, 11]",
            "attention_2.v_proj.weight has shape [8, 10], the model needs [8, 11]",
        }));
        Assert.That(error.Message, Does.StartWith("layers.safetensors does not fit the model: attention_2.k_proj.weight"));
        Assert.That(module.Parameters.Select(p => p.Parameter.IsLoaded), Has.All.False);
        context.CheckLeaks();
    }

    [Test]
    public void Missing_and_surplus_parameters_point_at_each_other()
    {
        using var context = GoldenFiles.OpenChecked();
        using var file = SafetensorsFile.Open(GoldenFiles.Data("layers.safetensors"));
        using var module = new LayerNorm(7);
        var error = Assert.Throws<WeightLoadException>(() => module.Load(context, new FileWeights(file, "f", "chan_ln.param.")));
        Assert.That(error!.Problems, Is.EqualTo(new[] { "missing weight [7]", "missing bias [7]", "surplus g [7, 1, 1, 1]" }));

        using var deeper = new PseudoConv3d(5, 6);
        error = Assert.Throws<WeightLoadException>(() => deeper.Load(context, new FileWeights(file, "f", "pconv_k3_video.param.spatial_conv.")));
        Assert.That(error!.Problems, Has.Some.EqualTo("missing spatial_conv.bias [6]").Or.Some.Contains("surplus weight"));
    }

    [Test]
    public void Nearest_name_is_given_for_a_misspelt_one()
    {
        using var context = GoldenFiles.OpenChecked();
        using var file = SafetensorsFile.Open(GoldenFiles.Data("vae_tiny.safetensors"));
        using var module = new Renamed();
        var error = Assert.Throws<WeightLoadException>(() => module.Load(context, new FileWeights(file, "f", "encoder.mid_block.attentions.0.")));
        Assert.That(error!.Problems, Has.Some.EqualTo("missing group_nrm.weight [64] (the file has group_norm.weight)"));
        Assert.That(error.Problems, Has.Some.EqualTo("surplus group_norm.weight [64] (the model lacks group_nrm.weight)"));
    }

    [Test]
    public void Old_diffusers_names_are_understood()
    {
        using var vae = new AutoencoderKl(new AutoencoderOptions());
        using var aliases = System.Text.Json.JsonDocument.Parse(File.ReadAllText(GoldenFiles.Data("key_aliases.json")));
        foreach (var alias in aliases.RootElement.GetProperty("014_to_current").EnumerateObject())
        {
            Assert.That(vae.CurrentName(alias.Name), Is.EqualTo(alias.Value.GetString()));
        }

        Assert.That(vae.Parameters.Select(p => vae.CurrentName(p.Name)), Is.EqualTo(vae.Parameters.Select(p => p.Name)));
    }

    [Test]
    public void Packing_and_unpacking_are_inverse()
        => Gen.Int[1, 4].Array[4].Sample(s =>
        {
            var values = Enumerable.Range(0, s[0] * s[1] * s[2] * s[3]).ToArray();
            var layout = WeightLayout.Convolution(s);
            var packed = layout.Pack(values);
            for (var i = 0; i < values.Length; i++)
            {
                var (o, r, x, c) = (i / s[1] / s[2] / s[3], i / s[3] / s[1] % s[2], i / s[1] % s[3], i % s[1]);
                Assert.That(packed[i], Is.EqualTo((((((o * s[1]) + c) * s[2]) + r) * s[3]) + x));
            }

            Assert.That(layout.Unpack(packed), Is.EqualTo(values));
        });

    [Test]
    public void Loaded_parameters_read_back_in_PyTorchs_order()
    {
        using var context = GoldenFiles.OpenChecked();
        using (var file = SafetensorsFile.Open(GoldenFiles.Data("layers.safetensors")))
        using (var module = new Upsample(6, upsampleTime: true))
        {
            module.Load(context, new FileWeights(file, "f", "up_space_time.param."));
            foreach (var (name, parameter) in module.Parameters)
            {
                Assert.That(parameter.ReadTorch(), Is.EqualTo(file.ReadFloat32($"up_space_time.param.{name}")), name);
            }
        }

        context.CheckLeaks();
    }

    [Test]
    public void A_saved_model_is_the_file_that_it_was_loaded_from()
    {
        using var folder = new TemporaryFolder();
        var path = folder["saved.safetensors"];
        using var context = GoldenFiles.OpenChecked();
        using var original = SafetensorsFile.Open(GoldenFiles.Data("clip_tiny.safetensors"));
        using var clip = new ClipVisionModel(new ClipVisionOptions { HiddenSize = 64, Layers = 3, Heads = 4, IntermediateSize = 128, ImageSize = 64, PatchSize = 16 });
        clip.Load(context, new FileWeights(original, "clip_tiny.safetensors"));
        clip.Save(path, new Dictionary<string, string>(StringComparer.Ordinal) { ["saved"] = "yes" });
        using var saved = SafetensorsFile.Open(path);
        Assert.That(saved.Metadata["saved"], Is.EqualTo("yes"));
        Assert.That(saved.Tensors.Keys, Is.EquivalentTo(original.Tensors.Keys));
        foreach (var name in original.Tensors.Keys)
        {
            Assert.That(saved.Tensors[name].Shape, Is.EqualTo(original.Tensors[name].Shape), name);
            Assert.That(saved.Bytes(name).SequenceEqual(original.Bytes(name)), name);
        }
    }

    private sealed class Renamed : Module
    {
        public Renamed() => Add("group_nrm", new GroupNorm(8, 64));
    }
}
