// The demo model's recipe: its errors, and all of it in a few steps, with what a stop, a damage and a change do to it.
using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using FashionFlow.App.Training;
using FashionFlow.Diffusion;

namespace FashionFlow.App.Tests;

[System.Runtime.Versioning.SupportedOSPlatform("linux")]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class DemoRecipeTests : IDisposable
{
    // What clones carry.
    private const long MostBytes = 12_000_000;

    private static readonly string RecipeFolder = Path.Combine(BuiltProgram.SourceTree(), "recipes", "demo");

    private readonly TemporaryFolder _folder = new();

    public DemoRecipeTests()
    {
        // The program that was built with the tests; what it is called with is written down first.
        File.WriteAllText(
            _folder["fashionflow"],
            $"#!/bin/bash\necho \"$@\" >> '{_folder["calls"]}'\n[ ! -e '{_folder["fail"]}' ] || exit \"$(<'{_folder["fail"]}')\"\nexec '{BuiltProgram.Host}' exec '{Path.Combine(AppContext.BaseDirectory, "FashionFlow.App.dll")}' \"$@\"\n");
        File.SetUnixFileMode(_folder["fashionflow"], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public void Dispose() => _folder.Dispose();

    [TestCase("--steps 3", 2, "'--steps' is not an option of recipes/demo/make; see: recipes/demo/make --help")]
    [TestCase("work", 2, "'work' is not an argument of recipes/demo/make; a folder is named by -o WORK_DIR")]
    [TestCase("-o", 2, "-o needs a folder; see: recipes/demo/make --help")]
    [TestCase("--threads", 2, "--threads must be a whole number from 1 to 1024, not ''")]
    [TestCase("--threads 0", 2, "--threads must be a whole number from 1 to 1024, not '0'")]
    [TestCase("--threads=2000", 2, "--threads must be a whole number from 1 to 1024, not '2000'")]
    [TestCase("--threads two -o work", 2, "--threads must be a whole number from 1 to 1024, not 'two'")]
    [TestCase("-o fashionflow", 5, "fashionflow is no folder")]
    [TestCase("-o fashionflow/work", 5, "fashionflow/work cannot be made: Not a directory")]
    public void Bad_arguments_are_one_clear_line_and_nothing_is_made(string line, int exitCode, string message)
    {
        var before = _folder.Names;
        var result = Make(line);
        Assert.That(result.ExitCode, Is.EqualTo(exitCode), result.Error);
        Assert.That(result.ErrorLines, Has.Length.EqualTo(1).And.All.StartsWith("error: ").And.All.Contains(message));
        Assert.That((result.Output, string.Join(' ', _folder.Names)), Is.EqualTo(("", string.Join(' ', before))));
    }

    [Test]
    public void Help_names_every_option()
    {
        var result = Make("--help");
        Assert.That(result.ExitCode, Is.Zero);
        Assert.That(result.Output, Does.Contain("-o, --output WORK_DIR").And.Contain("--quick").And.Contain("--threads N"));
    }

    [Test]
    public void A_stage_that_fails_ends_it_with_the_stage_s_exit_code()
    {
        File.WriteAllText(_folder["fail"], "5");
        var result = Make("-o work --quick --threads 2");
        Assert.That(result.ExitCode, Is.EqualTo(5), result.Error);
        Assert.That(Calls(), Has.Length.EqualTo(1).And.All.EndsWith("/work/garments --seed 1 --frames 8 --size 128x192 --train 4 --test 2 --overwrite --threads 2"));
        Assert.That(File.Exists(_folder["work/garments.done"]), Is.False);
    }

    [Test]
    public void Two_at_a_time_in_one_folder_are_refused()
    {
        Directory.CreateDirectory(_folder["work"]);
        var result = BuiltProgram.Shell(_folder.Path, $"exec 8>work/lock; flock 8; '{Path.Combine(RecipeFolder, "make")}' -o work --quick 8>&-; exit $?");
        result.MustFail(5, "another process makes a model in ");
    }

    // Its settings are read as the program reads them, without the hour that it takes.
    [TestCase("vae")]
    [TestCase("encoder")]
    [TestCase("denoiser")]
    public void The_recipe_s_settings_are_a_training_s(string part)
    {
        var settings = TrainingSettings.Read(Path.Combine(RecipeFolder, $"{part}.json"));
        var options = settings.WithDefaults().ToOptions();
        Assert.That((settings.Part, settings.Dtype, options.Compatibility), Is.EqualTo((part, "f16", CompatibilityOptions.Fixed)));
    }

    [Test]
    public void The_recipe_s_model_is_one_that_is_sampled_as_it_is_trained()
    {
        var configuration = ModelConfiguration.ForDirectory(RecipeFolder);
        Assert.That((configuration.PictureWidth, configuration.PictureHeight, configuration.SeededStart, configuration.IsTrained), Is.EqualTo((128, 192, SeededStart.Training, false)));
        var options = configuration.Resolve(new GenerationOptions());
        Assert.That((options.Sampler, options.Steps, options.Frames, options.Compatibility), Is.EqualTo((SamplerKind.Ddim, 25, 8, CompatibilityOptions.Fixed)));
    }

    // Long: all stages, each with a few steps.
    [Test]
    [Category("Long")]
    public void From_nothing_to_a_model_and_on_after_a_stop()
    {
        // Stopped within the first training, as Ctrl-C in a terminal does: every process hears it.
        using (var process = Process.Start(new ProcessStartInfo(
            "/bin/bash", ["-c", $"set -m; FASHIONFLOW='{_folder["fashionflow"]}' '{Path.Combine(RecipeFolder, "make")}' -o work --quick & until grep -qs -- '--part\\|vae.json' calls; do sleep 0.05; done; sleep 1; kill -INT -- -$!; wait $!; exit 0"])
        {
            WorkingDirectory = _folder.Path,
            UseShellExecute = false,
            RedirectStandardOutput = true,
        })!)
        {
            process.StandardOutput.ReadToEnd();
            process.WaitForExit();
        }

        Assert.That(File.Exists(_folder["work/garments.done"]), Is.True);
        Assert.That(File.Exists(_folder["work/denoiser.done"]), Is.False);
        var whole = Make("-o work --quick");
        Assert.That(whole.ExitCode, Is.Zero, whole.Error);
        Assert.That(whole.Error, Does.Contain("[1/7] draw garments: done before\n").And.Match("train the denoiser: \\d+ s\n"));
        Assert.That(whole.Output, Does.Match($"^{Regex.Escape(_folder["work/demo"])}: made in .*\n$"));
        Check_the_model();

        // Nothing is left to do; and the same model comes out.
        var model = Hashes();
        File.Delete(_folder["calls"]);
        var again = Make("-o work --quick --threads 1");
        Assert.That(again.ExitCode, Is.Zero, again.Error);
        Assert.That(Regex.Count(again.Error, ": done before\n"), Is.EqualTo(6));
        Assert.That((File.Exists(_folder["calls"]), string.Join('\n', Hashes())), Is.EqualTo((false, string.Join('\n', model))));

        // A damaged result is made again: the training has its last checkpoint, so that nothing is trained twice.
        File.WriteAllText(_folder["work/encoder/model/clip.safetensors"], "damaged");
        var mended = Make("-o work --quick");
        Assert.That(mended.ExitCode, Is.Zero, mended.Error);
        Assert.That(mended.Error, Does.Contain("the result is not whole; it is made again").And.Contain("goes on after step 3 of 3"));
        Assert.That((Calls().Length, string.Join('\n', Hashes())), Is.EqualTo((1, string.Join('\n', model))));

        // What was made by other settings is not mixed with these.
        var other = Make("-o work");
        Assert.That(other.ExitCode, Is.EqualTo(5));
        Assert.That(other.ErrorLines[^1], Does.EndWith("/work/garments was made by another version of the recipe; give another -o WORK_DIR, or remove it and what was made of it"));
        Assert.That(Calls(), Has.Length.EqualTo(1));
    }

    private void Check_the_model()
    {
        var files = Directory.GetFiles(_folder["work/demo"]).Select(path => Path.GetFileName(path)).ToArray();
        Assert.That(files, Is.SupersetOf(ModelFiles.All.Concat(["config.json", "README.md", "curves-vae.png", "curves-encoder.png", "curves-denoiser.png", "evaluation.json"])));
        var configuration = ModelConfiguration.ForDirectory(_folder["work/demo"]);
        var card = File.ReadAllText(_folder["work/demo/README.md"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(ModelFiles.All.Sum(name => new FileInfo(_folder[$"work/demo/{name}"]).Length), Is.LessThanOrEqualTo(MostBytes));
            Assert.That((configuration.IsTrained, configuration.Compatibility?.Name, configuration.Sampler), Is.EqualTo((true, "fixed", SamplerKind.Ddim)));
            Assert.That(configuration.Vae.ScalingFactor, Is.Not.EqualTo(0.18215), "measured on the new autoencoder");
            foreach (Match picture in Regex.Matches(card, @"\]\(([^)]+)\)"))
            {
                Assert.That(files, Does.Contain(picture.Groups[1].Value));
            }

            Assert.That(card, Does.Contain("4 clips to train on and 2 of other garments").And.Contain("| vae | 3 | 2 | 0.002 | cosine | 1 |").And.Contain("Untrained weights come from the seed 20231."));
        }

        // The figures are the evaluation's.
        using var evaluation = JsonDocument.Parse(File.ReadAllText(_folder["work/demo/evaluation.json"]));
        var summary = evaluation.RootElement.GetProperty("summary");
        foreach (var (row, member) in new[] { ("generated", "generated"), ("repeated picture", "repeated"), ("autoencoder", "autoencoder") })
        {
            var s = summary.GetProperty(member);
            var (encoder, colour) = (s.GetProperty("encoder").GetProperty("top_one").GetDouble(), s.GetProperty("colour").GetProperty("top_one").GetDouble());
            Assert.That(card, Does.Contain(FormattableString.Invariant(
                $"| {row} | {s.GetProperty("psnr").GetDouble():0.00} | {s.GetProperty("worst_psnr").GetDouble():0.00} | {s.GetProperty("ssim").GetDouble():0.000} | {s.GetProperty("step_ratio").GetDouble():0.00} | {encoder:0.000} | {colour:0.000} |")));
        }

        TestPictures.Write(_folder["dress.jpg"], 60, 90);
        var video = BuiltProgram.RunIn(_folder.Path, null, "generate", "dress.jpg", "-o", "dress.mp4", "-m", "work/demo", "--steps", "1", "-d", "virtual");
        Assert.That(video.ExitCode, Is.Zero, video.Error);
        Assert.That(video.ErrorLines[0], Does.EndWith("; ddim, 1 steps, 8 frames, seed 0, compat fixed"));
    }

    private string[] Hashes() => [.. ModelFiles.All.Append("config.json").Select(name => Generation.FileHash.Compute(_folder[$"work/demo/{name}"]))];

    private string[] Calls() => File.Exists(_folder["calls"]) ? File.ReadAllLines(_folder["calls"]) : [];

    private ProgramResult Make(string line) => BuiltProgram.Shell(
        _folder.Path, $"'{Path.Combine(RecipeFolder, "make")}' {line}", new() { ["FASHIONFLOW"] = _folder["fashionflow"] });
}
