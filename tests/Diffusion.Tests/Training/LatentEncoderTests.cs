// A frame through the frozen encoders, and the file that clips become.
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Diffusion.Training;
using FashionFlow.Gpu;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tests.Training;

[TestFixture]
public sealed class LatentEncoderTests
{
    [TestCase("fixed", null)]
    [TestCase("fashionflow", null)]
    [TestCase("fixed", PictureFit.Pad)]
    public void A_frame_is_what_the_modules_make_of_the_fitted_picture(string mode, PictureFit? fit)
    {
        using var context = GoldenFiles.OpenChecked();
        var (c, compatibility) = (TinyModel.Configuration, CompatibilityOptions.Parse(mode));
        using (var encoder = LatentEncoder.Load(context, c, modelDirectory: null, compatibility, fit))
        using (var vae = new AutoencoderKl(c.Vae))
        using (var clip = new ClipVisionModel(c.Clip))
        {
            vae.Load(context, new SeededWeights(5, "vae", nothingZero: true));
            clip.Load(context, new SeededWeights(5, "clip", nothingZero: true));
            var live = context.LiveTensors;

            // Another frame before it changes nothing.
            encoder.Encode(new Rgb8Image(5, 7));
            var ours = encoder.Encode(TinyModel.Picture());
            Assert.That(context.LiveTensors, Is.EqualTo(live));

            using var scope = TensorScope.Begin();
            var fitted = PictureFitter.Fit(TinyModel.Picture(), 16, 24, fit ?? compatibility.Fit);
            var moments = vae.Encode(Tensor.FromArray<float>(context, Array.ConvertAll(fitted.Data, b => b / 255f), [1, 24, 16, 3])).ToArray<float>();
            var pixels = new ClipPreprocessor(16, compatibility.ClipRescaling).Preprocess(fitted);
            var tokens = clip.Forward(Tensor.FromArray<float>(context, pixels, [1, 16, 16, 3])).ToArray<float>();
            using (Assert.EnterMultipleScope())
            {
                Assert.That(ours.Picture.Data, Is.EqualTo(fitted.Data));
                Assert.That(ours.Mean, Is.EqualTo(moments.Where((_, i) => i % 8 < 4)));
                Assert.That(ours.LogVariance, Is.EqualTo(moments.Where((_, i) => i % 8 >= 4)));
                Assert.That(ours.Tokens, Is.EqualTo(tokens));
            }
        }

        context.CheckLeaks();
    }

    [Test]
    public void Only_the_encoders_weights_are_needed()
    {
        using var folder = new TemporaryFolder();
        using var context = GoldenFiles.OpenChecked();
        var c = TinyModel.Configuration with { WeightSeed = null };
        Assert.That(() => LatentEncoder.Load(context, c, folder.Path, CompatibilityOptions.Fixed), Throws.TypeOf<ModelException>().With.Message.Contains("vae.safetensors is missing"));
        Assert.That(() => ProjectionRecipe.Of(c, folder.Path, CompatibilityOptions.Fixed), Throws.TypeOf<ModelException>().With.Message.Contains("vae.safetensors is missing"));
        context.CheckLeaks();
        Save(new AutoencoderKl(c.Vae), ModelFiles.Vae);
        Save(new ClipVisionModel(c.Clip), ModelFiles.Clip);
        LatentEncoder.Load(context, c, folder.Path, CompatibilityOptions.Fixed).Dispose();
        Assert.That(ProjectionRecipe.Of(c, folder.Path, CompatibilityOptions.Fixed).Vae.Weights, Does.Match("^sha256 [0-9a-f]{64}$"));
        context.CheckLeaks();

        void Save(Module module, string name)
        {
            using (module)
            {
                module.Load(context, new SeededWeights(5, name));
                module.Save(folder[name]);
            }
        }
    }

    [Test]
    public void A_recipe_tells_apart_all_that_latents_depend_on_and_nothing_else()
    {
        using var folder = new TemporaryFolder();
        var c = TinyModel.Configuration;
        ModelConfiguration[] others =
        [
            c with { PictureWidth = 32 },
            c with { PictureHeight = 32 },
            c with { WeightSeed = 6 },
            c with { SeededStart = SeededStart.Training },
            c with { Vae = c.Vae with { NormEpsilon = 1e-5 } },
            c with { Clip = c.Clip with { Heads = 3 } },
        ];
        var recipes = others.Append(c).Select(other => ProjectionRecipe.Of(other, folder.Path, CompatibilityOptions.Fixed).ToJson()).ToList();
        recipes.Add(ProjectionRecipe.Of(c, folder.Path, CompatibilityOptions.FashionFlow).ToJson());
        recipes.Add(ProjectionRecipe.Of(c, folder.Path, CompatibilityOptions.Fixed, PictureFit.Pad).ToJson());
        var same = ProjectionRecipe.Of(
            c with { Frames = 8, Note = "?", Unet = c.Unet with { Dim = 16 } }, folder.Path, CompatibilityOptions.Fixed, CompatibilityOptions.Fixed.Fit);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(recipes, Is.Unique);
            Assert.That(same.ToJson(), Is.EqualTo(LatentFolder.Recipe.ToJson()));
        }
    }

    [Test]
    public void A_clips_file_holds_its_frames_in_order_and_nothing_else_is_left()
    {
        using var folder = new TemporaryFolder();
        LatentFolder.WriteClip(folder.Path, "a", 3, 5);
        Assert.That(folder.Names, Is.EqualTo(new[] { "a.safetensors" }));
        var path = folder["a.safetensors"];
        using var file = SafetensorsFile.Open(path);
        var frames = Enumerable.Range(0, 5).Select(f => LatentFolder.Frame(3, f)).ToArray();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.Tensors.Values.Select(t => (t.Name, t.DType, t.Shape)), Is.EquivalentTo(new[]
            {
                ("mean", DType.Float32, new Shape(5, 12, 8, 4)), ("log_variance", DType.Float32, new Shape(5, 12, 8, 4)),
                ("tokens", DType.Float32, new Shape(5, 5, 12)), ("first_frame", DType.UInt8, new Shape(24, 16, 3)),
            }));
            Assert.That(file.ReadFloat32("mean"), Is.EqualTo(frames.SelectMany(f => f.Mean)));
            Assert.That(file.ReadFloat32("log_variance"), Is.EqualTo(frames.SelectMany(f => f.LogVariance)));
            Assert.That(file.ReadFloat32("tokens"), Is.EqualTo(frames.SelectMany(f => f.Tokens)));
            Assert.That(file.Bytes("first_frame").ToArray(), Is.EqualTo(frames[0].Picture.Data));
            Assert.That(LatentClip.TryDescribe(path), Is.EqualTo(new LatentClipInfo("3.mp4", $"{3:x64}", 5, 25, LatentFolder.Recipe.ToJson())));
            Assert.That(file.Metadata["layout"], Does.StartWith("mean, log_variance: [frame, height, width, channel], not scaled"));
        }
    }

    [Test]
    public void A_frame_of_other_sizes_and_a_clip_without_frames_are_refused()
    {
        using var folder = new TemporaryFolder();
        using var writer = new LatentClipWriter(folder.Path, LatentFolder.Recipe);
        var frame = LatentFolder.Frame(0, 0);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => writer.Add(frame with { Tokens = [1] }), Throws.ArgumentException);
            Assert.That(() => writer.Add(frame with { LogVariance = [1] }), Throws.ArgumentException);
            Assert.That(() => writer.WriteTo(Stream.Null, "x", "a.mp4", "", null), Throws.InvalidOperationException);
            Assert.That(LatentClip.TryDescribe(GoldenFiles.Data("vae_tiny_io.safetensors")), Is.Null, "a file of another kind");
        }
    }
}
