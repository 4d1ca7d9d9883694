// Memory does not grow with a video's length: ten times the frames, the same peak, in the program and in ffmpeg.
using System.Diagnostics;
using System.Globalization;
using FashionFlow.Diffusion.Training;

namespace FashionFlow.App.Tests;

[NonParallelizable]
public sealed class MemoryTests
{
    // 600 frames of 160 x 192 would take 53 MiB if they were kept; the process takes some 115 MiB, and 10 % of that is the bound.
    [Test]
    public void Decoding_and_writing_600_frames_takes_the_memory_of_60()
    {
        using var folder = new TemporaryFolder();
        TenTimesTheFramesTakeTheSameMemory("decode", folder, "mp4");
        Assert.That(MediaWriterTests.Probe(folder["600.mp4"], "stream=width,height,nb_read_frames"), Is.EqualTo("160,192,600"));
    }

    // Their latents and tokens alone would take 9 MiB, their pixels as floats 210.
    [Test]
    public void Projecting_600_frames_takes_the_memory_of_60()
    {
        using var folder = new TemporaryFolder();
        TenTimesTheFramesTakeTheSameMemory("project", folder, "safetensors");
        Assert.That(LatentClip.TryDescribe(folder["600.safetensors"])!.Frames, Is.EqualTo(600));
    }

    private static void TenTimesTheFramesTakeTheSameMemory(string work, TemporaryFolder folder, string extension)
    {
        var (program, ffmpeg) = Peak(60);
        var (longProgram, longFfmpeg) = Peak(600);
        TestContext.Out.WriteLine($"{work}: {program} and {longProgram} kB, ffmpeg {ffmpeg} and {longFfmpeg} kB");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(longProgram, Is.LessThanOrEqualTo(program * 1.1), "the program, in kB");
            Assert.That(longFfmpeg, Is.LessThanOrEqualTo(ffmpeg * 1.1), "ffmpeg, in kB");
        }

        (long Program, long Ffmpeg) Peak(int frames)
        {
            var start = new ProcessStartInfo(Environment.ProcessPath!, ["exec", typeof(Probe).Assembly.Location, work, $"{frames}", folder[$"{frames}.{extension}"]])
            {
                UseShellExecute = false,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using var process = Process.Start(start)!;
            var errors = process.StandardError.ReadToEndAsync();
            var words = process.StandardOutput.ReadToEnd().Split(' ');
            process.WaitForExit();
            Assert.That(process.ExitCode, Is.Zero, errors.GetAwaiter().GetResult());
            return (long.Parse(words[0], CultureInfo.InvariantCulture), long.Parse(words[1], CultureInfo.InvariantCulture));
        }
    }
}
