// The U-Net's parameters, its rules on shapes, and its constructor's options.
using System.Text.Json;
using FashionFlow.Diffusion;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Tests;

[TestFixture]
[Category("EveryDevice")]
public sealed class SpaceTimeUnetTests
{
    [Test]
    public void Full_size_has_the_references_parameters_in_its_order()
    {
        using var unet = new SpaceTimeUnet(new UnetOptions());
        using var manifest = JsonDocument.Parse(File.ReadAllText(GoldenFiles.Data("manifest_full.json")));
        var expected = manifest.RootElement.GetProperty("unet").GetProperty("entries").EnumerateArray()
            .Select(e => $"{e.GetProperty("name").GetString()} {new Shape([.. e.GetProperty("shape").EnumerateArray().Select(d => d.GetInt32())])}");
        Assert.That(unet.Parameters.Select(p => $"{p.Name} {p.Parameter.TorchShape}"), Is.EqualTo(expected));
        Assert.That(unet.ParameterCount, Is.EqualTo(71_671_548));
    }

    [TestCase(5, 8, 12, "5 frames do not fit")]
    [TestCase(4, 6, 12, "multiples of 4")]
    [TestCase(4, 8, 10, "multiples of 4")]
    public void Sizes_that_do_not_halve_are_refused(int frames, int h, int w, string expected)
        => WithUnet(TinyModel.Configuration.Unet, (context, unet) =>
        {
            var error = Assert.Throws<ArgumentException>(() => unet.Forward(
                Tensor.Zeros(context, [1, frames, h, w, 4]), Tensor.Zeros(context, [1]), Tensor.Zeros(context, [1, 3, 12])));
            Assert.That(error!.Message, Does.Contain(expected));
        });

    [Test]
    public void Without_time_any_number_of_frames_goes()
        => WithUnet(TinyModel.Configuration.Unet, (context, unet) =>
        {
            var x = Ops.Randn(context, [1, 3, 8, 12, 4], 1, "x");
            var y = unet.Forward(x, Tensor.FromArray<float>(context, [5f], [1]), Ops.Randn(context, [1, 3, 12], 1, "c"), enableTime: false);
            Assert.That(y.Shape, Is.EqualTo(x.Shape));
            Assert.That(y.ToArray<float>(), Has.All.Matches<float>(float.IsFinite));
        });

    [Test]
    public void Every_constructor_option_makes_a_network_that_runs()
    {
        UnetOptions[] variants =
        [
            new() { Dim = 8, DimMult = [1], SelfAttentions = [true], TemporalCompression = [true], ResnetBlockDepths = [1], HeadWidth = 4, Heads = 2, ContextChannels = 6 },
            new() { Dim = 8, DimMult = [2, 1], SelfAttentions = [false, false], TemporalCompression = [true, true], ResnetBlockDepths = [2, 1], ContextChannels = 6 },
            new() { Dim = 8, DimMult = [1, 1, 2], SelfAttentions = [true, false, true], TemporalCompression = [false, true, false], ResnetBlockDepths = [1, 3, 1], HeadWidth = 8, Heads = 1, ContextChannels = 6, Channels = 3, ConditionOnTimestep = false },
        ];
        foreach (var options in variants)
        {
            WithUnet(options, (context, unet) =>
            {
                var (h, w) = (options.SpaceMultiple, options.SpaceMultiple * 2);
                var x = Ops.Randn(context, [2, options.FrameMultiple, h, w, options.Channels], 1, "x");
                var t = options.ConditionOnTimestep ? Tensor.FromArray<float>(context, [0f, 999f], [2]) : null;
                var y = unet.Forward(x, t, Ops.Randn(context, [2, 5, 6], 1, "c"));
                Assert.That(y.Shape, Is.EqualTo(x.Shape));
                Assert.That(y.ToArray<float>(), Has.All.Matches<float>(float.IsFinite));
            });
        }
    }

    [Test]
    public void The_norms_epsilon_is_switched_in_every_feed_forward()
    {
        using var unet = new SpaceTimeUnet(new UnetOptions()) { ChannelNormEpsilon = ChanLayerNorm.HalfEpsilon };
        Assert.That(unet.Modules.OfType<ChanLayerNorm>().Select(n => n.Epsilon), Is.EqualTo(new[] { 1e-3, 1e-3, 1e-3 }));
    }

    private static void WithUnet(UnetOptions options, Action<DeviceContext, SpaceTimeUnet> use)
    {
        using var context = GoldenFiles.OpenChecked();
        using (var unet = new SpaceTimeUnet(options))
        {
            unet.Load(context, new SeededWeights(3, "unet", nothingZero: true));
            using var scope = TensorScope.Begin();
            use(context, unet);
        }

        context.CheckLeaks();
    }
}
