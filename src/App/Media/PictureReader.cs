// From a picture file to RGB bytes: any common format, turned upright, laid over white.
using FashionFlow.App.Generation;
using FashionFlow.Diffusion.Preprocessing;
using SkiaSharp;

namespace FashionFlow.App.Media;

/// <summary>A picture as it was found.</summary>
/// <param name="Image">Its pixels.</param>
/// <param name="Sha256">The hash of the file that it was read from, in lower-case hexadecimal digits.</param>
internal sealed record SourcePicture(Rgb8Image Image, string Sha256);

/// <summary>
/// Reads pictures through SkiaSharp's codecs: JPEG, PNG, WebP, BMP, GIF; of an animation or a video one frame.
/// </summary>
internal static class PictureReader
{
    /// <summary>Most pixels that are read: a 16,384 x 16,384 picture. A small file can claim any size.</summary>
    public const long MaxPixels = 1L << 28;

    /// <summary>The largest picture file that is read, in bytes: 512 MiB. A device file has no end.</summary>
    public const int MaxFileBytes = 1 << 29;

    private const string Advice = "give a JPEG, PNG, WebP, BMP or GIF file, or a video";

    /// <summary>The extensions by which pictures are found in a folder.</summary>
    public static IReadOnlyList<string> Extensions { get; } = [".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"];

    /// <summary>
    /// Reads a picture. EXIF orientation is applied, transparency is laid over white, grey and CMYK become RGB; embedded colour
    /// profiles are not applied, as in the reference.
    /// </summary>
    /// <param name="path">A file, or a pipe.</param>
    /// <param name="frame">Which frame of an animation or video, from 0; a still picture has frame 0 alone.</param>
    /// <exception cref="UserError">The file is missing, unreadable, not a picture, cut short or too large, or has no such frame.</exception>
    public static SourcePicture Read(string path, int frame = 0)
    {
        var (bytes, hash, isVideo) = ReadFile(path);
        return new SourcePicture(isVideo ? Decode(VideoFrameReader.ReadPng(path, frame), path, 0) : Decode(bytes, path, frame), hash);
    }

    private static Rgb8Image Decode(byte[] bytes, string path, int frame)
    {
        using var data = SKData.CreateCopy(bytes);
        using var codec = SKCodec.Create(data);
        if (codec is null)
        {
            throw new UserError(ExitCode.Input, $"{path} is not a picture{Guess(bytes)}", Advice);
        }

        var info = codec.Info;
        if (info.Width <= 0 || info.Height <= 0 || (long)info.Width * info.Height > MaxPixels)
        {
            throw new UserError(ExitCode.Input, $"{path} is too large: {info.Width} x {info.Height} pixels, at most {MaxPixels:N0} in all");
        }

        // Skia counts no frames in a format that has one alone.
        var frames = Math.Max(codec.FrameCount, 1);
        if (frame >= frames)
        {
            throw new UserError(
                ExitCode.Input,
                frames == 1 ? $"{path} is a still picture and has no frame {frame}" : $"{path} has no frame {frame}: it has {frames}",
                frames == 1 ? "leave --input-frame out" : $"--input-frame takes 0 to {frames - 1} here");
        }

        using var bitmap = new SKBitmap(new SKImageInfo(info.Width, info.Height, SKColorType.Rgba8888, SKAlphaType.Unpremul));
        switch (codec.GetPixels(bitmap.Info, bitmap.GetPixels(), new SKCodecOptions(frame)))
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

    // A video's bytes are only hashed: ffmpeg reads it by its name.
    private static (byte[] Bytes, string Sha256, bool IsVideo) ReadFile(string path)
    {
        if (Directory.Exists(path))
        {
            throw new UserError(ExitCode.Input, $"{path} is a folder, not a picture", Advice);
        }

        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 1 << 16);
            var head = new byte[VideoFrameReader.HeadBytes];
            var length = stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
            if (length == 0)
            {
                throw new UserError(ExitCode.Input, $"{path} is empty", Advice);
            }

            if (VideoFrameReader.IsVideo(head.AsSpan(0, length)))
            {
                if (!stream.CanSeek)
                {
                    throw new UserError(ExitCode.Input, $"{path} is a pipe, and a video must be a file", "write it to a file first");
                }

                stream.Position = 0;
                return ([], FileHash.Compute(stream), IsVideo: true);
            }

            using var bytes = new MemoryStream();
            bytes.Write(head, 0, length);
            var buffer = new byte[1 << 16];
            while (stream.Read(buffer) is > 0 and var read)
            {
                bytes.Write(buffer, 0, read);
                if (bytes.Length > MaxFileBytes)
                {
                    throw new UserError(ExitCode.Input, $"{path} has more than {MaxFileBytes >> 20} MiB; that is no picture", Advice);
                }
            }

            return (bytes.ToArray(), FileHash.Compute(bytes.GetBuffer().AsSpan(0, (int)bytes.Length)), IsVideo: false);
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
            return " that can be read here (HEIC or AVIF)";
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
