// Pictures drawn for tests, in every format that is read.
using SkiaSharp;

namespace FashionFlow.App.Tests;

/// <summary>Draws and encodes.</summary>
internal static class TestPictures
{
    /// <summary>A picture with shapes and gradients: it decodes to something that is not flat.</summary>
    public static SKBitmap Draw(int width, int height)
    {
        var bitmap = new SKBitmap(new SKImageInfo(width, height, SKColorType.Rgba8888, SKAlphaType.Premul));
        using var canvas = new SKCanvas(bitmap);
        using var paint = new SKPaint { IsAntialias = true };
        paint.Shader = SKShader.CreateLinearGradient(
            new SKPoint(0, 0), new SKPoint(width, height), [SKColors.BurlyWood, SKColors.MidnightBlue], SKShaderTileMode.Clamp);
        canvas.DrawRect(0, 0, width, height, paint);
        paint.Shader = null;
        paint.Color = SKColors.Crimson;
        canvas.DrawOval(width * 0.5f, height * 0.45f, width * 0.2f, height * 0.3f, paint);
        return bitmap;
    }

    public static byte[] Encode(SKBitmap bitmap, SKEncodedImageFormat format, int quality = 95)
    {
        using var data = bitmap.Encode(format, quality);
        return data.ToArray();
    }

    /// <summary>Writes a drawn JPEG or PNG, by the name's extension.</summary>
    public static string Write(string path, int width = 64, int height = 80)
    {
        using var bitmap = Draw(width, height);
        File.WriteAllBytes(path, Encode(bitmap, path.EndsWith(".png", StringComparison.Ordinal) ? SKEncodedImageFormat.Png : SKEncodedImageFormat.Jpeg));
        return path;
    }

    /// <summary>Puts an EXIF orientation into a JPEG (Exif 2.3, 4.5.4 and 4.6.4: APP1, a TIFF header, one short of tag 0x0112).</summary>
    public static byte[] WithOrientation(byte[] jpeg, byte orientation)
    {
        byte[] segment =
        [
            0xFF, 0xE1, 0, 34, (byte)'E', (byte)'x', (byte)'i', (byte)'f', 0, 0,
            (byte)'M', (byte)'M', 0, 42, 0, 0, 0, 8,
            0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0,
        ];
        return [.. jpeg[..2], .. segment, .. jpeg[2..]];
    }

    /// <summary>An uncompressed 24-bit BMP, rows from the bottom.</summary>
    public static byte[] Bmp(int width, int height, byte red, byte green, byte blue)
    {
        var stride = (width * 3 + 3) / 4 * 4;
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write("BM"u8);
        writer.Write(54 + (stride * height));
        writer.Write(0);
        writer.Write(54);
        writer.Write(40);
        writer.Write(width);
        writer.Write(height);
        writer.Write((short)1);
        writer.Write((short)24);
        writer.Write(new byte[24]);
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++)
            {
                writer.Write([blue, green, red]);
            }

            writer.Write(new byte[stride - (width * 3)]);
        }

        return stream.ToArray();
    }

    /// <summary>A GIF of 1 x 1 pixels with two frames, the first red, the second blue (GIF89a).</summary>
    public static byte[] TwoFrameGif() =>
    [
        .. "GIF89a"u8, 1, 0, 1, 0, 0x80, 0, 0, 255, 0, 0, 0, 0, 255,
        0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 0x01, 0,
        0x2C, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x4C, 0x01, 0, 0x3B,
    ];
}
