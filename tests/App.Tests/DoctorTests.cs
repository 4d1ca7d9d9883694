// doctor says what is there and what is not, and its exit code says whether the program can work.
namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
public sealed class DoctorTests
{
    [Test]
    public void Every_part_has_a_line()
    {
        var result = BuiltProgram.Run("doctor");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Output);
            Assert.That(result.Error, Is.Empty);
            foreach (var part in new[] { "NVIDIA driver", "virtual", "kernels", "NVRTC", "cuBLAS", "cuDNN", "ffmpeg", "demo model" })
            {
                Assert.That(result.Output, Does.Match($"(?m)^(ok|-|NO) +{part} "));
            }

            Assert.That(result.Output, Does.Match("(?m)^ok +virtual +.*a kernel ran on it$"));
            Assert.That(result.Output, Does.EndWith("Ready.\n"));
        }
    }

    [Test]
    public void A_missing_ffmpeg_fails_and_says_how_to_install_it()
    {
        using var folder = new TemporaryFolder();
        var result = BuiltProgram.RunIn(folder.Path, new() { ["PATH"] = folder.Path }, "doctor");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(1), result.Error);
            Assert.That(result.Output, Does.Match("(?m)^NO +ffmpeg "));
            Assert.That(result.Output, Does.Contain("ffmpeg: install it: sudo apt-get install -y ffmpeg\n"));
            Assert.That(result.Output, Does.Match("\n1 of \\d+ parts are missing that the program needs.\n$"));
        }
    }

    [Test]
    public void An_nvrtc_that_is_not_there_is_said_with_what_to_do()
    {
        var result = BuiltProgram.RunIn(null, new() { ["FASHIONFLOW_NVRTC"] = "/nonexistent/libnvrtc.so" }, "doctor");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Output, Does.Match("(?m)^(-|NO) +NVRTC +FASHIONFLOW_NVRTC=/nonexistent/libnvrtc.so is not a library"));
            Assert.That(result.Output, Does.Match("(?m)^NVRTC: .*apt-get install"));
        }
    }
}
