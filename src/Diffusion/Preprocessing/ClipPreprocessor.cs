// From a picture to what CLIP's vision encoder takes: shortest edge to size, centre crop, scale, normalise.
namespace FashionFlow.Diffusion.Preprocessing;

/// <summary>How often bytes are scaled by 1/255 before they are normalised.</summary>
public enum ClipRescaling
{
    /// <summary>
    /// Twice, as the reference does: its picture arrives in [0, 1], the preprocessor takes it for bytes and scales again. All
    /// values then lie within 1/255 standard units of -mean/std.
    /// </summary>
    Faithful,

    /// <summary>Once, as CLIP was trained.</summary>
    Fixed,
}

/// <summary>
/// CLIP's preprocessing with the values of transformers 4.36 (<c>CLIPImageProcessor</c>): bicubic resize of the shortest edge
/// (Pillow's bytes), centre crop, rescale, <c>(x - mean) / std</c> in float32.
/// </summary>
/// <param name="size">The encoder's picture size: 224 for ViT-B/32.</param>
/// <param name="rescaling">Once or twice.</param>
public sealed class ClipPreprocessor(int size = 224, ClipRescaling rescaling = ClipRescaling.Faithful)
{
    // The statistics of CLIP's training set, published with the model.
    private static readonly float[] Mean = [0.48145466f, 0.4578275f, 0.40821073f];
    private static readonly float[] Std = [0.26862954f, 0.26130258f, 0.27577711f];

    /// <summary>Pixels a side of the result.</summary>
    public int Size { get; } = size > 0 ? size : throw new ArgumentOutOfRangeException(nameof(size), size, "The size must be positive.");

    /// <summary>Once or twice by 1/255.</summary>
    public ClipRescaling Rescaling { get; } = rescaling;

    /// <summary>The picture with its shortest edge at <see cref="Size"/>; the longer edge is rounded down.</summary>
    public Rgb8Image ResizeShortestEdge(Rgb8Image image)
    {
        var (width, height) = (image.Width, image.Height);
        // The order of operations (product in integers, quotient in double, truncated) is the reference's.
        return width <= height
            ? PillowResampler.Resize(image, Size, (int)((double)((long)Size * height) / width), ResampleFilter.Bicubic)
            : PillowResampler.Resize(image, (int)((double)((long)Size * width) / height), Size, ResampleFilter.Bicubic);
    }

    /// <summary>Preprocesses a picture: [<see cref="Size"/>, <see cref="Size"/>, 3], channels last.</summary>
    public float[] Preprocess(Rgb8Image image)
    {
        var resized = ResizeShortestEdge(image);
        var crop = resized.Crop((resized.Width - Size) / 2, (resized.Height - Size) / 2, Size, Size);
        var result = new float[crop.Data.Length];
        for (var i = 0; i < result.Length; i++)
        {
            var value = (float)(crop.Data[i] * (1.0 / 255.0));
            if (Rescaling == ClipRescaling.Faithful)
            {
                value *= (float)(1.0 / 255.0);
            }

            result[i] = (value - Mean[i % 3]) / Std[i % 3];
        }

        return result;
    }
}
