// dataset.json: which clips a folder of latents holds, in which split, and the one recipe that they share.
using System.Text.Json;

namespace FashionFlow.Diffusion.Training;

/// <summary>The index of a folder of latents.</summary>
/// <param name="FormatVersion">The format of the index and of the clips.</param>
/// <param name="Recipe">How all clips were made.</param>
/// <param name="LatentShape">A frame's latent [h, w, c].</param>
/// <param name="TokenShape">A frame's tokens [n, d].</param>
/// <param name="Clips">The clips by name, in ordinal order.</param>
public sealed record LatentIndex(
    int FormatVersion, ProjectionRecipe Recipe, IReadOnlyList<int> LatentShape, IReadOnlyList<int> TokenShape, IReadOnlyList<LatentIndexEntry> Clips)
{
    /// <summary>The file's name.</summary>
    public const string FileName = "dataset.json";

    /// <summary>The split of clips that are trained on, and the name of its folder.</summary>
    public const string Train = "train";

    /// <summary>The split of clips that are kept from training, and the name of its folder.</summary>
    public const string Test = "test";

    /// <summary>Reads the index of a folder; null where there is none.</summary>
    /// <exception cref="DatasetException">There is one, and it cannot be read or is of another version.</exception>
    public static LatentIndex? TryRead(string folder)
    {
        var path = Path.Combine(folder, FileName);
        string text;
        try
        {
            text = File.ReadAllText(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DatasetException($"{path} cannot be read: {e.Message}", e);
        }

        try
        {
            // The version first: another one may look different in everything else.
            using (var document = JsonDocument.Parse(text))
            {
                if (document.RootElement.ValueKind == JsonValueKind.Object
                    && document.RootElement.TryGetProperty("format_version", out var version)
                    && (version.ValueKind != JsonValueKind.Number || !version.TryGetInt32(out var number) || number != LatentClip.FormatVersion))
                {
                    throw new DatasetException($"{path} is of format version {version.GetRawText()}, and this program reads version {LatentClip.FormatVersion}");
                }
            }

            return JsonSerializer.Deserialize(text, TrainingJson.Indented.LatentIndex) ?? throw new JsonException();
        }
        catch (JsonException e)
        {
            throw new DatasetException($"{path} is no index of latents{(e.Path is { } where ? $", at {where}" : string.Empty)}; fashionflow project makes one", e);
        }
    }

    /// <summary>
    /// The index of what a folder holds: every clip of this recipe in it and in its <c>train</c> and <c>test</c>, whichever run
    /// made it. Clips of other recipes are left out, and so is what cannot be read.
    /// </summary>
    /// <param name="folder">The folder of latents.</param>
    /// <param name="recipe">The recipe.</param>
    /// <exception cref="IOException">The folder cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be read.</exception>
    public static LatentIndex Of(string folder, ProjectionRecipe recipe)
    {
        var wanted = recipe.ToJson();
        List<LatentIndexEntry> clips = [];
        foreach (var (sub, split) in new[] { (string.Empty, Train), (Train, Train), (Test, Test) })
        {
            var place = Path.Combine(folder, sub);
            if (!Directory.Exists(place))
            {
                continue;
            }

            foreach (var path in Directory.EnumerateFiles(place, $"*{LatentClip.Extension}").Where(path => !Path.GetFileName(path).StartsWith('.')))
            {
                if (Describe(path) is { } clip && clip.Recipe == wanted)
                {
                    // With "/" on every system.
                    var name = $"{(sub.Length == 0 ? string.Empty : $"{sub}/")}{Path.GetFileNameWithoutExtension(path)}";
                    clips.Add(new LatentIndexEntry(name, split, clip.Frames, clip.Source, clip.SourceSha256, clip.FramesPerSecond));
                }
            }
        }

        return new LatentIndex(
            LatentClip.FormatVersion, recipe, recipe.LatentShape, recipe.TokenShape, [.. clips.OrderBy(clip => clip.Name, StringComparer.Ordinal)]);
    }

    /// <summary>Writes it as indented JSON.</summary>
    public void WriteTo(Stream stream)
    {
        JsonSerializer.Serialize(stream, this, TrainingJson.Indented.LatentIndex);
        stream.WriteByte((byte)'\n');
    }

    private static LatentClipInfo? Describe(string path)
    {
        try
        {
            return LatentClip.TryDescribe(path);
        }
        catch (Exception e) when (e is Tensors.Weights.SafetensorsException or DatasetException)
        {
            return null;
        }
    }
}

/// <summary>A clip in the index.</summary>
/// <param name="Name">Its file's path from the folder on, with "/" and without ending.</param>
/// <param name="Split">train or test.</param>
/// <param name="Frames">Its frames.</param>
/// <param name="Source">The video's file name.</param>
/// <param name="SourceSha256">The video's hash.</param>
/// <param name="Fps">The video's rate, where it is known.</param>
public sealed record LatentIndexEntry(string Name, string Split, int Frames, string Source, string SourceSha256, double? Fps = null)
{
    /// <summary>The clip's file in a folder.</summary>
    public string PathIn(string folder) => Path.Combine(folder, $"{Name.Replace('/', Path.DirectorySeparatorChar)}{LatentClip.Extension}");
}
