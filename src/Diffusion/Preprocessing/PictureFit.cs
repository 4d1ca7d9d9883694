// What happens to a picture whose proportions are not the model's: stretched, cropped or padded.
namespace FashionFlow.Diffusion.Preprocessing;

/// <summary>How a picture is brought to the model's size. All three resize with <see cref="PillowResampler"/>'s bilinear filter.</summary>
public enum PictureFit
{
    /// <summary>Both sides to size, proportions lost: what the reference does.</summary>
    Stretch,

    /// <summary>The largest centred part of the model's proportions; what is beside it is lost.</summary>
    Crop,

    /// <summary>The whole picture, centred, with white beside it.</summary>
    Pad,
}

/// <summary>Brings pictures to a size.</summary>
public static class PictureFitter
{
    /// <summary>A picture of exactly <paramref name="width"/> x <paramref name="height"/>; a picture of that size is not filtered.</summary>
    /// <exception cref="ArgumentException">A side is not positive, or there is no such fit.</exception>
    public static Rgb8Image Fit(Rgb8Image image, int width, int height, PictureFit fit) => fit switch
    {
        PictureFit.Stretch => Resize(image, width, height),
        PictureFit.Crop => Resize(Crop(image, width, height), width, height),
        PictureFit.Pad => Pad(image, width, height),
        _ => throw new ArgumentException($"There is no fit {fit}.", nameof(fit)),
    };

    private static Rgb8Image Resize(Rgb8Image image, int width, int height) => PillowResampler.Resize(image, width, height, ResampleFilter.Bilinear);

    private static Rgb8Image Crop(Rgb8Image image, int width, int height)
    {
        // Of whole pixels, so that no pixel of the part is filtered with one outside of it.
        var (cropWidth, cropHeight) = (long)image.Width * height > (long)image.Height * width
            ? (Scaled(image.Height, width, height), image.Height)
            : (image.Width, Scaled(image.Width, height, width));
        return image.Crop((image.Width - cropWidth) / 2, (image.Height - cropHeight) / 2, cropWidth, cropHeight);
    }

    private static Rgb8Image Pad(Rgb8Image image, int width, int height)
    {
        var (innerWidth, innerHeight) = (long)image.Width * height > (long)image.Height * width
            ? (width, Scaled(width, image.Height, image.Width))
            : (Scaled(height, image.Width, image.Height), height);
        var inner = Resize(image, innerWidth, innerHeight);
        var result = new Rgb8Image(width, height);
        Array.Fill(result.Data, byte.MaxValue);
        var (left, top) = ((width - innerWidth) / 2, (height - innerHeight) / 2);
        for (var y = 0; y < innerHeight; y++)
        {
            inner.Row(y).CopyTo(result.Row(top + y)[(left * 3)..]);
        }

        return result;
    }

    /// <summary>length * numerator / denominator to the nearest whole number, at least 1.</summary>
    private static int Scaled(int length, int numerator, int denominator) =>
        Math.Max(1, (int)((((long)length * numerator * 2) + denominator) / (2L * denominator)));
}
