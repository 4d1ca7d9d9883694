// The published folder, made for real and used as on a machine without .NET: from elsewhere, with nothing on PATH but ffmpeg.
using System.Diagnostics;
using System.Runtime.Versioning;

namespace FashionFlow.App.Tests;

// Long: compiling all of it ahead takes more than a minute on two cores.
[Category("Long")]
[SupportedOSPlatform("linux")]
public sealed class PublishTests
{
    private readonly TemporaryFolder _folder = new();

    private string Published => _folder["published"];

    [OneTimeSetUp]
    public void Publish()
    {
        var result = Start(Path.Combine(BuiltProgram.SourceTree(), "fashionflow"), folder: "/", path: null, "publish", "-o", Published);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(result.Output, Does.StartWith($"published  {Published}, "));
        Directory.CreateDirectory(_folder["elsewhere"]);
        Directory.CreateDirectory(_folder["bin"]);
        var ffmpeg = Environment.GetEnvironmentVariable("PATH")!.Split(':').Select(p => Path.Combine(p, "ffmpeg")).First(File.Exists);
        File.CreateSymbolicLink(_folder["bin/ffmpeg"], ffmpeg);
        File.CreateSymbolicLink(_folder["bin/ffprobe"], Path.Combine(Path.GetDirectoryName(ffmpeg)!, "ffprobe"));
    }

    [OneTimeTearDown]
    public void Remove() => _folder.Dispose();

    [Test]
    public void The_folder_holds_the_program_and_what_goes_with_it()
    {
        var files = Directory.EnumerateFiles(Published, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(Published, f));
        Assert.That(files, Is.EquivalentTo(new[]
        {
            "LICENSE", "README.txt", "fashionflow", "libHarfBuzzSharp.so", "libSkiaSharp.so", "models/demo/README.md", "models/demo/adapter.safetensors", "models/demo/clip.safetensors", "models/demo/config.json", "models/demo/unet.safetensors", "models/demo/vae.safetensors",
            "licences/DejaVu-LICENSE.txt", "licences/Google.Protobuf-LICENSE.txt", "licences/ScottPlot-LICENSE.txt", "licences/ScottPlot-NOTICES.txt",
            "licences/SkiaSharp-LICENSE.txt", "licences/SkiaSharp-THIRD-PARTY-NOTICES.txt", "licences/Spectre.Console-and-System.CommandLine-LICENSE.txt",
            "licences/dotnet-runtime-LICENSE.txt", "licences/dotnet-runtime-THIRD-PARTY-NOTICES.txt",
        }));
    }

    [Test]
    public void It_names_no_folder_of_the_machine_that_made_it()
    {
        var program = File.ReadAllBytes(Path.Combine(Published, "fashionflow"));
        Assert.That(program.AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes(BuiltProgram.SourceTree() + "/")), Is.Negative);
    }

    [Test]
    public void It_runs_without_dotnet()
    {
        var version = Run("--version");
        Assert.That((version.ExitCode, version.Error), Is.EqualTo((0, "")));
        Assert.That(version.Output, Does.StartWith($"fashionflow {typeof(App.ExitCode).Assembly.GetName().Version!.ToString(3)}\n"));
        var help = Run("--help");
        Assert.That(help.Output, Does.Contain("Exit codes:").And.Not.Contain("publish"), "a published program has no sources to publish");
    }

    [Test]
    public void It_finds_its_kernels_and_the_demo_model()
    {
        var kernels = Run("kernels", "check");
        Assert.That((kernels.ExitCode, kernels.Output), Is.EqualTo((0, "")), kernels.Error);
        var doctor = Run("doctor");
        Assert.That(doctor.ExitCode, Is.Zero, doctor.Output + doctor.Error);
        Assert.That(doctor.Output, Does.Contain("a kernel ran on it").And.Contain(Path.Combine(Published, "models/demo")));
    }

    // Trimming took nothing away that a kernel's translation needs, and code compiled ahead computes the same.
    [Test]
    public void Its_video_is_the_built_program_s_to_the_byte()
    {
        TestPictures.Write(_folder["elsewhere/dress.jpg"], 90, 120);
        string[] arguments = ["generate", "dress.jpg", "--steps", "1", "--frames", "4", "--device", "virtual", "-o"];
        var published = Run([.. arguments, "published.mp4"]);
        Assert.That(published.ExitCode, Is.Zero, published.Error);
        var built = BuiltProgram.RunIn(_folder["elsewhere"], environment: null, [.. arguments, "built.mp4"]);
        Assert.That(built.ExitCode, Is.Zero, built.Error);
        Assert.That(MediaWriterTests.Decode(_folder["elsewhere/published.mp4"]), Is.EqualTo(MediaWriterTests.Decode(_folder["elsewhere/built.mp4"])));
    }

    // What reads and writes JSON, pictures, tables and completions would be the first to miss what trimming took.
    [Test]
    public void Its_other_commands_find_all_that_they_need()
    {
        using var folder = new TemporaryFolder();
        TestPictures.Write(folder["dress.png"], 60, 80);
        TinyModelFolder.WriteFiles(folder["model"]);
        using (Assert.EnterMultipleScope())
        {
            Succeeds("^{\"status\":\"made\"", "generate", folder["dress.png"], "-o", folder["a.gif"], "-m", folder["model"], "--steps", "1", "--contact-sheet", "--json");
            Succeeds(": the same: 4 frames, to the byte\n$", "verify", folder["a.gif"]);
            Succeeds("\"totals\":", "inspect", folder["model"], "--stats", "--json");
            Succeeds("conv_in.spatial_conv.weight", "inspect", folder["model"]);
            Succeeds(": 1 clips to train on, 1 held out,", "render-garments", "-o", folder["garments"], "--train", "1", "--test", "1", "--frames", "1", "--size", "16x24");
            Succeeds("^{\"ready\":true", "doctor", "--json");
            Succeeds("^{\"version\"", "version", "--json");
            Succeeds("^--sampler\n$", "complete", "--", "generate", "--samp");
        }

        Assert.That(File.ReadAllText(folder["garments/garments.json"]), Does.Match("\"clip\": \"train/garment_0001.mp4\",\\s+\"garment\": {\\s+\"cut\": \"[a-z]+\",\\s+\"upper\": {\\s+\"pattern\": \"[a-z_]+\",\\s+\"ground\": \"#[0-9a-f]{6}\""));
        Run("generate", folder["none.png"], "-o", folder["b.mp4"]).MustFail(3, "none.png does not exist");

        void Succeeds(string output, params string[] arguments)
        {
            var result = Run(arguments);
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(result.Output, Does.Match(output));
        }
    }

    // With a PATH, that is the whole environment but for a .NET that is not there.
    private static ProgramResult Start(string program, string folder, string? path, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            WorkingDirectory = folder,
        };
        if (path is not null)
        {
            start.Environment.Clear();
            start.Environment["PATH"] = path;
            start.Environment["DOTNET_ROOT"] = "/nowhere";
        }

        using var process = Process.Start(start)!;
        return BuiltProgram.Wait(process);
    }

    private ProgramResult Run(params string[] arguments) =>
        Start(Path.Combine(Published, "fashionflow"), _folder["elsewhere"], _folder["bin"], arguments);
}
