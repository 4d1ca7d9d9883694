// The full-size modules' parameters against the reference's state dictionaries: names, order, shapes, counts.
using System.Text.Json;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Tests;

[TestFixture]
public sealed class ManifestTests
{
    private static readonly JsonElement Manifest = JsonDocument.Parse(File.ReadAllText(GoldenFiles.Data("manifest_full.json"))).RootElement;

    [Test]
    public void Adapter_has_the_references_parameters() => AssertEqual("adapter", new EmbeddingAdapter(), 986_558);

    [Test]
    public void Autoencoder_has_the_references_parameters() => AssertEqual("vae_sd_v1_4", new AutoencoderKl(new AutoencoderOptions()), 83_653_863);

    [Test]
    public void Clip_has_the_references_parameters() => AssertEqual("clip_vit_b32_vision", new ClipVisionModel(new ClipVisionOptions()), 87_456_000);

    internal static void AssertEqual(string section, Module module, long count)
    {
        using (module)
        {
            var expected = Manifest.GetProperty(section).GetProperty("entries").EnumerateArray()
                .Select(e => $"{e.GetProperty("name").GetString()} {new Shape([.. e.GetProperty("shape").EnumerateArray().Select(d => d.GetInt32())])}");
            Assert.That(module.Parameters.Select(p => $"{p.Name} {p.Parameter.TorchShape}"), Is.EqualTo(expected));
            Assert.That(module.ParameterCount, Is.EqualTo(count));
        }
    }
}
