// One clip of training data as a safetensors file: the posterior and the picture encoder's tokens of every frame.
using System.Globalization;
using System.Runtime.InteropServices;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Gpu;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// The file's tensors and metadata. A window may start at any frame, and its first frame conditions the model; so CLIP's tokens
/// are stored for every frame. CLIP is frozen, and at full size a frame's tokens take 150 KiB where its pixels would
/// take 960: training needs neither CLIP nor the autoencoder, and files are a fifth of what frames and latents would take. Of the
/// pixels only the first frame's are kept, to be shown.
/// </summary>
public static class LatentClip
{
    /// <summary>The ending of the files.</summary>
    public const string Extension = ".safetensors";

    /// <summary>The version of the files and of the index.</summary>
    public const int FormatVersion = 1;

    /// <summary>The posterior's mean [f, h, w, c], float32, not scaled.</summary>
    public const string Mean = "mean";

    /// <summary>The posterior's log-variance [f, h, w, c], float32, not clamped.</summary>
    public const string LogVariance = "log_variance";

    /// <summary>CLIP's last hidden state [f, n, d], float32.</summary>
    public const string Tokens = "tokens";

    /// <summary>The first frame [h, w, 3], uint8, as it was encoded.</summary>
    public const string FirstFrame = "first_frame";

    private const string Format = "fashionflow latents";

    /// <summary>Reads what a file says of itself, and checks that its tensors are what its recipe asks for.</summary>
    /// <param name="path">The file.</param>
    /// <returns>The clip's description; null if the file is a safetensors file of another kind or version.</returns>
    /// <exception cref="SafetensorsException">It is damaged, or no safetensors file at all.</exception>
    /// <exception cref="DatasetException">A tensor is missing or of another type or shape.</exception>
    public static LatentClipInfo? TryDescribe(string path)
    {
        using var file = SafetensorsFile.Open(path);
        return TryDescribe(file, path);
    }

    internal static LatentClipInfo? TryDescribe(SafetensorsFile file, string path)
    {
        var m = file.Metadata;
        if (m.GetValueOrDefault("format") != Format
            || m.GetValueOrDefault("format_version") != FormatVersion.ToString(CultureInfo.InvariantCulture)
            || !m.TryGetValue("recipe", out var recipe)
            || !m.TryGetValue("source", out var source)
            || !m.TryGetValue("source_sha256", out var hash)
            || !int.TryParse(m.GetValueOrDefault("frames"), NumberStyles.None, CultureInfo.InvariantCulture, out var frames))
        {
            return null;
        }

        foreach (var (name, type) in new[] { (Mean, DType.Float32), (LogVariance, DType.Float32), (Tokens, DType.Float32), (FirstFrame, DType.UInt8) })
        {
            if (!file.Tensors.TryGetValue(name, out var entry) || entry.DType != type)
            {
                throw new DatasetException($"{path}: tensor \"{name}\" is missing or not of {type}");
            }
        }

        var (latents, tokens) = (file.Tensors[Mean].Shape, file.Tensors[Tokens].Shape);
        if (latents.Rank != 4 || latents[0] != frames || file.Tensors[LogVariance].Shape != latents || tokens.Rank != 3 || tokens[0] != frames)
        {
            throw new DatasetException($"{path}: its tensors do not have the {frames} frames that it says it has");
        }

        double? rate = double.TryParse(m.GetValueOrDefault("fps"), NumberStyles.Float, CultureInfo.InvariantCulture, out var fps) ? fps : null;
        return new LatentClipInfo(source, hash, frames, rate, recipe);
    }

    /// <summary>The first frame of a clip.</summary>
    internal static Rgb8Image Picture(SafetensorsFile file)
    {
        var shape = file.Tensors[FirstFrame].Shape;
        return new Rgb8Image(shape[1], shape[0], file.Bytes(FirstFrame).ToArray());
    }

    /// <summary>Copies some frames of a tensor of floats to the host. A file may be misaligned, so that its bytes are never looked at as floats.</summary>
    internal static void ReadFrames(SafetensorsFile file, string name, int start, Span<float> frames)
    {
        var frameBytes = file.Tensors[name].Length / file.Tensors[name].Shape[0];
        var bytes = MemoryMarshal.AsBytes(frames);
        file.Bytes(name, start * frameBytes, bytes.Length).CopyTo(bytes);
    }

    internal static Dictionary<string, string> MetadataOf(LatentClipInfo clip, IReadOnlyDictionary<string, string>? notes)
    {
        var metadata = new Dictionary<string, string>(notes ?? new Dictionary<string, string>(), StringComparer.Ordinal)
        {
            ["format"] = Format,
            ["format_version"] = FormatVersion.ToString(CultureInfo.InvariantCulture),
            ["layout"] = "mean, log_variance: [frame, height, width, channel], not scaled; tokens: [frame, token, channel]; first_frame: [height, width, rgb]",
            ["source"] = clip.Source,
            ["source_sha256"] = clip.SourceSha256,
            ["frames"] = clip.Frames.ToString(CultureInfo.InvariantCulture),
            ["recipe"] = clip.Recipe,
        };
        if (clip.FramesPerSecond is { } rate)
        {
            metadata["fps"] = rate.ToString("R", CultureInfo.InvariantCulture);
        }

        return metadata;
    }
}

/// <summary>What a clip's file says of itself.</summary>
/// <param name="Source">The video's file name without folder.</param>
/// <param name="SourceSha256">The video's hash, in lower-case hexadecimal digits.</param>
/// <param name="Frames">How many frames were decoded and encoded.</param>
/// <param name="FramesPerSecond">The video's rate; null where the video does not tell.</param>
/// <param name="Recipe">The <see cref="ProjectionRecipe"/> as JSON.</param>
public sealed record LatentClipInfo(string Source, string SourceSha256, int Frames, double? FramesPerSecond, string Recipe);
