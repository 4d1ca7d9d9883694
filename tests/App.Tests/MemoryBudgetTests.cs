// --memory-budget and --plan-only as a user meets them: sizes, plans, refusals, and videos that are the same with and without.
using System.Text.Json;
using FashionFlow.App.Commands;
using FashionFlow.App.Media;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class MemoryBudgetTests : IDisposable
{
    // So tall that decoding a frame takes more than a step does.
    private const string TallModel = """
        {
          "seed": 5, "frames": 2, "picture": { "width": 16, "height": 192 }, "sampler": "ddim", "steps": 2,
          "unet": {
            "dim": 8, "dim_mult": [1, 2], "self_attns": [false, false], "temporal_compression": [false, false],
            "resnet_block_depths": [1, 1], "attn_dim_head": 4, "attn_heads": 2, "context_dim": 12
          },
          "vae": { "block_out_channels": [64, 16], "layers_per_block": 1, "norm_num_groups": 4 },
          "clip": { "hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 16, "patch_size": 8 }
        }
        """;

    private readonly TemporaryFolder _folder = new();

    public MemoryBudgetTests()
    {
        TestPictures.Write(_folder["dress.jpg"], 60, 80);
        TinyModelFolder.WriteSeeded(_folder["tiny"]);
        Directory.CreateDirectory(_folder["tall"]);
        File.WriteAllText(_folder["tall/config.json"], TallModel);
    }

    public void Dispose() => _folder.Dispose();

    [TestCase("4GiB", 4L << 30)]
    [TestCase("1.5gib", 3L << 29)]
    [TestCase("900MB", 900_000_000)]
    [TestCase("64 KiB", 64 << 10)]
    [TestCase("1000", 1000)]
    [TestCase("1000B", 1000)]
    [TestCase("2TB", 2_000_000_000_000)]
    [TestCase("", null)]
    [TestCase("GiB", null)]
    [TestCase("-1GiB", null)]
    [TestCase("0", null)]
    [TestCase("1e3", null)]
    [TestCase("4 apples", null)]
    [TestCase("9999999999TiB", null)]
    public void A_size_is_read_as_people_write_it(string text, long? bytes) => Assert.That(MemoryBudget.Parse(text), Is.EqualTo(bytes));

    [Test]
    public void A_plan_is_printed_and_nothing_is_made()
    {
        var before = _folder.Names;
        var result = Run("generate dress.jpg -o out.mp4 -m tiny -d virtual --steps 3 --plan-only --memory-budget 1GiB");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(
                result.Output,
                Does.Match("^stage .*\nencode the picture +1 .*\na step +3 .*\ndecode a frame +4 .*\nplan: weights 2 MiB; activations .* in one arena .*\nplan: attention over all tokens at once, frames decoded whole; nothing is computed twice\nsampling and decoding: about .* on this device\n$"));
            Assert.That(_folder.Names, Is.EqualTo(before));
        }
    }

    [Test]
    public void Within_a_budget_the_video_is_the_same_to_the_byte_and_the_plan_is_kept()
    {
        const string Line = "generate dress.jpg -m tiny -d virtual --steps 3 --frames 16 --sampler dpmpp --json";
        var whole = Plan("tiny --steps 3 --frames 16 --sampler dpmpp", string.Empty);
        var budget = whole.GetProperty("total_bytes").GetInt64() - 512;
        var tighter = Plan("tiny --steps 3 --frames 16 --sampler dpmpp", $" --memory-budget {budget}");
        Assert.That(tighter.GetProperty("total_bytes").GetInt64(), Is.LessThanOrEqualTo(budget));
        Assert.That((tighter.GetProperty("tokens_at_a_time").GetInt32() > 0, tighter.GetProperty("decode_rows").GetInt32()), Is.EqualTo((true, 0)));
        Assert.That(Run($"{Line} -o whole.mp4").ExitCode, Is.Zero);
        var bounded = Run($"{Line} -o bounded.mp4 --memory-budget {budget}");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(bounded.ExitCode, Is.Zero, bounded.Error);
            Assert.That(bounded.Error, Does.Contain("\nplan: weights ").And.Match("\nplan: attention over \\d+ tokens at a time, frames decoded whole; "));
            Assert.That(File.ReadAllBytes(_folder["bounded.mp4"]), Is.EqualTo(File.ReadAllBytes(_folder["whole.mp4"])));
            Assert.That(JsonDocument.Parse(bounded.Output).RootElement.GetProperty("peak_device_bytes").GetInt64(), Is.LessThanOrEqualTo(budget));
        }

        Run($"generate dress.jpg -m tiny -d virtual -o new.mp4 --memory-budget 2MiB").MustFail(4, "--memory-budget 2 MiB is too little: 2 MiB are needed at least");
        Run($"generate dress.jpg -m tiny -d virtual -o new.mp4 --memory-budget much").MustFail(2, "--memory-budget must be a size such as 4GiB, 900MB or 2000000000, not 'much'");
    }

    // The rows are recorded: norms add up their statistics in another order, which may round a value of a pixel otherwise.
    [Test]
    public void Frames_decoded_in_strips_show_no_seam_and_are_verified_in_the_same_strips()
    {
        var budget = Plan("tall", string.Empty).GetProperty("total_bytes").GetInt64() - 512;
        Assert.That(Plan("tall", $" --memory-budget {budget}").GetProperty("decode_rows").GetInt32(), Is.EqualTo(128));
        Assert.That(Run("generate dress.jpg -m tall -d virtual -o whole --format png --keep-latents").ExitCode, Is.Zero);
        var strips = Run($"generate dress.jpg -m tall -d virtual -o strips --format png --keep-latents --memory-budget {budget}");
        Assert.That(strips.ExitCode, Is.Zero, strips.Error);
        for (var i = 0; i < 2; i++)
        {
            var (a, b) = (PictureReader.Read(_folder[$"whole/dress/frame_{i:00000}.png"]).Image, PictureReader.Read(_folder[$"strips/dress/frame_{i:00000}.png"]).Image);
            Assert.That(a.Data.Zip(b.Data, (x, y) => Math.Abs(x - y)).Max(), Is.LessThanOrEqualTo(1), "a rounding at most");
        }

        using (Assert.EnterMultipleScope())
        {
            Assert.That(File.ReadAllText(_folder["strips/dress/recipe.json"]), Does.Contain("\"decode_rows\": 128"));
            Assert.That(File.ReadAllText(_folder["whole/dress/recipe.json"]), Does.Not.Contain("decode_rows"));
            Assert.That(Run("verify strips/dress whole/dress").ExitCode, Is.Zero);
            Assert.That(Run("decode strips/dress.latents -o again.mp4").ExitCode, Is.Zero);
            Assert.That(File.ReadAllText(_folder["again.mp4.json"]), Does.Contain("\"decode_rows\": 128"), "what goes on is decoded as it was begun");
        }
    }

    [Test]
    public void A_comparison_within_a_budget_gives_the_same_errors()
    {
        var data = Path.Combine(BuiltProgram.SourceTree(), "tests", "data");
        var line = $"compare vae -w {data}/vae_tiny.safetensors -r {data}/vae_tiny_io.safetensors --json -d virtual";
        var whole = Run(line);
        var bounded = Run($"{line} --memory-budget 64MiB");
        using (Assert.EnterMultipleScope())
        {
            Assert.That((whole.ExitCode, bounded.ExitCode), Is.EqualTo((0, 0)), bounded.Error);
            Assert.That(bounded.Output, Is.EqualTo(whole.Output));
            Assert.That(bounded.Error, Does.Match("^plan: weights .*; activations .* in one arena \\(compare .*\\); in all .*\nplan: attention over all tokens at once; nothing is computed twice\n$"));
        }

        Run($"{line} --memory-budget 1KiB").MustFail(4, "--memory-budget 0 MiB is too little: ");
    }

    private JsonElement Plan(string model, string budget)
    {
        var result = Run($"generate dress.jpg -o out.mp4 -d virtual --plan-only --json -m {model}{budget}");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        return JsonDocument.Parse(result.Output).RootElement;
    }

    private ProgramResult Run(string line) => BuiltProgram.RunIn(_folder.Path, null, line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
}
