// From RGB bytes to PNG.
using FashionFlow.Diffusion.Preprocessing;
using SkiaSharp;

namespace FashionFlow.App.Media;

/// <summary>Writes PNG.</summary>
internal static class PictureWriter
{
    /// <summary>Writes <paramref name="image"/> to <paramref name="path"/>, whole or not at all.</summary>
    /// <exception cref="UserError">The file cannot be written.</exception>
    public static void WritePng(Rgb8Image image, string path) => PendingOutput.WriteFile(path, overwrite: true, stream => EncodePng(image, stream));

    /// <summary>Encodes <paramref name="image"/> to a stream.</summary>
    public static void EncodePng(Rgb8Image image, Stream stream)
    {
        using var bitmap = new SKBitmap(new SKImageInfo(image.Width, image.Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        var pixels = bitmap.GetPixelSpan();
        for (int i = 0, j = 0; i < image.Data.Length; i += 3, j += 4)
        {
            image.Data.AsSpan(i, 3).CopyTo(pixels[j..]);
            pixels[j + 3] = 255;
        }

        using var encoded = bitmap.Encode(SKEncodedImageFormat.Png, 100);
        encoded.SaveTo(stream);
    }
}
