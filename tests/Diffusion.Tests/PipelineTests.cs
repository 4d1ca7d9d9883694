// The pipeline from picture to frames on a tiny seeded model.
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Tests;

[TestFixture]
public sealed class PipelineTests
{
    private static readonly GenerationOptions Short = new() { Sampler = SamplerKind.Ddim, Steps = 3, Seed = 11 };

    [Test]
    public void Video_has_its_frames_in_order_and_its_size_and_leaves_nothing_behind()
    {
        using var context = GoldenFiles.OpenChecked();
        using (var pipeline = FashionFlowPipeline.Create(context, TinyModel.Configuration))
        {
            var parameters = context.LiveTensors;
            var told = new List<GenerationProgress>();
            var frames = Generate(pipeline, Short, new Told(told.Add));
            Assert.That(frames, Has.Count.EqualTo(4));
            Assert.That(frames.Select(f => (f.Width, f.Height)), Has.All.EqualTo((16, 24)));
            Assert.That(frames.Select(f => f.Data.Distinct().Count()), Has.All.GreaterThan(20), "a frame is flat");
            Assert.That(told.Where(p => p.Stage == GenerationStage.Sampling).Select(p => p.Done), Is.EqualTo(new[] { 0, 1, 2, 3 }));
            Assert.That(told.Where(p => p.Stage == GenerationStage.Decoding).Select(p => p.Done), Is.EqualTo(new[] { 0, 1, 2, 3, 4 }));

            // Position tables of the two grids that were met are kept; nothing else is.
            Assert.That(context.LiveTensors - parameters, Is.LessThanOrEqualTo(6));
        }

        context.CheckLeaks();
    }

    // The state goes through host memory, as it does when a file holds it.
    [TestCase(SamplerKind.Ddpm, PredictionType.Epsilon)]
    [TestCase(SamplerKind.Ddim, PredictionType.Velocity)]
    [TestCase(SamplerKind.Dpmpp, PredictionType.Epsilon)]
    [TestCase(SamplerKind.Dpmpp, PredictionType.Velocity)]
    public void Sampling_goes_on_from_any_step_to_the_same_bits(SamplerKind kind, PredictionType prediction)
    {
        var configuration = TinyModel.Configuration with { Schedule = new ScheduleOptions(Prediction: prediction) };
        var options = Short with { Sampler = kind, Steps = 5 };
        using var context = GoldenFiles.OpenChecked();
        using (var pipeline = FashionFlowPipeline.Create(context, configuration))
        {
            var kept = new List<(int Done, float[]?[] Values)>();
            float[] whole;
            using (var state = pipeline.Begin(TinyModel.Picture(), options, hooks: null, progress: null))
            {
                pipeline.Sample(
                    state, options, new SamplingHooks { AfterStep = s => kept.Add((s.StepsDone, [.. new[] { s.Video, s.Picture, s.Conditioning, s.Memory }.Select(t => t?.ToArray<float>())])) }, progress: null);
                whole = state.Video.ToArray<float>();
                Assert.That(kept.Select(k => k.Done), Is.EqualTo(new[] { 1, 2, 3, 4, 5 }));
                Assert.That(state.Memory is not null, Is.EqualTo(kind == SamplerKind.Dpmpp));
                foreach (var (done, values) in kept)
                {
                    var shapes = new[] { state.Video.Shape, state.Picture.Shape, state.Conditioning.Shape, state.Video.Shape };
                    var tensors = values.Select((v, i) => v is null ? null : Tensor.FromArray<float>(context, v, shapes[i])).ToArray();
                    using var again = new SamplingState(done, tensors[0]!, tensors[1]!, tensors[2]!, tensors[3]);
                    pipeline.Sample(again, options, hooks: null, progress: null);
                    Assert.That(again.Video.ToArray<float>(), Is.EqualTo(whole), $"from step {done} on");
                }
            }
        }

        context.CheckLeaks();
    }

    [Test]
    public void The_clean_video_is_shown_when_it_is_wanted_and_is_the_result_behind_DDIM_s_last_step()
    {
        using var context = GoldenFiles.OpenChecked();
        foreach (var prediction in new[] { PredictionType.Epsilon, PredictionType.Velocity })
        {
            using var pipeline = FashionFlowPipeline.Create(context, TinyModel.Configuration with { Schedule = new ScheduleOptions(Prediction: prediction) });
            using var state = pipeline.Begin(TinyModel.Picture(), Short, hooks: null, progress: null);
            var shown = new List<(int Done, float[] Clean)>();
            var hooks = new SamplingHooks { WantsClean = done => done != 2, ShowClean = (done, video) => shown.Add((done, video.ToArray<float>())) };
            pipeline.Sample(state, Short, hooks, progress: null);
            var result = state.Video.ToArray<float>();
            Assert.That(shown.Select(s => s.Done), Is.EqualTo(new[] { 1, 3 }));

            // One formula in two ways: a handful of roundings of values of the size of the largest.
            Assert.That(shown[^1].Clean, Is.EqualTo(result).Within(1e-5 * result.Max(Math.Abs)));
        }
    }

    [Test]
    public void Same_seed_gives_the_same_frames_and_another_seed_others()
    {
        using var context = GoldenFiles.OpenChecked();
        using var pipeline = FashionFlowPipeline.Create(context, TinyModel.Configuration);
        var first = Generate(pipeline, Short);
        Assert.That(Generate(pipeline, Short).Select(f => f.Data), Is.EqualTo(first.Select(f => f.Data)));
        Assert.That(Generate(pipeline, Short with { Seed = 12 })[1].Data, Is.Not.EqualTo(first[1].Data));
        Assert.That(Generate(pipeline, Short with { Sampler = SamplerKind.Ddpm })[1].Data, Is.Not.EqualTo(first[1].Data));
        Assert.That(Generate(pipeline, Short with { Compatibility = CompatibilityOptions.Fixed })[1].Data, Is.Not.EqualTo(first[1].Data));
    }

    [Category("EveryDevice")]
    [Test]
    public void Frames_are_the_same_with_a_graph_and_without([Values] SamplerKind sampler)
    {
        using var context = GoldenFiles.OpenChecked();
        using var pipeline = FashionFlowPipeline.Create(context, TinyModel.Configuration);
        var options = Short with { Sampler = sampler, Steps = 3 };
        var expected = Generate(pipeline, options with { UseGraph = false }).Select(f => f.Data).ToList();
        Assert.That(Generate(pipeline, options with { UseGraph = true }).Select(f => f.Data), Is.EqualTo(expected));
    }

    [TestCase("clip-rescaling=fixed")]
    [TestCase("channel-norm-epsilon=1e-5")]
    public void A_switch_changes_frames_without_its_mode(string set)
    {
        using var context = GoldenFiles.OpenChecked();
        using var pipeline = FashionFlowPipeline.Create(context, TinyModel.Configuration);
        var mode = Generate(pipeline, Short with { Compatibility = CompatibilityOptions.FashionFlow });
        var other = Generate(pipeline, Short with { Compatibility = CompatibilityOptions.Parse("fashionflow," + set) });
        Assert.That(other.Skip(1).Select(f => f.Data), Is.Not.EqualTo(mode.Skip(1).Select(f => f.Data)));
    }

    [Test]
    public void Frames_depend_on_neither_method_nor_order_nor_capability_of_the_virtual_device()
    {
        var expected = MakeOn(new VirtualDeviceOptions());
        Assert.That(MakeOn(new VirtualDeviceOptions { Method = ExecutionMethod.General }), Is.EqualTo(expected), "by the general method");
        Assert.That(MakeOn(new VirtualDeviceOptions { OrderSeed = 3 }), Is.EqualTo(expected), "with blocks and warps in another order");
        Assert.That(MakeOn(new VirtualDeviceOptions { ComputeCapability = new(7, 0), WorkerThreads = 1 }), Is.EqualTo(expected), "on sm_70, one thread");

        static byte[][] MakeOn(VirtualDeviceOptions options)
        {
            using var context = new DeviceContext(new VirtualDevice(options), ownsDevice: true, DeviceContextOptions.Checked);
            using var pipeline = FashionFlowPipeline.Create(context, TinyModel.Configuration);
            return [.. Generate(pipeline, Short with { Steps = 2, Sampler = SamplerKind.Ddpm }).Select(f => f.Data)];
        }
    }

    [Test]
    public void Cancelling_stops_between_steps_and_frees_everything()
    {
        using var context = GoldenFiles.OpenChecked();
        using (var pipeline = FashionFlowPipeline.Create(context, TinyModel.Configuration))
        {
            using var cancel = new CancellationTokenSource();
            var frames = 0;
            var progress = new Told(p =>
            {
                if (p is { Stage: GenerationStage.Sampling, Done: 1 })
                {
                    cancel.Cancel();
                }
            });
            Assert.Throws<OperationCanceledException>(() => pipeline.Generate(TinyModel.Picture(), Short, progress, (_, _) => frames++, cancel.Token));
            Assert.That(frames, Is.Zero);
        }

        context.CheckLeaks();
    }

    [Test]
    public void Options_that_do_not_fit_are_refused_in_one_line()
    {
        using var context = GoldenFiles.OpenChecked();
        using var pipeline = FashionFlowPipeline.Create(context, TinyModel.Configuration);
        Assert.That(() => pipeline.Resolve(Short with { Frames = 5 }), Throws.TypeOf<ModelException>().With.Message.Contains("multiple of 2"));
        Assert.That(() => pipeline.Resolve(Short with { Frames = 0 }), Throws.TypeOf<ModelException>());
        Assert.That(() => pipeline.Resolve(Short with { Steps = 1001 }), Throws.TypeOf<ModelException>().With.Message.Contains("1 to 1000"));
        context.ResetPeak();
        Assert.That(() => Generate(pipeline, Short with { Eta = 2 }), Throws.TypeOf<ModelException>().With.Message.Contains("eta"));
        Assert.That(context.PeakBytes, Is.EqualTo(context.LiveBytes), "nothing was computed before");
    }

    [Test]
    public void A_picture_of_other_proportions_is_fitted_as_asked_else_as_the_mode_does()
    {
        using var context = GoldenFiles.OpenChecked();
        using var pipeline = FashionFlowPipeline.Create(context, TinyModel.Configuration);
        Assert.That(pipeline.Resolve(Short).Fit, Is.EqualTo(PictureFit.Stretch));
        Assert.That(pipeline.Resolve(Short with { Compatibility = CompatibilityOptions.Fixed }).Fit, Is.EqualTo(PictureFit.Crop));
        Assert.That(pipeline.Resolve(Short with { Fit = PictureFit.Pad, Compatibility = CompatibilityOptions.Fixed }).Fit, Is.EqualTo(PictureFit.Pad));
        var wide = new Rgb8Image(60, 24);
        for (var i = 0; i < wide.Data.Length; i++)
        {
            wide.Data[i] = (byte)(i * 7 % 251);
        }

        var frames = Enum.GetValues<PictureFit>().Select(fit => Generate(pipeline, Short with { Fit = fit }, picture: wide)[0].Data);
        Assert.That(frames.Select(Convert.ToHexString), Is.Unique);
    }

    [Test]
    public void A_directory_without_weights_or_seed_says_what_is_missing()
    {
        using var folder = new TemporaryFolder();
        using var context = GoldenFiles.OpenChecked();
        var error = Assert.Throws<ModelException>(() => FashionFlowPipeline.Load(context, folder.Path));
        Assert.That(error!.Message, Does.Contain("unet.safetensors is missing"));
        Assert.That(() => FashionFlowPipeline.Load(context, folder["nowhere"]), Throws.TypeOf<ModelException>().With.Message.Contains("no such model directory"));
        context.CheckLeaks();
    }

    [Test]
    public void Weights_from_files_make_the_same_video_as_the_seed_they_were_saved_from()
    {
        using var folder = new TemporaryFolder();
        using var context = GoldenFiles.OpenChecked();
        var c = TinyModel.Configuration;
        Save(context, new SpaceTimeUnet(c.Unet), folder[ModelFiles.Unet], "unet");
        Save(context, c.CreateAdapter(), folder[ModelFiles.Adapter], "adapter");
        Save(context, new AutoencoderKl(c.Vae), folder[ModelFiles.Vae], "vae");
        Save(context, new ClipVisionModel(c.Clip), folder[ModelFiles.Clip], "clip");
        File.WriteAllText(folder[ModelConfiguration.FileName], TinyModel.Json);
        using var loaded = FashionFlowPipeline.Load(context, folder.Path);
        Assert.That(loaded.Configuration.IsTrained, Is.True);
        using var seeded = FashionFlowPipeline.Create(context, c);
        Assert.That(Generate(loaded, Short).Select(f => f.Data), Is.EqualTo(Generate(seeded, Short).Select(f => f.Data)));
    }

    [Test]
    public void A_weights_file_cut_short_or_of_another_model_is_refused_and_nothing_stays_loaded()
    {
        using var folder = new TemporaryFolder();
        using var context = GoldenFiles.OpenChecked();
        File.WriteAllText(folder[ModelConfiguration.FileName], TinyModel.Json.Replace("\"frames\"", "\"seed\": 5, \"frames\"", StringComparison.Ordinal));
        File.Copy(GoldenFiles.Data("vae_tiny.safetensors"), folder[ModelFiles.Vae]);
        var error = Assert.Throws<WeightLoadException>(() => FashionFlowPipeline.Load(context, folder.Path));
        Assert.That(error!.Message, Does.StartWith(folder[ModelFiles.Vae]).And.Contain("more"));
        File.WriteAllBytes(folder[ModelFiles.Vae], File.ReadAllBytes(GoldenFiles.Data("vae_tiny.safetensors"))[..100_000]);
        Assert.That(() => FashionFlowPipeline.Load(context, folder.Path), Throws.TypeOf<SafetensorsException>());
        context.CheckLeaks();
    }

    private static void Save(DeviceContext context, Module module, string path, string name)
    {
        using (module)
        {
            module.Load(context, new SeededWeights(TinyModel.Configuration.WeightSeed!.Value, name, nothingZero: true));
            module.Save(path);
        }
    }

    private static List<Rgb8Image> Generate(FashionFlowPipeline pipeline, GenerationOptions options, IProgress<GenerationProgress>? progress = null, Rgb8Image? picture = null)
    {
        var frames = new List<Rgb8Image>();
        pipeline.Generate(picture ?? TinyModel.Picture(), options, progress, (i, frame) =>
        {
            Assert.That(i, Is.EqualTo(frames.Count));
            frames.Add(new Rgb8Image(frame.Width, frame.Height, [.. frame.Data]));
        });
        return frames;
    }

    private sealed class Told(Action<GenerationProgress> tell) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value) => tell(value);
    }
}
