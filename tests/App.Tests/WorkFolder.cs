// The folder in which the tables of command lines run: pictures good and bad, models good and bad.
using System.Diagnostics;

namespace FashionFlow.App.Tests;

/// <summary>Fills folders and lists them.</summary>
internal static class WorkFolder
{
    private static readonly Lazy<byte[]> Clip = new(() => Video("32x48", 6));
    private static readonly Lazy<byte[]> ShortClip = new(() => Video("32x48", 3));

    // No chroma is halved in it, so that odd sides are possible.
    private static readonly Lazy<byte[]> OddClip = new(() => Video("33x47", 5, "-pix_fmt", "yuv444p"));

    // A video with its sidecar, made once; its picture is the same in every folder.
    private static readonly Lazy<(byte[] Video, byte[] Sidecar, byte[] Latents)> Made = new(() =>
    {
        using var folder = new TemporaryFolder();
        Prepare(folder);
        var result = BuiltProgram.RunIn(folder.Path, null, "generate", "dress.jpg", "-o", "made.mp4", "-m", "tiny", "--steps", "1", "-d", "virtual", "--keep-latents");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        return (File.ReadAllBytes(folder["made.mp4"]), File.ReadAllBytes(folder["made.mp4.json"]), File.ReadAllBytes(folder["made.mp4.latents"]));
    });

    private static readonly Lazy<(string Name, byte[] Bytes)[]> Latents = new(() =>
    {
        using var folder = new TemporaryFolder();
        Prepare(folder, withVideo: true);
        var result = BuiltProgram.RunIn(folder.Path, null, "project", "clips", "-o", "latents", "-m", "tiny", "-d", "virtual");
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        return [.. Directory.EnumerateFiles(folder["latents"]).Select(path => (Path.GetFileName(path), File.ReadAllBytes(path)))];
    });

    public static void Prepare(TemporaryFolder folder, bool withVideo = false)
    {
        TestPictures.Write(folder["dress.jpg"], 60, 80);
        File.WriteAllText(folder["text.jpg"], "The dress is blue.\n");
        File.WriteAllText(folder["page.png"], "<!DOCTYPE html><title>404</title>");
        File.WriteAllBytes(folder["empty.png"], []);
        File.WriteAllBytes(folder["half.jpg"], File.ReadAllBytes(TestPictures.Write(folder["half.jpg"], 200, 240))[..2000]);
        File.WriteAllBytes(folder["two.gif"], TestPictures.TwoFrameGif());
        File.WriteAllText(folder["old.mp4"], "old");
        Directory.CreateDirectory(folder["photos"]);
        TestPictures.Write(folder["photos/b.jpg"], 30, 40);
        TestPictures.Write(folder["photos/a.PNG"], 30, 40);
        File.WriteAllText(folder["photos/notes.txt"], "not a picture");
        File.WriteAllText(folder["photos/.hidden.jpg"], "not a picture either");
        Directory.CreateDirectory(folder["nothing"]);
        TinyModelFolder.WriteSeeded(folder["tiny"]);

        // Models that are none: a header that promises more bytes than there are, no JSON, a key that nobody knows, a size that does not fit.
        Directory.CreateDirectory(folder["damaged"]);
        var header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1000],\"data_offsets\":[0,4000]}}"u8.ToArray();
        File.WriteAllBytes(folder["damaged/unet.safetensors"], [.. BitConverter.GetBytes((ulong)header.Length), .. header, .. new byte[100]]);
        WriteModel("broken-config", "{ frames }");
        WriteModel("unknown-key", "{ \"seed\": 1, \"frame\": 4 }");
        WriteModel("odd-sampler", "{ \"seed\": 1, \"sampler\": \"heun\" }");
        WriteModel("odd-mode", "{ \"seed\": 1, \"compat\": \"mine\" }");
        WriteModel("odd-size", "{ \"seed\": 1, \"picture\": { \"width\": 100 } }");
        if (withVideo)
        {
            File.WriteAllBytes(folder["clip.mp4"], Clip.Value);
            File.WriteAllBytes(folder["cut.mp4"], Clip.Value[..200]);
            File.WriteAllBytes(folder["foreign.mp4"], Clip.Value);
            WriteClip("clips", Clip.Value);
            WriteClip("clips-cut", Clip.Value[..200]);
            WriteClip("clips-short", ShortClip.Value);
            WriteClip("clips-odd", OddClip.Value);
            WriteClip("clips-text", "file /etc/passwd\n"u8.ToArray());
            WriteClip("clips-empty", []);
            File.WriteAllBytes(folder["made.mp4"], Made.Value.Video);
            File.WriteAllBytes(folder["kept.mp4.latents"], Made.Value.Latents);
            // The sidecar names the folder that the video was made in, which is gone.
            File.WriteAllBytes(folder["made.mp4.json"], Made.Value.Sidecar);
            Directory.CreateDirectory(folder["models"]);
            var text = File.ReadAllText(folder["made.mp4.json"]);
            var model = System.Text.Json.JsonDocument.Parse(text).RootElement.GetProperty("paths").GetProperty("model").GetString()!;
            File.WriteAllText(folder["made.mp4.json"], text.Replace(model, folder["tiny"], StringComparison.Ordinal));
        }

        void WriteClip(string name, byte[] bytes)
        {
            Directory.CreateDirectory(folder[name]);
            File.WriteAllBytes(folder[$"{name}/a.mp4"], bytes);
        }

        void WriteModel(string name, string json)
        {
            Directory.CreateDirectory(folder[name]);
            File.WriteAllText(folder[$"{name}/config.json"], json);
        }
    }

    /// <summary>Adds <c>latents</c> of the tiny model: one clip to train on.</summary>
    public static void AddLatents(TemporaryFolder folder)
    {
        Directory.CreateDirectory(folder["latents"]);
        foreach (var (name, bytes) in Latents.Value)
        {
            File.WriteAllBytes(folder[$"latents/{name}"], bytes);
        }
    }

    /// <summary>All files and empty folders in it, hidden ones too, by their paths.</summary>
    public static string[] List(TemporaryFolder folder) =>
        [.. Directory.EnumerateFileSystemEntries(folder.Path, "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None, IgnoreInaccessible = true })
            .Where(path => !Directory.Exists(path) || !Directory.EnumerateFileSystemEntries(path).Any())
            .Select(path => Path.GetRelativePath(folder.Path, path))
            .Order(StringComparer.Ordinal)];

    private static byte[] Video(string size, int frames, params string[] options) => Run(
        "ffmpeg", ["-v", "error", "-f", "lavfi", "-i", $"testsrc=s={size}:r=10", "-frames:v", $"{frames}", .. options, "-f", "mp4", "-movflags", "frag_keyframe", "pipe:1"]);

    private static byte[] Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, UseShellExecute = false })!;
        using var output = new MemoryStream();
        process.StandardOutput.BaseStream.CopyTo(output);
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, program);
        return output.ToArray();
    }
}
