// The reference's stored step of training: noise, prediction, loss and every gradient.
using System.Runtime.InteropServices;
using System.Text.Json;
using FashionFlow.Autograd;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tests.Training;

[TestFixture]
[Category("EveryDevice")]
public sealed class GoldenStepTests
{
    /// <summary>Float32's rounding of a mean of 2048 squares and of a product of tables: far below the 1e-5 that losses are held to.</summary>
    private const double Rounding = 1e-6;

    /// <summary>The reference's gradients are 1.2e-5 from a float64 run at most; ours may be as far on the other side, and twice that.</summary>
    private const double GradientTolerance = 5e-5;

    private static IEnumerable<TestCaseData> Steps => GoldenFiles.Shared("schedule.safetensors") is null
        ? []
        : [new TestCaseData(false).SetArgDisplayNames("kept"), new TestCaseData(true).SetArgDisplayNames("recomputed")];

    [TestCaseSource(nameof(Steps))]
    public void The_stored_step_of_training_is_met(bool recompute)
    {
        using var context = GoldenFiles.OpenChecked();
        using var folder = new TemporaryFolder();
        LatentFolder.Write(folder.Path, 4);
        using (var file = SafetensorsFile.Open(GoldenFiles.Shared("schedule.safetensors")!))
        using (var task = Task(context, folder.Path, recompute))
        using (TensorScope.Begin())
        {
            var timesteps = MemoryMarshal.Cast<byte, long>(file.Bytes("train.timesteps")).ToArray().Select(t => (int)t).ToArray();
            var (latents, noise) = (Video(context, file, "train.latent_video"), Video(context, file, "train.noise_raw"));
            var conditioning = Tensor.FromArray<float>(context, file.ReadFloat32("train.context"), file.Tensors["train.context"].Shape);
            var (noisy, target) = task.AddNoise(latents, noise, timesteps);
            AssertClose(Stored(noisy), file, "train.x_noisy", Rounding);
            AssertClose(Stored(target), file, "train.noise_target", 0);
            var predicted = Stored(task.Predict(noisy, conditioning, timesteps));
            AssertClose(predicted, file, "train.pred", GoldenFiles.Tolerance);
            AssertFrames(predicted, Stored(target), file);

            task.Unet.RequireGradients();
            using (var tape = Tape.Begin())
            {
                var loss = task.Loss(latents, conditioning, noise, timesteps);
                AssertClose(loss.ToArray<float>(), file, "train.loss", GoldenFiles.Tolerance);
                tape.Backward(loss);
            }

            AssertGradients(task.Unet, file);
        }

        context.CheckLeaks();
    }

    /// <summary>The loss is the sum over frames of each frame's mean.</summary>
    private static void AssertFrames(float[] predicted, float[] target, SafetensorsFile file)
    {
        var (batch, frames, each) = (file.Tensors["train.pred"].Shape[0], file.Tensors["train.pred"].Shape[1], predicted.Length / file.Tensors["train.pred"].Shape[0] / file.Tensors["train.pred"].Shape[1]);
        var means = new double[frames];
        for (var i = 0; i < predicted.Length; i++)
        {
            var d = (double)predicted[i] - target[i];
            means[i / each % frames] += d * d / (batch * each);
        }

        var stored = file.ReadFloat32("train.loss_per_frame");
        for (var f = 0; f < frames; f++)
        {
            Assert.That(means[f], Is.EqualTo(stored[f]).Within(GoldenFiles.Tolerance * stored[f]), $"frame {f}");
        }
    }

    private static void AssertGradients(SpaceTimeUnet unet, SafetensorsFile file)
    {
        using var gradients = SafetensorsFile.Open(GoldenFiles.Shared("unet_tiny_grads.safetensors")!);
        var zeros = JsonSerializer.Deserialize<string[]>(gradients.Metadata["structural_zero_params"])!.ToHashSet();
        var order = JsonSerializer.Deserialize<string[]>(file.Metadata["train.grad_l2_order"])!;
        var norms = file.ReadFloat32("train.grad_l2");
        var parameters = unet.Parameters.ToDictionary(p => p.Name, p => p.Parameter);
        Assert.That((order.Length, norms.Length), Is.EqualTo((574, 574)));
        Assert.That(parameters.Keys, Is.EquivalentTo(order));
        var worst = (Error: 0.0, Name: "");
        foreach (var (i, name) in order.Index())
        {
            var parameter = parameters[name];
            var gradient = parameter.Value.Gradient() is { } g ? parameter.ReadTorch(g) : [];
            var norm = Math.Sqrt(gradient.Sum(v => (double)v * v));

            // Zero by structure: what either side has there is its own rounding.
            var error = zeros.Contains(name) ? 0 : Math.Abs(norm - norms[i]) / norms[i];
            worst = error > worst.Error ? (error, name) : worst;
            if (file.Tensors.ContainsKey($"train.grad.{name}"))
            {
                AssertClose(gradient, file, $"train.grad.{name}", GradientTolerance);
            }
        }

        TestContext.Out.WriteLine($"norms: {worst.Error:e2} at {worst.Name}");
        Assert.That(worst.Error, Is.LessThanOrEqualTo(GradientTolerance), worst.Name);
    }

    private static DenoisingTask Task(DeviceContext context, string latents, bool recompute)
    {
        var path = GoldenFiles.Shared("unet_tiny.safetensors")!;
        using var weights = SafetensorsFile.Open(path);
        var unet = new SpaceTimeUnet(ModelConfiguration.UnetOf(path, weights));
        unet.Load(context, new FileWeights(weights, path));

        // The stored step has its own latents and context: data set and adapter have no part in it.
        return new DenoisingTask(
            context,
            TinyModel.Configuration,
            unet,
            TinyModel.Configuration.CreateAdapter(),
            LatentDataset.Open(context, latents, TinyModel.Configuration),
            new TrainingOptions { Compatibility = CompatibilityOptions.FashionFlow, Recompute = recompute });
    }

    /// <summary>The file stores videos as [b, f, c, h, w].</summary>
    private static Tensor Video(DeviceContext context, SafetensorsFile file, string name)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(Ops.Permute(Tensor.FromArray<float>(context, file.ReadFloat32(name), file.Tensors[name].Shape), 0, 1, 3, 4, 2));
    }

    private static float[] Stored(Tensor video)
    {
        using var scope = TensorScope.Begin();
        return Ops.Permute(video, 0, 1, 4, 2, 3).ToArray<float>();
    }

    private static void AssertClose(float[] ours, SafetensorsFile file, string name, double tolerance)
    {
        var stored = file.ReadFloat32(name);
        Assert.That(ours, Has.Length.EqualTo(stored.Length), name);
        var error = ours.Zip(stored, (a, b) => Math.Abs((double)a - b)).Max() / stored.Max(Math.Abs);
        TestContext.Out.WriteLine($"{name}: {error:e2}");
        Assert.That(error, Is.LessThanOrEqualTo(tolerance), name);
    }
}
