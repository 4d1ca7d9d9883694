// From RGB bytes to a PNG file.
using FashionFlow.Diffusion.Preprocessing;
using SkiaSharp;

namespace FashionFlow.App.Media;

/// <summary>Writes PNG files, whole or not at all.</summary>
internal static class PictureWriter
{
    /// <summary>Writes <paramref name="image"/> to <paramref name="path"/>.</summary>
    /// <exception cref="UserError">The file cannot be written.</exception>
    public static void WritePng(Rgb8Image image, string path)
    {
        using var pending = new PendingFile(path);
        using var bitmap = new SKBitmap(new SKImageInfo(image.Width, image.Height, SKColorType.Rgba8888, SKAlphaType.Opaque));
        var pixels = bitmap.GetPixelSpan();
        for (int i = 0, j = 0; i < image.Data.Length; i += 3, j += 4)
        {
            image.Data.AsSpan(i, 3).CopyTo(pixels[j..]);
            pixels[j + 3] = 255;
        }

        using (var encoded = bitmap.Encode(SKEncodedImageFormat.Png, 100))
        {
            try
            {
                using var file = File.Create(pending.Path);
                encoded.SaveTo(file);
            }
            catch (IOException e)
            {
                throw new UserError(ExitCode.Output, $"{path} cannot be written: {e.Message}", cause: e);
            }
        }

        pending.Commit();
    }
}
