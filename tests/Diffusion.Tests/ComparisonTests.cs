// Whole models against the reference's stored runs, module by module, through the code behind `compare`.
using FashionFlow.Diffusion;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tests;

[TestFixture]
[Category("EveryDevice")]
public sealed class ComparisonTests
{
    private static IEnumerable<(string Case, MatmulBackend Backend)> UnetCases => GoldenFiles.Shared("unet_tiny.safetensors") is null
        ? []
        : [("A", MatmulBackend.Library), ("B", MatmulBackend.Library), ("C", MatmulBackend.Library), ("A", MatmulBackend.Kernels)];

    private static IEnumerable<MatmulBackend> GradientBackends => GoldenFiles.Shared("unet_tiny_grads.safetensors") is null
        ? []
        : [MatmulBackend.Library, MatmulBackend.Kernels];

    private static IEnumerable<string> UnetFiles => GoldenFiles.Shared("unet_tiny.safetensors") is { } path ? [path] : [];

    private static IEnumerable<string> AdapterFiles => GoldenFiles.Shared("adapter.safetensors") is { } path ? [path] : [];

    [TestCaseSource(nameof(UnetCases))]
    public void Unet_gives_what_the_reference_gives((string Case, MatmulBackend Backend) run)
    {
        var result = Compare(
            ComparedModel.Unet, GoldenFiles.Shared("unet_tiny.safetensors")!, GoldenFiles.Shared("unet_tiny_io.safetensors")!, run.Case, run.Backend);

        // All activations of A and B that the file stores; C holds the output alone.
        Assert.That(result.Rows, Has.Count.EqualTo(run.Case switch { "A" => 49, "B" => 25, _ => 1 }));
    }

    [TestCaseSource(nameof(UnetFiles))]
    public void A_unet_within_a_budget_takes_what_is_planned_and_gives_the_same_errors(string weights)
    {
        var reference = GoldenFiles.Shared("unet_tiny_io.safetensors")!;
        using var context = new DeviceContext(SharedDevice.Get(), ownsDevice: false);
        var whole = ModelComparison.Run(context, ComparedModel.Unet, weights, reference, "A").Single();
        context.ReleaseCached();
        var plan = ModelComparison.Plan(context.Device, ComparedModel.Unet, weights, reference, 1L << 40, "A");
        var tighter = ModelComparison.Plan(context.Device, ComparedModel.Unet, weights, reference, plan.TotalBytes - 512, "A");
        var bounded = ModelComparison.Run(context, ComparedModel.Unet, weights, reference, "A", plan: tighter).Single();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(tighter.Settings.TokensAtATime, Is.GreaterThan(0));
            Assert.That(context.Arena!.Value.HighWater, Is.EqualTo(tighter.ArenaBytes));
            Assert.That(bounded.Rows, Has.Count.EqualTo(whole.Rows.Count));
            Assert.That(bounded.Rows, Is.EqualTo(whole.Rows));
            Assert.That(() => ModelComparison.Plan(context.Device, ComparedModel.Unet, weights, reference, 1000), Throws.TypeOf<MemoryBudgetException>());
        }
    }

    [TestCaseSource(nameof(GradientBackends))]
    public void Every_gradient_of_the_unet_is_what_the_reference_gives(MatmulBackend backend)
    {
        using var context = GoldenFiles.OpenChecked(backend);
        var result = ModelComparison.Run(
            context,
            ComparedModel.Unet,
            GoldenFiles.Shared("unet_tiny.safetensors")!,
            GoldenFiles.Shared("unet_tiny_io.safetensors")!,
            gradientsPath: GoldenFiles.Shared("unet_tiny_grads.safetensors")).Single();
        context.CheckLeaks();
        TestContext.Out.WriteLine($"{result.Rows.Count} tensors, largest error of a gradient {result.GradientError:e2}");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Case, Is.EqualTo("A"), "the case that the file's metadata names");
            Assert.That(result.Rows.Where(r => !r.Passed), Is.Empty);

            // The activations, the loss, x, the context, and 574 parameters, 24 of them zero by structure.
            Assert.That(result.Rows, Has.Count.EqualTo(49 + 3 + 574));
            Assert.That(result.Rows.Count(r => r.IsAbsolute), Is.EqualTo(24));
        }
    }

    [Test]
    public void Gradients_of_another_model_or_case_are_refused()
    {
        using var folder = new TemporaryFolder();
        using var context = GoldenFiles.OpenChecked();
        var gradients = folder["grads.safetensors"];
        SafetensorsWriter.Write(gradients, [new SafetensorsTensor("loss", [1], [1f])], new Dictionary<string, string> { ["case"] = "Z" });
        var error = Assert.Throws<ModelException>(() => ModelComparison.Run(
            context, ComparedModel.Vae, GoldenFiles.Data("vae_tiny.safetensors"), GoldenFiles.Data("vae_tiny_io.safetensors"), gradientsPath: gradients));
        Assert.That(error!.Message, Does.EndWith("gradients are compared for the U-Net alone"));
        context.CheckLeaks();
    }

    [TestCase("A")]
    [TestCase("odd")]
    public void Autoencoder_gives_what_the_reference_gives(string caseName)
        => Compare(ComparedModel.Vae, GoldenFiles.Data("vae_tiny.safetensors"), GoldenFiles.Data("vae_tiny_io.safetensors"), caseName);

    [Test]
    public void Clip_gives_what_the_reference_gives()
    {
        var result = Compare(ComparedModel.Clip, GoldenFiles.Data("clip_tiny.safetensors"), GoldenFiles.Data("clip_tiny_io.safetensors"), null);
        Assert.That(result.Rows, Has.Count.EqualTo(7));
    }

    [TestCaseSource(nameof(AdapterFiles))]
    public void Adapter_gives_what_the_reference_gives(string weights)
        => Compare(ComparedModel.Adapter, weights, GoldenFiles.Data("layers.safetensors"), "adapter");

    [Test]
    public void Unknown_case_is_refused_and_the_known_ones_are_named()
    {
        using var context = GoldenFiles.OpenChecked();
        var error = Assert.Throws<ModelException>(() => ModelComparison.Run(
            context, ComparedModel.Vae, GoldenFiles.Data("vae_tiny.safetensors"), GoldenFiles.Data("vae_tiny_io.safetensors"), "B"));
        Assert.That(error!.Message, Does.EndWith("no case \"B\"; there are: A, odd"));
        context.CheckLeaks();
    }

    [Test]
    public void Inputs_that_the_model_cannot_take_are_refused_with_file_and_case()
    {
        using var folder = new TemporaryFolder();
        var reference = folder["io.safetensors"];
        SafetensorsWriter.Write(reference, [new SafetensorsTensor("Z.pixel_values", [1, 3, 8, 8], new float[192])]);
        using var context = GoldenFiles.OpenChecked();
        var error = Assert.Throws<ModelException>(() => ModelComparison.Run(context, ComparedModel.Clip, GoldenFiles.Data("clip_tiny.safetensors"), reference));
        Assert.That(error!.Message, Does.StartWith($"{reference}: case Z: CLIP takes pictures of 64 x 64").And.Not.Contain("\n"));
        context.CheckLeaks();
    }

    [Test]
    public void First_divergence_is_marked_where_a_weight_was_changed()
    {
        using var folder = new TemporaryFolder();
        var weights = folder["clip.safetensors"];
        Copy(GoldenFiles.Data("clip_tiny.safetensors"), weights, "vision_model.encoder.layers.1.mlp.fc1.bias", v => v + 1);
        using var context = GoldenFiles.OpenChecked();
        var result = ModelComparison.Run(context, ComparedModel.Clip, weights, GoldenFiles.Data("clip_tiny_io.safetensors")).Single();
        Assert.That(result.Passed, Is.False);
        Assert.That(result.Rows.Single(r => r.IsFirstDivergence).Name, Is.EqualTo("hidden_states.2"));
        Assert.That(result.Rows.Where(r => r.Passed).Select(r => r.Name), Is.EqualTo(new[] { "embeddings", "hidden_states.0", "hidden_states.1" }));
    }

    [Test]
    public void Autoencoder_gives_it_by_our_own_matrix_kernels_too()
        => Compare(ComparedModel.Vae, GoldenFiles.Data("vae_tiny.safetensors"), GoldenFiles.Data("vae_tiny_io.safetensors"), "A", MatmulBackend.Kernels);

    private static ComparisonResult Compare(
        ComparedModel model, string weights, string reference, string? caseName, MatmulBackend backend = MatmulBackend.Library)
    {
        using var context = GoldenFiles.OpenChecked(backend);
        var result = ModelComparison.Run(context, model, weights, reference, caseName).Single();
        foreach (var row in result.Rows)
        {
            TestContext.Out.WriteLine($"{row.Name}: {row.Error:e2}{(row.IsFirstDivergence ? "  <- first divergence" : "")}");
        }

        Assert.That(result.Rows.Where(r => !r.Passed).Select(r => $"{r.Name}: {r.Error:e2}"), Is.Empty);
        context.CheckLeaks();
        return result;
    }

    private static void Copy(string source, string target, string changed, Func<float, float> change)
    {
        using var file = SafetensorsFile.Open(source);
        SafetensorsWriter.Write(
            target,
            file.Tensors.Values.Select(e => new SafetensorsTensor(
                e.Name, e.Shape, e.Name == changed ? Array.ConvertAll(file.ReadFloat32(e.Name), v => change(v)) : file.ReadFloat32(e.Name))),
            new Dictionary<string, string>(file.Metadata, StringComparer.Ordinal));
    }
}
