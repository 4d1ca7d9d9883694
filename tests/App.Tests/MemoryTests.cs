// Memory does not grow with a video's length: ten times the frames, the same peak, in the program and in ffmpeg.
using System.Diagnostics;
using System.Globalization;

namespace FashionFlow.App.Tests;

[NonParallelizable]
public sealed class MemoryTests
{
    // 600 frames of 160 x 192 would take 53 MiB if they were kept; the process takes some 115 MiB, and 10 % of that is the bound.
    [Test]
    public void Decoding_and_writing_600_frames_takes_the_memory_of_60()
    {
        using var folder = new TemporaryFolder();
        var (program, encoder) = Peak(60);
        var (longProgram, longEncoder) = Peak(600);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(longProgram, Is.LessThanOrEqualTo(program * 1.1), "the program, in kB");
            Assert.That(longEncoder, Is.LessThanOrEqualTo(encoder * 1.1), "ffmpeg, in kB");
            Assert.That(MediaWriterTests.Probe(folder["600.mp4"], "stream=width,height,nb_read_frames"), Is.EqualTo("160,192,600"));
        }

        (long Program, long Encoder) Peak(int frames)
        {
            var start = new ProcessStartInfo(Environment.ProcessPath!, ["exec", typeof(Probe).Assembly.Location, "decode", $"{frames}", folder[$"{frames}.mp4"]])
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
