// The data set as the trainer sees it: windows and draws as a pure function of the position, and one clear line for what is wrong.
using CsCheck;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Tests.Training;

[TestFixture]
public sealed class LatentDatasetTests
{
    // Lengths of clips, frames of a window, stride, seed, randomness: any training there may be.
    private static readonly Gen<(int[] Clips, LatentDatasetOptions Options)> Any =
        from half in Gen.Int[1, 3]
        from stride in Gen.Int[1, 3]
        let span = (((half * 2) - 1) * stride) + 1
        from extra in Gen.Int[0, 9].Array[1, 7]
        from seed in Gen.ULong
        from randomness in Gen.Enum<EpochRandomness>()
        select (Array.ConvertAll(extra, more => span + more), new LatentDatasetOptions { Frames = half * 2, Stride = stride, Seed = seed, Randomness = randomness });

    [Test]
    public void Every_clip_comes_once_an_epoch_and_every_window_lies_within_its_clip() => ForAny((dataset, clips, options) =>
    {
        for (var epoch = 0; epoch < 3; epoch++)
        {
            var windows = Epoch(dataset, epoch);
            Assert.That(windows.Select(w => w.Clip).Order(), Is.EqualTo(Enumerable.Range(0, clips.Length)));
            Assert.That(windows.All(w => w.Start >= 0 && w.Start + ((options.Frames - 1) * options.Stride) < dataset.Clips[w.Clip].Frames));
            if (options.Randomness == EpochRandomness.Frozen)
            {
                Assert.That(windows, Is.EqualTo(Epoch(dataset, 0)));
            }
        }
    });

    [Test]
    public void Where_a_sample_is_read_from_does_not_depend_on_what_was_read_before() => ForAny((dataset, clips, options) =>
    {
        var straight = Enumerable.Range(0, 3 * clips.Length).Select(i => dataset.Window(dataset.Advance(DatasetPosition.Start, i))).ToArray();
        for (var i = straight.Length - 1; i >= 0; i -= 2)
        {
            Assert.That(dataset.Window(new DatasetPosition(i / clips.Length, i % clips.Length)), Is.EqualTo(straight[i]));
        }

        var at = DatasetPosition.Start;
        for (var i = 0; i < straight.Length; i += 2, at = dataset.Advance(at, 2))
        {
            Assert.That(dataset.Window(at), Is.EqualTo(straight[i]));
        }
    });

    [Test]
    public void Fresh_epochs_have_other_orders_and_windows_and_every_window_is_met()
    {
        using var folder = new TemporaryFolder();
        LatentFolder.Write(folder.Path, Enumerable.Repeat(7, 8));
        using var context = GoldenFiles.OpenChecked();
        var dataset = LatentDataset.Open(context, folder.Path, TinyModel.Configuration, new LatentDatasetOptions { Seed = 3 });
        var epochs = Enumerable.Range(0, 12).Select(epoch => Epoch(dataset, epoch)).ToArray();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(epochs.Select(e => string.Join(',', e.Select(w => w.Clip))), Is.Unique);
            Assert.That(epochs.SelectMany(e => e).Select(w => w.Start).Distinct().Order(), Is.EqualTo(new[] { 0, 1, 2, 3 }));
            Assert.That(epochs.SelectMany(e => e).Where(w => w.Clip == 0).Select(w => w.Start).Distinct().Count(), Is.GreaterThan(1));
        }

        var other = LatentDataset.Open(context, folder.Path, TinyModel.Configuration, new LatentDatasetOptions { Seed = 4 });
        Assert.That(Epoch(other, 0), Is.Not.EqualTo(epochs[0]));
    }

    [TestCase(1, EpochRandomness.Fresh)]
    [TestCase(3, EpochRandomness.Fresh)]
    [TestCase(1, EpochRandomness.Frozen)]
    public void A_batch_holds_draws_of_its_windows_and_the_tokens_of_their_first_frames(int stride, EpochRandomness randomness)
    {
        using var folder = new TemporaryFolder();
        LatentFolder.Write(folder.Path, 14, 12, 13);
        using var context = GoldenFiles.OpenChecked();
        using var scope = TensorScope.Begin();
        var options = new LatentDatasetOptions { Stride = stride, Seed = 9, Randomness = randomness };
        var dataset = LatentDataset.Open(context, folder.Path, TinyModel.Configuration, options);

        // The last sample of epoch 1 and the first of epoch 2.
        var position = new DatasetPosition(1, 2);
        var batch = dataset.Batch(position, 2);
        Assert.That(batch.Windows, Is.EqualTo(new[] { dataset.Window(position), dataset.Window(new DatasetPosition(2, 0)) }));
        Assert.That((batch.Latents.Shape, batch.Tokens.Shape, batch.AdapterLatents.Shape), Is.EqualTo((new Shape(2, 4, 12, 8, 4), new Shape(2, 5, 12), new Shape(2, 12, 8, 4))));
        var (latents, tokens, adapter) = (batch.Latents.ToArray<float>(), batch.Tokens.ToArray<float>(), batch.AdapterLatents.ToArray<float>());
        for (var i = 0; i < 2; i++)
        {
            var (clip, start) = batch.Windows[i];
            var epoch = randomness == EpochRandomness.Frozen ? 0 : 1 + i;
            for (var f = 0; f < 4; f++)
            {
                var frame = start + (f * stride);
                AssertDraw(latents.AsSpan(((i * 4) + f) * 384, 384), clip, frame, $"dataset/latent/{epoch}/train/{clip}");
            }

            AssertDraw(adapter.AsSpan(i * 384, 384), clip, start, $"dataset/adapter latent/{epoch}/train/{clip}");
            Assert.That(tokens[(i * 60)..((i + 1) * 60)], Is.EqualTo(LatentFolder.Frame(clip, start).Tokens));
        }

        // Rounding of four operations in float32, and of an exponential within 2 units of the last place.
        void AssertDraw(ReadOnlySpan<float> ours, int clip, int frame, string purpose)
        {
            using var inner = TensorScope.Begin();
            var source = LatentFolder.Frame(clip, frame);
            var noise = Ops.Randn(context, [384], options.Seed, purpose, frame * 384L).ToArray<float>();
            for (var i = 0; i < ours.Length; i++)
            {
                var deviation = Math.Exp(source.LogVariance[i] / 2.0) * noise[i];
                var bound = 1e-6 * 0.18215 * (Math.Abs(source.Mean[i]) + Math.Abs(deviation));
                Assert.That(ours[i], Is.EqualTo(0.18215 * (source.Mean[i] + deviation)).Within(bound), $"clip {clip}, frame {frame}, element {i}");
            }
        }
    }

    [Test]
    public void The_same_position_gives_the_same_bits_after_a_restart_and_another_epoch_another_draw()
    {
        using var folder = new TemporaryFolder();
        LatentFolder.Write(folder.Path, 4, 4, 4);
        using var context = GoldenFiles.OpenChecked();
        var first = Read(new DatasetPosition(0, 1), warmUp: 3);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Read(new DatasetPosition(0, 1), warmUp: 0), Is.EqualTo(first));
            Assert.That(Read(new DatasetPosition(1, 1), warmUp: 0), Is.Not.EqualTo(first));
        }

        // Clips are as long as windows here, so that draws alone can differ.
        float[] Read(DatasetPosition position, int warmUp)
        {
            using var scope = TensorScope.Begin();
            var dataset = LatentDataset.Open(context, folder.Path, TinyModel.Configuration);
            for (var i = 0; i < warmUp; i++)
            {
                _ = dataset.Batch(new DatasetPosition(i, 0), 2);
            }

            var batch = dataset.Batch(position, 3);
            var byClip = batch.Windows.Index().OrderBy(w => w.Item.Clip).Select(w => batch.Latents.Narrow(w.Index, 1).ToArray<float>());
            return [.. byClip.SelectMany(values => values)];
        }
    }

    [Test]
    public void A_clip_more_leaves_the_draws_of_the_others_as_they_were()
    {
        using var folder = new TemporaryFolder();
        LatentFolder.Write(folder.Path, 9, 9);
        using var context = GoldenFiles.OpenChecked();
        var before = Chosen();
        LatentFolder.WriteClip(folder.Path, "train/00", 5, 9);
        LatentFolder.WriteIndex(folder.Path);
        Assert.That(Chosen(), Is.EqualTo(before));

        float[] Chosen()
        {
            using var scope = TensorScope.Begin();
            var dataset = LatentDataset.Open(context, folder.Path, TinyModel.Configuration);
            var clip = dataset.Clips.Index().First(c => c.Item.Name == "train/1").Index;
            return dataset.Batch(new LatentWindow(clip, 5)).Latents.ToArray<float>();
        }
    }

    [Test]
    public void Splits_are_apart_short_clips_are_left_out_and_pictures_can_be_shown()
    {
        using var folder = new TemporaryFolder();
        LatentFolder.WriteClip(folder.Path, "own", 1, 4);
        LatentFolder.WriteClip(folder.Path, "train/a", 2, 3);
        LatentFolder.WriteClip(folder.Path, "train/b", 3, 8);
        LatentFolder.WriteClip(folder.Path, "test/a", 4, 6);
        LatentFolder.WriteClip(folder.Path, "test/foreign", 5, 6, LatentFolder.Recipe with { Fit = "pad" });
        File.WriteAllText(folder["noise.safetensors"], "no clip");
        LatentFolder.WriteIndex(folder.Path);
        using var context = GoldenFiles.OpenChecked();
        var train = LatentDataset.Open(context, folder.Path, TinyModel.Configuration);
        var test = LatentDataset.Open(context, folder.Path, TinyModel.Configuration, new LatentDatasetOptions { Split = LatentIndex.Test });
        using (Assert.EnterMultipleScope())
        {
            Assert.That(train.Clips.Select(c => c.Name), Is.EqualTo(new[] { "own", "train/b" }));
            Assert.That(train.TooShort.Select(c => c.Name), Is.EqualTo(new[] { "train/a" }));
            Assert.That(test.Clips.Select(c => (c.Name, c.Frames, c.Fps, c.Source)), Is.EqualTo(new[] { ("test/a", 6, (double?)25, "4.mp4") }));
            Assert.That(train.Picture(1).Data, Is.All.EqualTo(4));
            Assert.That((train.Picture(1).Width, train.Picture(1).Height), Is.EqualTo((16, 24)));
            Assert.That(() => train.Batch(new LatentWindow(1, 5)), Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => train.Window(new DatasetPosition(0, 2)), Throws.TypeOf<ArgumentOutOfRangeException>());
        }

        Assert.That(train.Recipe.ToJson(), Is.EqualTo(LatentFolder.Recipe.ToJson()));
    }

    [TestCase("no index", "holds no dataset.json; make it with: fashionflow project")]
    [TestCase("no JSON", "dataset.json is no index of latents")]
    [TestCase("half an index", "dataset.json is no index of latents")]
    [TestCase("another version", "dataset.json is of format version 2, and this program reads version 1")]
    [TestCase("a clip gone", "0.safetensors: there is no such file; run fashionflow project again")]
    [TestCase("a clip cut short", "0.safetensors: ")]
    [TestCase("a clip exchanged", "0.safetensors is not the clip that dataset.json lists")]
    [TestCase("a clip of another recipe", "0.safetensors is not the clip that dataset.json lists")]
    [TestCase("another split", "holds no clips of split \"test\"")]
    [TestCase("too long a window", "holds no clip of split \"train\" with the 6 frames that a window spans; the longest has 5")]
    [TestCase("another model", "holds latents [12, 8, 4] with tokens [5, 12] a frame, and the model takes [12, 8, 4] with [17, 12]")]
    [TestCase("another scale", "is of an autoencoder with scaling factor 0.18215, and the model's has 0.5")]
    public void What_is_wrong_with_a_folder_is_one_clear_line(string what, string message)
    {
        using var folder = new TemporaryFolder();
        LatentFolder.Write(folder.Path, 4, 5);
        var (index, clip) = (folder[LatentIndex.FileName], folder["train/0.safetensors"]);
        var (model, options) = (TinyModel.Configuration, new LatentDatasetOptions());
        switch (what)
        {
            case "no index":
                File.Delete(index);
                break;
            case "no JSON":
                File.WriteAllText(index, "clips");
                break;
            case "half an index":
                File.WriteAllText(index, "{\"format_version\": 1, \"clips\": []}");
                break;
            case "another version":
                File.WriteAllText(index, File.ReadAllText(index).Replace("\"format_version\": 1", "\"format_version\": 2", StringComparison.Ordinal));
                break;
            case "a clip gone":
                File.Delete(clip);
                break;
            case "a clip cut short":
                File.WriteAllBytes(clip, File.ReadAllBytes(clip)[..^1]);
                break;
            case "a clip exchanged":
                File.Copy(folder["train/1.safetensors"], clip, overwrite: true);
                break;
            case "a clip of another recipe":
                LatentFolder.WriteClip(folder.Path, "train/0", 0, 4, LatentFolder.Recipe with { Compat = "fashionflow" });
                break;
            case "another split":
                options = options with { Split = LatentIndex.Test };
                break;
            case "too long a window":
                options = options with { Frames = 6 };
                break;
            case "another model":
                model = model with { Clip = model.Clip with { PatchSize = 4 } };
                break;
            default:
                model = model with { Vae = model.Vae with { ScalingFactor = 0.5 } };
                break;
        }

        using var context = GoldenFiles.OpenChecked();
        var error = Assert.Throws<DatasetException>(() => LatentDataset.Open(context, folder.Path, model, options))!;
        Assert.That(error.Message, Does.Contain(message).And.Not.Contain("\n"));
        context.CheckLeaks();
    }

    [Test]
    public void A_clip_that_goes_away_while_training_is_one_clear_line_too_and_leaves_nothing()
    {
        using var folder = new TemporaryFolder();
        LatentFolder.Write(folder.Path, 4);
        using var context = GoldenFiles.OpenChecked();
        var dataset = LatentDataset.Open(context, folder.Path, TinyModel.Configuration);
        File.Delete(folder["train/0.safetensors"]);
        Assert.That(() => dataset.Batch(DatasetPosition.Start, 1), Throws.TypeOf<DatasetException>().With.Message.Contains("there is no such file"));
        context.CheckLeaks();
        Assert.That(
            () => LatentDataset.Open(context, folder.Path, TinyModel.Configuration, new LatentDatasetOptions { Frames = 3 }), Throws.TypeOf<ModelException>());
    }

    private static LatentWindow[] Epoch(LatentDataset dataset, int epoch)
        => [.. Enumerable.Range(0, dataset.Clips.Count).Select(i => dataset.Window(new DatasetPosition(epoch, i)))];

    private static void ForAny(Action<LatentDataset, int[], LatentDatasetOptions> check)
    {
        using var context = GoldenFiles.OpenChecked();
        Any.Sample(
            any =>
            {
                using var folder = new TemporaryFolder();
                LatentFolder.Write(folder.Path, any.Clips);
                check(LatentDataset.Open(context, folder.Path, TinyModel.Configuration, any.Options), any.Clips, any.Options);
            },
            iter: 25,
            threads: 1);
        context.CheckLeaks();
    }
}
