// Where a model's sizes come from, and what is said of wrong ones.
using FashionFlow.Diffusion;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tests;

[TestFixture]
public sealed class ModelConfigurationTests
{
    [Test]
    public void Without_any_configuration_it_is_the_published_full_size()
    {
        using var folder = new TemporaryFolder();
        var c = ModelConfiguration.ForDirectory(folder.Path);
        var full = new ModelConfiguration();
        Assert.That(c.Unet.DimMult, Is.EqualTo(full.Unet.DimMult));
        Assert.That(c.Vae.BlockOutChannels, Is.EqualTo(full.Vae.BlockOutChannels));
        Assert.That((c.Clip, c.Schedule, c.IsTrained), Is.EqualTo((full.Clip, full.Schedule, true)));
        Assert.That((c.PictureWidth, c.PictureHeight, c.LatentWidth, c.LatentHeight, c.Frames), Is.EqualTo((512, 640, 64, 80, 70)));
    }

    [Test]
    public void A_files_own_metadata_configures_its_model()
    {
        var path = GoldenFiles.Data("vae_tiny.safetensors");
        using var file = SafetensorsFile.Open(path);
        var vae = ModelConfiguration.VaeOf(path, file);
        Assert.That(vae.BlockOutChannels, Is.EqualTo(new[] { 32, 64 }));
        Assert.That((vae.LayersPerBlock, vae.NormGroups, vae.NormEpsilon), Is.EqualTo((1, 8, 1e-6)));
    }

    [Test]
    public void Config_json_beside_the_weights_comes_first()
    {
        using var folder = new TemporaryFolder();
        var weights = folder["vae.safetensors"];
        File.Copy(GoldenFiles.Data("vae_tiny.safetensors"), weights);
        Write(folder, """{ "vae": { "block_out_channels": [8, 8, 8], "norm_num_groups": 4 } }""");
        using var file = SafetensorsFile.Open(weights);
        Assert.That(ModelConfiguration.VaeOf(weights, file).BlockOutChannels, Is.EqualTo(new[] { 8, 8, 8 }));
    }

    // What the model says is for its own sampler.
    [TestCase(""" "sampler": "dpmpp", "spacing": "karras" """, null, null, TimestepSpacing.Karras)]
    [TestCase(""" "sampler": "dpmpp", "spacing": "karras" """, SamplerKind.Ddim, null, TimestepSpacing.Uniform)]
    [TestCase(""" "sampler": "dpmpp", "spacing": "karras" """, null, TimestepSpacing.Trailing, TimestepSpacing.Trailing)]
    [TestCase(""" "spacing": "trailing" """, SamplerKind.Euler, null, TimestepSpacing.Trailing)]
    [TestCase("", null, null, TimestepSpacing.Uniform)]
    public void A_spacing_is_the_user_s_or_the_model_s_or_even(string members, SamplerKind? sampler, TimestepSpacing? spacing, TimestepSpacing expected)
    {
        using var folder = new TemporaryFolder();
        Write(folder, $"{{ {members} }}");
        Assert.That(ModelConfiguration.ForDirectory(folder.Path).Resolve(new GenerationOptions { Sampler = sampler, Spacing = spacing }).Spacing, Is.EqualTo(expected));
    }

    [Test]
    public void The_demo_model_is_trained_and_says_what_it_knows()
    {
        var c = ModelConfiguration.ForDirectory(Path.Combine(GoldenFiles.RepositoryRoot, "models", "demo"));
        Assert.That(c.IsTrained, Is.True);
        Assert.That(c.Note, Does.StartWith("Trained on drawn figures alone"));
        Assert.That(c.Schedule.Prediction, Is.EqualTo(PredictionType.Velocity));
        Assert.That(c.Frames % c.Unet.FrameMultiple, Is.Zero);
    }

    // What the model says, what a user says, and what then is in force.
    [TestCase("", null, null, null, "Ddpm 1000 fashionflow Stretch")]
    [TestCase("", SamplerKind.Ddim, null, "fixed", "Ddim 50 fixed Crop")]
    [TestCase(""" "compat": "fixed" """, null, null, null, "Ddpm 1000 fixed Crop")]
    [TestCase(""" "compat": "fixed" """, null, null, "fashionflow", "Ddpm 1000 fashionflow Stretch")]
    [TestCase(""" "compat": "fashionflow" """, null, null, "fixed", "Ddpm 1000 fixed Crop")]
    [TestCase(""" "compat": "fashionflow,clip-rescaling=fixed" """, null, null, null, "Ddpm 1000 fashionflow,clip-rescaling=fixed Stretch")]
    [TestCase(""" "steps": 20 """, null, null, null, "Ddpm 20 fashionflow Stretch")]
    [TestCase(""" "steps": 20 """, SamplerKind.Ddim, null, null, "Ddim 20 fashionflow Stretch")]
    [TestCase(""" "sampler": "ddim" """, null, null, null, "Ddim 50 fashionflow Stretch")]
    [TestCase("", SamplerKind.Dpmpp, null, null, "Dpmpp 20 fashionflow Stretch")]
    [TestCase("", SamplerKind.Euler, null, null, "Euler 50 fashionflow Stretch")]
    [TestCase(""" "sampler": "ddim", "steps": 25, "compat": "fixed" """, null, null, null, "Ddim 25 fixed Crop")]
    [TestCase(""" "sampler": "ddim", "steps": 25 """, null, 7, null, "Ddim 7 fashionflow Stretch")]
    [TestCase(""" "sampler": "ddim", "steps": 25 """, SamplerKind.Ddim, null, null, "Ddim 25 fashionflow Stretch")]
    [TestCase(""" "sampler": "ddim", "steps": 25 """, SamplerKind.Ddpm, null, null, "Ddpm 1000 fashionflow Stretch")]
    [TestCase(""" "sampler": "ddpm", "steps": 400 """, SamplerKind.Ddim, null, null, "Ddim 50 fashionflow Stretch")]
    [TestCase(""" "sampler": "ddim", "steps": 25, "schedule": { "timesteps": 10 } """, null, null, null, "Ddim 10 fashionflow Stretch")]
    public void What_a_user_says_comes_before_what_the_model_says(string members, SamplerKind? sampler, int? steps, string? compat, string expected)
    {
        using var folder = new TemporaryFolder();
        Write(folder, $"{{ {members} }}");
        var o = ModelConfiguration.ForDirectory(folder.Path).Resolve(new GenerationOptions
        {
            Sampler = sampler,
            Steps = steps,
            Compatibility = compat is null ? null : CompatibilityOptions.Parse(compat),
        });
        Assert.That($"{o.Sampler} {o.Steps} {o.Compatibility!.Name} {o.Fit}", Is.EqualTo(expected));
    }

    [TestCase("""{ "unet": { "dim": "big" } }""", "dim must be a whole number from 1, not \"big\"")]
    [TestCase("""{ "unet": { "dmi": 8 } }""", "unknown key \"dmi\"")]
    [TestCase("""{ "unets": {} }""", "unknown key \"unets\"")]
    [TestCase("""{ "unet": { "dim_mult": [1, 2, 4, 8, 16] } }""", "one to four")]
    [TestCase("""{ "unet": { "dim_mult": [1, 2], "self_attns": [true] } }""", "self_attns has 1 entries, but there are 2 levels")]
    [TestCase("""{ "clip": { "hidden_act": "gelu" } }""", "only \"quick_gelu\"")]
    [TestCase("""{ "clip": { "num_attention_heads": 7 } }""", "7 does not divide hidden_size 768")]
    [TestCase("""{ "vae": { "norm_num_groups": 7 } }""", "norm_num_groups 7 does not divide 128")]
    [TestCase("""{ "vae": { "latent_channels": 8 } }""", "latents have 8")]
    [TestCase("""{ "picture": { "width": 500 } }""", "multiples of 128")]
    [TestCase("""{ "unet": { "context_dim": 64 } }""", "hidden_size is 768")]
    [TestCase("""{ "start": "warm" }""", "\"random\" and \"training\"")]
    [TestCase("""{ "sampler": "heun" }""", "sampler is \"heun\"; possible are \"ddpm\", \"ddim\", \"euler\" and \"dpmpp\"")]
    [TestCase("""{ "spacing": "even" }""", "spacing is \"even\"; possible are \"uniform\", \"trailing\" and \"karras\"")]
    [TestCase("""{ "schedule": { "prediction_type": "sample" } }""", "prediction_type is \"sample\"; possible are \"epsilon\" and \"v_prediction\"")]
    [TestCase("""{ "sampler": "DDIM" }""", "sampler is \"DDIM\"; possible are")]
    [TestCase("""{ "sampler": 1 }""", "sampler must be a text, not 1")]
    [TestCase("""{ "compat": "mine" }""", "compat: the mode must be fashionflow or fixed, not 'mine'")]
    [TestCase("""{ "compat": true }""", "compat must be a text, not true")]
    [TestCase("""{ "seed": -1 }""", "seed must be a whole number from 0, not -1")]
    [TestCase("""{ "seed": 1 """, "not valid JSON at line 1")]
    [TestCase("[]", "expected a JSON object, not array")]
    public void Wrong_configurations_are_refused_by_name(string json, string expected)
    {
        using var folder = new TemporaryFolder();
        Write(folder, json);
        var error = Assert.Throws<ModelException>(() => ModelConfiguration.ForDirectory(folder.Path));
        Assert.That(error!.Message, Does.StartWith(folder["config.json"]).And.Contain(expected).And.Not.Contain("\n"));
    }

    [TestCase("""{ "schedule": { "beta_end": 0.01 } }""", PredictionType.Epsilon)]
    [TestCase("""{ "schedule": { "prediction_type": "epsilon" } }""", PredictionType.Epsilon)]
    [TestCase("""{ "schedule": { "prediction_type": "v_prediction" } }""", PredictionType.Velocity)]
    public void What_a_network_predicts_is_the_noise_unless_its_model_says_otherwise(string json, PredictionType expected)
    {
        using var folder = new TemporaryFolder();
        Write(folder, json);
        Assert.That(ModelConfiguration.ForDirectory(folder.Path).Schedule.Prediction, Is.EqualTo(expected));
    }

    [Test]
    public void One_value_stands_for_every_level()
    {
        using var folder = new TemporaryFolder();
        Write(folder, """{ "unet": { "dim_mult": [1, 2, 4, 4], "resnet_block_depths": 3, "self_attns": true } }""");
        var unet = ModelConfiguration.ForDirectory(folder.Path).Unet;
        Assert.That(unet.ResnetBlockDepths, Is.EqualTo(new[] { 3, 3, 3, 3 }));
        Assert.That(unet.SelfAttentions, Has.All.True);
    }

    private static void Write(TemporaryFolder folder, string json) => File.WriteAllText(folder["config.json"], json);
}
