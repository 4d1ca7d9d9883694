// What trainings start from: a tiny model, videos, and the latents that project makes of them. Made once, read by many.
using System.Diagnostics;

namespace FashionFlow.App.Tests;

/// <summary>A folder with <c>model</c>, <c>videos</c> and <c>latents</c>, three clips to train on and one to sample from.</summary>
internal static class TrainFolder
{
    private static readonly Lazy<TemporaryFolder> Made = new(Make);

    /// <summary>Copies all of it: the copy is the test's own.</summary>
    public static void Prepare(TemporaryFolder folder)
    {
        foreach (var path in Directory.EnumerateFiles(Made.Value.Path, "*", SearchOption.AllDirectories))
        {
            var target = folder[Path.GetRelativePath(Made.Value.Path, path)];
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(path, target);
        }
    }

    private static TemporaryFolder Make()
    {
        var folder = new TemporaryFolder();
        AppDomain.CurrentDomain.ProcessExit += (_, _) => folder.Dispose();
        TinyModelFolder.WriteFiles(folder["model"]);
        foreach (var (name, frames, source) in new[] { ("train/a", 6, "testsrc"), ("train/b", 5, "testsrc2"), ("train/c", 7, "smptebars"), ("test/d", 4, "rgbtestsrc") })
        {
            Directory.CreateDirectory(Path.GetDirectoryName(folder[$"videos/{name}"])!);
            using var process = Process.Start(new ProcessStartInfo(
                "ffmpeg", ["-v", "error", "-nostdin", "-f", "lavfi", "-i", $"{source}=s=32x48:r=10", "-frames:v", $"{frames}", folder[$"videos/{name}.mp4"]]) { UseShellExecute = false })!;
            process.WaitForExit();
            Assert.That(process.ExitCode, Is.Zero);
        }

        var result = BuiltProgram.RunIn(folder.Path, null, "project", "videos", "-o", "latents", "-m", "model", "-d", "virtual");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        return folder;
    }
}
