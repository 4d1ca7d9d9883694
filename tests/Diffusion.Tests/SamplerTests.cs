// Samplers: the reference's stored run replayed step by step, and what must hold for any plan.
using System.Runtime.InteropServices;
using FashionFlow.Diffusion;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tests;

[TestFixture]
[Category("EveryDevice")]
public sealed class SamplerTests
{
    private static IEnumerable<string> Files => GoldenFiles.Shared("schedule.safetensors") is { } path ? [path] : [];

    [TestCaseSource(nameof(Files))]
    public void Stored_sampling_run_is_replayed(string path)
    {
        using var context = GoldenFiles.OpenChecked();
        using (var file = SafetensorsFile.Open(path))
        using (var unet = LoadTinyUnet(context))
        using (var sampler = new DdpmSampler(context, new NoiseSchedule(new ScheduleOptions()), [7, 6, 5, 4, 3, 2, 1, 0]))
        using (TensorScope.Begin())
        {
            var picture = Video(context, file, "sample.encoded_image").Reshape(1, 32, 16, 4);
            var contextTokens = GoldenFiles.Load(context, file, "sample.context");
            var x = Video(context, file, "sample.init_noise");
            Ops.PutFirstFrame(x, picture);
            AssertVideo(x, file, "sample.x_start", 0);
            for (var step = 0; step < 8; step++)
            {
                var t = sampler.Timesteps[step];
                var predicted = unet.Forward(x, sampler.NetworkTimestep(step), contextTokens);
                AssertVideo(predicted, file, $"sample.t{t}.eps", GoldenFiles.Tolerance);
                var noise = t == 0 ? Tensor.Zeros(context, x.Shape) : Video(context, file, $"sample.t{t}.noise");
                AssertVideo(sampler.Step(step, x, predicted, noise, null), file, $"sample.t{t}.x_before_reimpose", GoldenFiles.Tolerance);
                x = sampler.Step(step, x, predicted, noise, picture);
                AssertVideo(x, file, $"sample.t{t}.x", GoldenFiles.Tolerance);
            }
        }

        context.CheckLeaks();
    }

    [TestCaseSource(nameof(Files))]
    public void Stored_prediction_of_a_training_step_is_met(string path)
    {
        using var context = GoldenFiles.OpenChecked();
        using (var file = SafetensorsFile.Open(path))
        using (var unet = LoadTinyUnet(context))
        using (TensorScope.Begin())
        {
            // Two videos, each at a timestep of its own.
            var timesteps = MemoryMarshal.Cast<byte, long>(file.Bytes("train.timesteps"));
            var t = Tensor.FromArray<float>(context, [timesteps[0], timesteps[1]], [2]);
            var predicted = unet.Forward(Video(context, file, "train.x_noisy"), t, GoldenFiles.Load(context, file, "train.context"));
            AssertVideo(predicted, file, "train.pred", GoldenFiles.Tolerance);
        }

        context.CheckLeaks();
    }

    private static IEnumerable<(int Timestep, int[] Plan)> SingleSteps
        => Files.Any() ? [(999, [999, 998]), (500, [500, 499]), (1, [1, 0]), (0, [0])] : [];

    [TestCaseSource(nameof(SingleSteps))]
    public void Stored_single_step_is_met((int Timestep, int[] Plan) step)
    {
        using var context = GoldenFiles.OpenChecked();
        using (var file = SafetensorsFile.Open(GoldenFiles.Shared("schedule.safetensors")!))
        using (var unet = LoadTinyUnet(context))
        using (var sampler = new DdpmSampler(context, new NoiseSchedule(new ScheduleOptions()), step.Plan))
        using (TensorScope.Begin())
        {
            var x = Video(context, file, "sample.x_start");
            var predicted = unet.Forward(x, sampler.NetworkTimestep(0), GoldenFiles.Load(context, file, "sample.context"));
            var noise = step.Timestep == 0 ? Tensor.Zeros(context, x.Shape) : Video(context, file, $"step{step.Timestep}.noise");
            AssertVideo(sampler.Step(0, x, predicted, noise, null), file, $"step{step.Timestep}.out", GoldenFiles.Tolerance);
        }

        context.CheckLeaks();
    }

    [Test]
    public void Ddim_follows_a_perfect_prediction_to_the_clean_video()
    {
        using var context = GoldenFiles.OpenChecked();
        var schedule = new NoiseSchedule(new ScheduleOptions());
        using (var sampler = new DdimSampler(context, schedule, [900, 500, 100]))
        using (TensorScope.Begin())
        {
            float[] clean = [0.5f, -1, 2, 0.25f];
            float[] noise = [1, -0.5f, 0.75f, 2];
            var x = Noisy(context, schedule, clean, noise, 900);
            for (var step = 0; step < 3; step++)
            {
                x = sampler.Step(step, x, Tensor.FromArray<float>(context, noise, [1, 2, 1, 1, 2]), null, null);
            }

            // abar at t = 900 is 3.6e-3, so float32's 6e-8 may grow by 1 / sqrt(3.6e-3) a step: 1e-5 leaves room for three.
            var result = x.ToArray<float>();
            for (var i = 0; i < clean.Length; i++)
            {
                Assert.That(result[i], Is.EqualTo(clean[i]).Within(1e-5));
            }
        }

        context.CheckLeaks();
    }

    [Test]
    public void Merged_ancestral_steps_agree_with_ddim_of_eta_one()
    {
        // Both are the posterior q(x_p | x_t, x_0) with the predicted x_0 (Song et al. 2021, section 4.1).
        using var context = GoldenFiles.OpenChecked();
        var schedule = new NoiseSchedule(new ScheduleOptions(), SchedulePrecision.Double);
        using (var ddpm = new DdpmSampler(context, schedule, [800, 400, 30]))
        using (var ddim = new DdimSampler(context, schedule, [800, 400, 30], eta: 1))
        using (TensorScope.Begin())
        {
            Shape shape = [1, 2, 2, 2, 4];
            var x = Ops.Randn(context, shape, 1, "x");
            var predicted = Ops.Randn(context, shape, 1, "eps");
            var noise = Ops.Randn(context, shape, 1, "noise");
            for (var step = 0; step < 2; step++)
            {
                var ancestral = ddpm.Step(step, x, predicted, noise, null).ToArray<float>();
                var eta = ddim.Step(step, x, predicted, noise, null).ToArray<float>();

                // Two float32 formulas of one value; x_0 is up to 1 / sqrt(abar_800) = 9 times larger than the result.
                Assert.That(ancestral, Is.EqualTo(eta).Within(2e-5));
            }
        }

        context.CheckLeaks();
    }

    [Test]
    public void Frame_0_is_put_back_by_both_samplers()
    {
        using var context = GoldenFiles.OpenChecked();
        var schedule = new NoiseSchedule(new ScheduleOptions());
        using (ISampler ddpm = new DdpmSampler(context, schedule, [3, 2]))
        using (ISampler ddim = new DdimSampler(context, schedule, [3, 2]))
        using (TensorScope.Begin())
        {
            var x = Ops.Randn(context, [1, 3, 2, 2, 4], 1, "x");
            var picture = Ops.Randn(context, [1, 2, 2, 4], 1, "picture");
            foreach (var sampler in new[] { ddpm, ddim })
            {
                var y = sampler.Step(0, x, x, x, picture).ToArray<float>();
                Assert.That(y[..16], Is.EqualTo(picture.ToArray<float>()));
                Assert.That(y[16..].Intersect(x.ToArray<float>()), Is.Empty);
            }
        }

        context.CheckLeaks();
    }

    [TestCase(new[] { 3, 3 })]
    [TestCase(new[] { 2, 5 })]
    [TestCase(new[] { 1000 })]
    [TestCase(new[] { -1 })]
    public void Plans_that_do_not_fall_are_refused(int[] timesteps)
    {
        using var context = GoldenFiles.OpenChecked();
        Assert.That(() => new DdpmSampler(context, new NoiseSchedule(new ScheduleOptions()), timesteps), Throws.ArgumentException);
        context.CheckLeaks();
    }

    private static SpaceTimeUnet LoadTinyUnet(DeviceContext context)
    {
        var path = GoldenFiles.Shared("unet_tiny.safetensors")!;
        using var weights = SafetensorsFile.Open(path);
        var unet = new SpaceTimeUnet(ModelConfiguration.UnetOf(path, weights));
        unet.Load(context, new FileWeights(weights, path));
        return unet;
    }

    private static Tensor Noisy(DeviceContext context, NoiseSchedule schedule, float[] clean, float[] noise, int t)
        => Tensor.FromArray<float>(
            context,
            [.. clean.Select((c, i) => (schedule.SqrtAlphasCumprod[t] * c) + (schedule.SqrtOneMinusAlphasCumprod[t] * noise[i]))],
            [1, 2, 1, 1, 2]);

    /// <summary>The schedule's file stores videos as [b, f, c, h, w].</summary>
    private static Tensor Video(DeviceContext context, SafetensorsFile file, string name)
    {
        using var scope = TensorScope.Begin();
        var stored = Tensor.FromArray<float>(context, file.ReadFloat32(name), file.Tensors[name].Shape);
        return scope.Keep(Ops.Permute(stored, 0, 1, 3, 4, 2));
    }

    private static void AssertVideo(Tensor ours, SafetensorsFile file, string name, double tolerance)
    {
        using var scope = TensorScope.Begin();
        var values = Ops.Permute(ours, 0, 1, 4, 2, 3).ToArray<float>();
        var stored = file.ReadFloat32(name);
        var error = values.Zip(stored, (a, b) => Math.Abs((double)a - b)).Max() / stored.Max(Math.Abs);
        TestContext.Out.WriteLine($"{name}: {error:e2}");
        Assert.That(error, Is.LessThanOrEqualTo(tolerance), name);
    }
}
