// From a picture file to RGB bytes: any common format, turned upright, laid over white.
using FashionFlow.Diffusion.Preprocessing;
using SkiaSharp;

namespace FashionFlow.App.Media;

/// <summary>Reads pictures through SkiaSharp's codecs: JPEG, PNG, WebP, BMP, GIF (its first frame).</summary>
internal static class PictureReader
{
    /// <summary>Most pixels that are read: a 16,384 x 16,384 picture. A small file can claim any size.</summary>
    public const long MaxPixels = 1L << 28;

    private const string Advice = "give a JPEG, PNG, WebP, BMP or GIF file";

    /// <summary>
    /// Reads a picture. EXIF orientation is applied, transparency is laid over white, grey and CMYK become RGB; embedded colour
    /// profiles are not applied, as in the reference.
    /// </summary>
    /// <exception cref="UserError">The file is missing, unreadable, not a picture, cut short or too large.</exception>
    public static Rgb8Image Read(string path)
    {
        using var data = SKData.CreateCopy(ReadFile(path));
        using var codec = SKCodec.Create(data);
        if (codec is null)
        {
            throw new UserError(ExitCode.Input, $"{path} is not a picture{Guess(data.AsSpan())}", Advice);
        }

        var info = codec.Info;
        if (info.Width <= 0 || info.Height <= 0 || (long)info.Width * info.Height > MaxPixels)
        {
            throw new UserError(ExitCode.Input, $"{path} is too large: {info.Width} x {info.Height} pixels, at most {MaxPixels:N0} in all");
        }

        using var bitmap = new SKBitmap(new SKImageInfo(info.Width, info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        switch (codec.GetPixels(bitmap.Info, bitmap.GetPixels()))
        {
            case SKCodecResult.Success:
                break;
            case SKCodecResult.IncompleteInput:
                throw new UserError(ExitCode.Input, $"{path} is cut short: the picture's last rows are missing", "fetch or copy the file again");
            case var result:
                throw new UserError(ExitCode.Input, $"{path} is damaged ({codec.EncodedFormat}, {result})", "fetch or copy the file again");
        }

        return Orient(OverWhite(bitmap), codec.EncodedOrigin);
    }

    private static byte[] ReadFile(string path)
    {
        if (Directory.Exists(path))
        {
            throw new UserError(ExitCode.Input, $"{path} is a folder, not a picture", Advice);
        }

        try
        {
            var bytes = File.ReadAllBytes(path);
            return bytes.Length > 0 ? bytes : throw new UserError(ExitCode.Input, $"{path} is empty", Advice);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new UserError(ExitCode.Input, $"{path} does not exist", cause: e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new UserError(ExitCode.Input, $"{path} cannot be read: permission denied", cause: e);
        }
        catch (IOException e)
        {
            throw new UserError(ExitCode.Input, $"{path} cannot be read: {e.Message}", cause: e);
        }
    }

    // A word about what the file seems to be helps more than "unknown format".
    private static string Guess(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length >= 12 && bytes[4..8].SequenceEqual("ftyp"u8))
        {
            var brand = bytes[8..12];
            return brand.SequenceEqual("heic"u8) || brand.SequenceEqual("mif1"u8) || brand.SequenceEqual("avif"u8)
                ? " that can be read here (HEIC or AVIF)"
                : " but a video";
        }

        if (bytes.StartsWith("%PDF"u8))
        {
            return " but a PDF document";
        }

        var start = bytes[..Math.Min(bytes.Length, 512)];
        return start.IndexOfAnyInRange((byte)0, (byte)8) < 0 ? " but a text file" : " that can be read here";
    }

    private static Rgb8Image OverWhite(SKBitmap bitmap)
    {
        var result = new Rgb8Image(bitmap.Width, bitmap.Height);
        var source = bitmap.GetPixelSpan();
        for (var y = 0; y < result.Height; y++)
        {
            var from = source.Slice(y * bitmap.RowBytes, bitmap.Width * 4);
            var to = result.Row(y);
            for (var x = 0; x < bitmap.Width; x++)
            {
                int alpha = from[(x * 4) + 3];
                for (var c = 0; c < 3; c++)
                {
                    // Rounded to nearest: exact for opaque and for fully transparent pixels.
                    to[(x * 3) + c] = (byte)(((from[(x * 4) + c] * alpha) + (255 * (255 - alpha)) + 127) / 255);
                }
            }
        }

        return result;
    }

    // The eight orientations of EXIF: where the stored picture's first row and column are to be shown.
    private static Rgb8Image Orient(Rgb8Image image, SKEncodedOrigin origin)
    {
        if (origin is SKEncodedOrigin.TopLeft)
        {
            return image;
        }

        var swapped = origin is SKEncodedOrigin.LeftTop or SKEncodedOrigin.RightTop or SKEncodedOrigin.RightBottom or SKEncodedOrigin.LeftBottom;
        var result = swapped ? new Rgb8Image(image.Height, image.Width) : new Rgb8Image(image.Width, image.Height);
        var (right, bottom) = (image.Width - 1, image.Height - 1);
        for (var y = 0; y < result.Height; y++)
        {
            for (var x = 0; x < result.Width; x++)
            {
                var (sx, sy) = origin switch
                {
                    SKEncodedOrigin.TopRight => (right - x, y),
                    SKEncodedOrigin.BottomRight => (right - x, bottom - y),
                    SKEncodedOrigin.BottomLeft => (x, bottom - y),
                    SKEncodedOrigin.LeftTop => (y, x),
                    SKEncodedOrigin.RightTop => (y, bottom - x),
                    SKEncodedOrigin.RightBottom => (right - y, bottom - x),
                    _ => (right - y, x),
                };
                image[sx, sy].CopyTo(result[x, y]);
            }
        }

        return result;
    }
}
