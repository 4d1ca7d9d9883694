// compare on the golden files, where the shared data lies beside the clone: agreement, a planted difference, bad input.
namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
public sealed class CompareTests
{
    private static string Golden { get; } = Path.GetFullPath(Path.Combine(Places.SourceTree!, "..", "shared", "golden"));

    private static IEnumerable<TestCaseData> Cases => Directory.Exists(Golden)
        ?
        [
            new TestCaseData("unet", "unet_tiny", "A", 0),
            new TestCaseData("unet", "unet_tiny", "B", 0),
            new TestCaseData("unet", "unet_tiny", "C", 0),
            new TestCaseData("vae", "vae_tiny", null, 0),
            new TestCaseData("clip", "clip_tiny", null, 0),
        ]
        : [];

    private static IEnumerable<string> Broken => Directory.Exists(Golden) ? ["clip_tiny"] : [];

    [TestCaseSource(nameof(Cases))]
    public void The_golden_models_agree(string model, string files, string? name, int exitCode)
    {
        string[] choice = name is null ? [] : ["--case", name];
        var result = BuiltProgram.Run(
            ["compare", model, "--weights", $"{Golden}/{files}.safetensors", "--reference", $"{Golden}/{files}_io.safetensors", "--device", "virtual", .. choice]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(exitCode), result.Output + result.Error);
            Assert.That(result.Output, Does.Contain("tensors agree").And.Not.Contain("divergence"));
        }
    }

    [TestCaseSource(nameof(Broken))]
    public void The_first_divergence_is_marked(string files)
    {
        using var folder = new TemporaryFolder();
        var bytes = File.ReadAllBytes($"{Golden}/{files}.safetensors");
        // The last bytes of the file belong to some weight: a large value there shows in what depends on it.
        BitConverter.TryWriteBytes(bytes.AsSpan(bytes.Length - 4), 1000f);
        File.WriteAllBytes(folder["changed.safetensors"], bytes);
        var result = BuiltProgram.Run(
            "compare", "clip", "-w", folder["changed.safetensors"], "-r", $"{Golden}/{files}_io.safetensors", "--device", "virtual");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(1), result.Error);
            Assert.That(result.Output.Split("<-- first divergence"), Has.Length.EqualTo(2), result.Output);
        }
    }

    [TestCase("compare", "MODEL is missing", 2)]
    [TestCase("compare resnet -w a -r b", "the model must be unet, vae, clip or adapter, not 'resnet'", 2)]
    [TestCase("compare unet -w a.safetensors", "'--reference' is required", 2)]
    [TestCase("compare unet -w a.safetensors -r b.safetensors", "a.safetensors does not exist", 3)]
    [TestCase("compare unet -w a.safetensors -r b.safetensors --tolerance 0", "--tolerance must be a number above 0 and at most 1, not '0'", 2)]
    public void Bad_input_is_one_clear_line(string line, string message, int exitCode)
    {
        using var folder = new TemporaryFolder();
        BuiltProgram.RunIn(folder.Path, null, line.Split(' ')).MustFail(exitCode, message);
    }
}
