// Folders of latents whose numbers tell which clip, frame and element they are of.
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Diffusion.Training;

namespace FashionFlow.Tests.Training;

internal static class LatentFolder
{
    /// <summary>The tiny model's: latents [12, 8, 4], tokens [5, 12].</summary>
    public static ProjectionRecipe Recipe { get; } = ProjectionRecipe.Of(TinyModel.Configuration, "nowhere", CompatibilityOptions.Fixed);

    /// <summary>Clips of so many frames, called train/0, train/1 and so on, with their index.</summary>
    public static void Write(string folder, params IEnumerable<int> frames)
    {
        foreach (var (number, count) in frames.Index())
        {
            WriteClip(folder, $"train/{number}", number, count);
        }

        WriteIndex(folder);
    }

    public static void WriteClip(string folder, string name, int number, int frames, ProjectionRecipe? recipe = null)
    {
        var path = Path.Combine(folder, $"{name}.safetensors");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using var writer = new LatentClipWriter(folder, recipe ?? Recipe);
        for (var frame = 0; frame < frames; frame++)
        {
            writer.Add(Frame(number, frame));
        }

        using var stream = File.Create(path);
        writer.WriteTo(stream, path, $"{number}.mp4", $"{number:x64}", 25);
    }

    public static void WriteIndex(string folder)
    {
        using var stream = File.Create(Path.Combine(folder, LatentIndex.FileName));
        LatentIndex.Of(folder, Recipe).WriteTo(stream);
    }

    public static EncodedFrame Frame(int clip, int frame)
    {
        var picture = new Rgb8Image(16, 24);
        Array.Fill(picture.Data, (byte)(clip + 1));
        return new EncodedFrame(picture, Numbers(384, clip, frame, 1), Numbers(384, clip, frame, 2), Numbers(60, clip, frame, 3));
    }

    // Multiples of 1/64 in [-1, 1].
    private static float[] Numbers(int count, int clip, int frame, int what)
        => [.. Enumerable.Range(0, count).Select(i => (((i * 7) + (frame * 31) + (clip * 17) + (what * 5)) % 129 / 64f) - 1)];
}
