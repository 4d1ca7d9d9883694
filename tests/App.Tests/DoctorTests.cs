// doctor says what is there and what is not, and its exit code says whether the program can work.
using System.Text.Json;

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

            Assert.That(result.Output, Does.Match("(?m)^ok +virtual +.*a kernel ran on it; matrix products by .*, convolutions by .*$"));
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

    [TestCase(true)]
    [TestCase(false)]
    public void Json_says_the_same_on_one_line(bool hasFfmpeg)
    {
        using var folder = new TemporaryFolder();
        var environment = hasFfmpeg ? [] : new Dictionary<string, string>(StringComparer.Ordinal) { ["PATH"] = folder.Path };
        var text = BuiltProgram.RunIn(null, environment, "doctor");
        var result = BuiltProgram.RunIn(null, environment, "doctor", "--json");
        using var json = JsonDocument.Parse(result.Output);
        var parts = json.RootElement.GetProperty("parts").EnumerateArray().ToList();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(hasFfmpeg ? 0 : 1));
            Assert.That(result.Error, Is.Empty);
            Assert.That(result.Output.Split('\n'), Has.Length.EqualTo(2), "one line");
            Assert.That(json.RootElement.GetProperty("ready").GetBoolean(), Is.EqualTo(hasFfmpeg));
            Assert.That(parts.Single(p => p.GetProperty("part").ValueEquals("ffmpeg")).GetProperty("state").GetString(), Is.EqualTo(hasFfmpeg ? "ok" : "broken"));
            foreach (var part in parts)
            {
                var word = part.GetProperty("state").GetString() switch
                {
                    "ok" => "ok",
                    "absent" => "-",
                    "broken" => "NO",
                    var other => other,
                };
                Assert.That(text.Output, Does.Match($"(?m)^{word} +{part.GetProperty("part")} +"));
                Assert.That(text.Output, Does.Contain(part.GetProperty("found").GetString()));
                if (part.GetProperty("advice").GetString() is { } advice)
                {
                    Assert.That(text.Output, Does.Contain($"{part.GetProperty("part")}: {advice}\n"));
                }
            }
        }
    }
}
