// The program on its CUDA device: the driver, cuBLAS and cuDNN are stand-ins (tests/native), all above them is what a GPU runs.
using System.Text.Json;
using FashionFlow.StandIns;
using SkiaSharp;

namespace FashionFlow.App.Tests;

public sealed class StandInTests
{
    private static readonly Dictionary<string, string> s_standIns = new()
    {
        ["DOTNET_STARTUP_HOOKS"] = typeof(StandInLibrary).Assembly.Location,
    };

    public static IEnumerable<string> Devices => StandInLibrary.CanBuild ? ["cuda"] : [];

    [TestCaseSource(nameof(Devices))]
    public void Doctor_says_which_library_does_what(string device)
    {
        var result = BuiltProgram.RunIn(null, s_standIns, "doctor");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Output + result.Error);
            Assert.That(result.Error, Is.Empty);
            Assert.That(result.Output, Does.Match($"(?m)^ok +{device}:0 +Stand-in for a GPU .*; a kernel ran on it; matrix products by cuBLAS 12.3.4, convolutions by cuDNN 9.1.0$"));
            Assert.That(result.Output, Does.Match("(?m)^ok +cuBLAS +12.3.4 .*: matrix products on a GPU$"));
        }
    }

    [TestCaseSource(nameof(Devices))]
    public void Doctor_says_why_a_library_is_not_used(string device)
    {
        var result = BuiltProgram.RunIn(null, new(s_standIns) { ["FASHIONFLOW_CUDNN"] = "/nowhere/libcudnn.so" }, "doctor");
        Assert.That(result.Output, Does.Match(
            $"(?m)^ok +{device}:0 .*, convolutions by own kernels \\(FASHIONFLOW_CUDNN=/nowhere/libcudnn.so is not a library that can be loaded\\)$"));
    }

    // The libraries round otherwise than the virtual device's, so that here and there a byte is the next one.
    [TestCaseSource(nameof(Devices))]
    public void A_video_of_the_CUDA_device_is_the_virtual_device_s_but_for_rounding(string device)
    {
        using var folder = new TemporaryFolder();
        TestPictures.Write(folder["dress.jpg"], 200, 240);
        foreach (var name in (string[])["virtual", device])
        {
            var result = BuiltProgram.RunIn(
                folder.Path, name == device ? s_standIns : null,
                "generate", "dress.jpg", "-o", name, "--format", "png", "--frames", "2", "--steps", "2", "--device", name);
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(result.Error, Does.Not.Contain("stand-in:"));
        }

        var recipe = JsonDocument.Parse(File.ReadAllText(folder[$"{device}/dress/recipe.json"])).RootElement.GetProperty("recipe");
        Assert.That(recipe.GetProperty("device").GetProperty("kind").GetString(), Is.EqualTo("cuda"));
        foreach (var path in Directory.GetFiles(folder["virtual/dress"], "*.png"))
        {
            using var ours = SKBitmap.Decode(path);
            using var theirs = SKBitmap.Decode(Path.Combine(folder[$"{device}/dress"], Path.GetFileName(path)));
            Assert.That(ours.Bytes.Zip(theirs.Bytes, (a, b) => Math.Abs(a - b)).Max(), Is.LessThanOrEqualTo(1), path);
        }
    }
}
