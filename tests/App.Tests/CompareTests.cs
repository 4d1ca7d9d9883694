// compare on the golden files: agreement, a planted difference, bad input.
namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
public sealed class CompareTests
{
    // Small golden files are in the tree; the others lie beside the clone, or their cases are not there.
    private static IEnumerable<TestCaseData> Cases =>
        from row in new[]
        {
            (Model: "clip", Weights: "clip_tiny", Reference: "clip_tiny_io", Case: null),
            (Model: "vae", Weights: "vae_tiny", Reference: "vae_tiny_io", Case: null),
            (Model: "unet", Weights: "unet_tiny", Reference: "unet_tiny_io", Case: "A"),
            (Model: "unet", Weights: "unet_tiny", Reference: "unet_tiny_io", Case: "B"),
            (Model: "unet", Weights: "unet_tiny", Reference: "unet_tiny_io", Case: "C"),
            (Model: "adapter", Weights: "adapter", Reference: "layers", Case: (string?)"adapter"),
        }
        where Find(row.Weights) is not null && Find(row.Reference) is not null
        select new TestCaseData(row.Model, Find(row.Weights), Find(row.Reference), row.Case)
            .SetArgDisplayNames(row.Model, row.Weights, row.Reference, row.Case ?? "all");

    private static IEnumerable<string> GradientFiles => Find("unet_tiny_grads") is { } path ? [path] : [];

    [TestCaseSource(nameof(Cases))]
    public void The_golden_models_agree(string model, string weights, string reference, string? name)
    {
        string[] choice = name is null ? [] : ["--case", name];
        var result = BuiltProgram.Run(["compare", model, "--weights", weights, "--reference", reference, "--device", "virtual", .. choice]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Output + result.Error);
            Assert.That(result.Output, Does.Match("tensors? agrees?").And.Not.Contain("divergence"));
        }
    }

    [TestCaseSource(nameof(GradientFiles))]
    public void The_golden_gradients_agree(string gradients)
    {
        var result = BuiltProgram.Run("compare", "unet", "-w", Find("unet_tiny")!, "-r", Find("unet_tiny_io")!, "--gradients", gradients, "--device", "virtual");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Output + result.Error);
            Assert.That(result.Output, Does.Match(@"all \d+ tensors agree; largest error of an output \S+, of a gradient \S+\n$").And.Contain("grad.param.").And.Contain("zero by structure"));
        }
    }

    [Test]
    public void The_first_divergence_is_marked()
    {
        using var folder = new TemporaryFolder();
        var bytes = File.ReadAllBytes(Find("clip_tiny")!);
        // The last bytes of the file belong to some weight: a large value there shows in what depends on it.
        BitConverter.TryWriteBytes(bytes.AsSpan(bytes.Length - 4), 1000f);
        File.WriteAllBytes(folder["changed.safetensors"], bytes);
        var result = BuiltProgram.Run("compare", "clip", "-w", folder["changed.safetensors"], "-r", Find("clip_tiny_io")!, "--device", "virtual");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(1), result.Error);
            Assert.That(result.Output.Split("<-- first divergence"), Has.Length.EqualTo(2), result.Output);
        }
    }

    [Test]
    public void Each_case_is_a_line_of_json()
    {
        var result = BuiltProgram.Run("compare", "vae", "-w", Find("vae_tiny")!, "-r", Find("vae_tiny_io")!, "--device", "virtual", "--json");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        foreach (var line in result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            using var json = System.Text.Json.JsonDocument.Parse(line);
            using (Assert.EnterMultipleScope())
            {
                Assert.That(json.RootElement.GetProperty("passed").GetBoolean(), Is.True);
                Assert.That(json.RootElement.GetProperty("output_error").GetDouble(), Is.InRange(0, 1e-5));
                Assert.That(json.RootElement.GetProperty("first_divergence").ValueKind, Is.EqualTo(System.Text.Json.JsonValueKind.Null));
                Assert.That(json.RootElement.GetProperty("tensors").GetArrayLength(), Is.GreaterThan(1));
            }
        }
    }

    [Test]
    public void A_tighter_tolerance_is_held()
    {
        // No float32 network reaches 1e-12 of the reference's last bit at every element.
        var result = BuiltProgram.Run(
            "compare", "clip", "-w", Find("clip_tiny")!, "-r", Find("clip_tiny_io")!, "--tolerance", "1e-12", "--device", "virtual");
        Assert.That(result.ExitCode, Is.EqualTo(1), result.Output);
    }

    [Test]
    public void Files_that_do_not_fit_are_one_clear_line()
    {
        BuiltProgram.Run("compare", "vae", "-w", Find("clip_tiny")!, "-r", Find("clip_tiny_io")!).MustFail(3, "clip_tiny.safetensors");
        BuiltProgram.Run("compare", "clip", "-w", Find("clip_tiny")!, "-r", Find("clip_tiny_io")!, "--case", "Z").MustFail(3, "no case \"Z\"");
    }

    [TestCase("compare", "MODEL is missing", 2)]
    [TestCase("compare resnet -w a -r b", "the model must be unet, vae, clip or adapter, not 'resnet'", 2)]
    [TestCase("compare unet -w a.safetensors", "'--reference' is required", 2)]
    [TestCase("compare unet -w a.safetensors -r b.safetensors", "a.safetensors does not exist", 3)]
    [TestCase("compare unet -w a.safetensors -r b.safetensors --gradients", "'--gradients'", 2)]
    [TestCase("compare unet -w a.safetensors -r b.safetensors --tolerance 0", "--tolerance must be a number above 0 and at most 1, not '0'", 2)]
    public void Bad_input_is_one_clear_line(string line, string message, int exitCode)
    {
        using var folder = new TemporaryFolder();
        BuiltProgram.RunIn(folder.Path, null, line.Split(' ')).MustFail(exitCode, message);
    }

    private static string? Find(string name) =>
        new[] { Path.Combine(Places.SourceTree!, "tests", "data"), Path.GetFullPath(Path.Combine(Places.SourceTree!, "..", "shared", "golden")) }
            .Select(folder => Path.Combine(folder, $"{name}.safetensors"))
            .FirstOrDefault(File.Exists);
}
