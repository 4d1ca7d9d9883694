// The model that a training leaves: what the next stage and generate find in it.
using System.Text.Json.Nodes;
using FashionFlow.App.Training;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;
using FashionFlow.Gpu;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Tests.Training;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class FinishedModelTests : IDisposable
{
    private static readonly ModelConfiguration Tiny = TinyModel.Configuration;

    private readonly TemporaryFolder _folder = new();
    private readonly DeviceContext _context = DeviceContext.Open("virtual");

    public void Dispose()
    {
        _context.Dispose();
        _folder.Dispose();
    }

    // The recipe's chain: autoencoder, encoder, then both parts of the denoiser, each from the model that the one before left.
    [Test]
    public void Parts_trained_one_after_the_other_end_in_a_model_that_needs_no_seed()
    {
        TinyModelFolder.WriteSeeded(_folder["start"]);
        var json = JsonNode.Parse(File.ReadAllText(_folder["start/config.json"]))!.AsObject();
        (json["start"], json["note"], json["frame_rate"], json["sampler"]) = ("training", "Untrained.", 8, "ddim");
        File.WriteAllText(_folder["start/config.json"], json.ToJsonString());

        Finish("start", "a", new AutoencoderKl(Tiny.Vae), ModelFiles.Vae, half: true, scale: 0.75);
        var vae = File.ReadAllBytes(_folder["a/vae.safetensors"]);
        Assert.That(Directory.GetFiles(_folder["a"]).Select(Path.GetFileName), Is.EquivalentTo(new[] { "config.json", "vae.safetensors" }));
        Assert.That((Keys("a")["seed"]!.GetValue<int>(), Keys("a")["start"]!.GetValue<string>(), Keys("a")["note"]!.GetValue<string>()), Is.EqualTo((5, "training", "Untrained.")));

        Finish("a", "b", new ClipVisionModel(Tiny.Clip), ModelFiles.Clip, half: true);
        Assert.That(File.ReadAllBytes(_folder["b/vae.safetensors"]), Is.EqualTo(vae), "a part that was not trained is copied as it is");
        Assert.That(ModelConfiguration.ForDirectory(_folder["b"]).WeightSeed, Is.EqualTo(5));

        using (var unet = Loaded(new SpaceTimeUnet(Tiny.Unet), ModelFiles.Unet))
        using (var adapter = Loaded(Tiny.CreateAdapter(), ModelFiles.Adapter))
        {
            FinishedModel.Write(_folder["c"], _folder["b"], [new("unet", unet), new("adapter", adapter)], half: true, scalingFactor: null, CompatibilityOptions.Fixed);
        }

        var finished = ModelConfiguration.ForDirectory(_folder["c"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Directory.GetFiles(_folder["c"]).Select(Path.GetFileName), Is.EquivalentTo(ModelFiles.All.Append("config.json")));
            Assert.That(Keys("c").Select(k => k.Key), Is.EquivalentTo(new[] { "frames", "picture", "unet", "vae", "clip", "frame_rate", "sampler", "compat" }));
            Assert.That((finished.IsTrained, finished.Note, finished.FrameRate, finished.Sampler), Is.EqualTo((true, (string?)null, 8, SamplerKind.Ddim)));
            Assert.That((finished.Vae.ScalingFactor, finished.Vae.NormGroups, finished.Compatibility?.Name), Is.EqualTo((0.75, 4, "fixed")));
            Assert.That(File.ReadAllBytes(_folder["c/vae.safetensors"]), Is.EqualTo(vae));
        }

        using var pipeline = FashionFlowPipeline.Load(_context, _folder["c"]);
        Assert.That(pipeline.Resolve(new GenerationOptions()).Compatibility, Is.EqualTo(CompatibilityOptions.Fixed));
    }

    [TestCase(true, DType.Float16)]
    [TestCase(false, DType.Float32)]
    public void Weights_are_written_under_their_names_in_the_type_that_was_asked_for(bool half, DType type)
    {
        TinyModelFolder.WriteSeeded(_folder["start"]);
        using var vae = Loaded(new AutoencoderKl(Tiny.Vae), ModelFiles.Vae);
        FinishedModel.Write(_folder["a"], _folder["start"], [new("vae", vae)], half, scalingFactor: 1, compatibility: null);
        using var file = SafetensorsFile.Open(_folder["a/vae.safetensors"]);
        Assert.That(file.Tensors.Keys, Is.EquivalentTo(vae.Parameters.Select(p => p.Name)));
        foreach (var (name, parameter) in vae.Parameters)
        {
            Assert.That(file.Tensors[name].DType, Is.EqualTo(type));
            Assert.That(file.ReadFloat32(name), Is.EqualTo(half ? Array.ConvertAll(parameter.ReadTorch(), v => (float)(Half)v) : parameter.ReadTorch()));
        }

        Assert.That(Keys("a").ContainsKey("compat"), Is.False, "the mode belongs to the denoiser");
    }

    // A section of the configuration takes the place of a whole section in the weights' metadata.
    [Test]
    public void A_model_whose_sizes_are_in_the_weights_keeps_them_beside_a_new_scaling_factor()
    {
        TinyModelFolder.WriteSeeded(_folder["start"]);
        var json = JsonNode.Parse(File.ReadAllText(_folder["start/config.json"]))!.AsObject();
        var sizes = json["vae"]!.ToJsonString();
        json.Remove("vae");
        File.WriteAllText(_folder["start/config.json"], json.ToJsonString());
        using var vae = Loaded(new AutoencoderKl(Tiny.Vae), ModelFiles.Vae);
        SafetensorsWriter.Write(
            _folder["start/vae.safetensors"],
            vae.Parameters.Select(p => new SafetensorsTensor(p.Name, p.Parameter.TorchShape, p.Parameter.ReadTorch())),
            new Dictionary<string, string> { ["config"] = sizes });
        FinishedModel.Write(_folder["a"], _folder["start"], [new("vae", vae)], half: false, scalingFactor: 0.5, compatibility: null);
        var options = ModelConfiguration.ForDirectory(_folder["a"]).Vae;
        Assert.That((string.Join(',', options.BlockOutChannels), options.NormGroups, options.ScalingFactor), Is.EqualTo(("8,16", 4, 0.5)));
    }

    private JsonObject Keys(string folder) => JsonNode.Parse(File.ReadAllText(_folder[$"{folder}/config.json"]))!.AsObject();

    private void Finish(string from, string to, Module module, string name, bool half, double? scale = null)
    {
        using (Loaded(module, name))
        {
            FinishedModel.Write(_folder[to], _folder[from], [new(Path.GetFileNameWithoutExtension(name), module)], half, scale, compatibility: null);
        }
    }

    private T Loaded<T>(T module, string name)
        where T : Module
    {
        module.Load(_context, new SeededWeights(7, Path.GetFileNameWithoutExtension(name), nothingZero: true));
        return module;
    }
}
