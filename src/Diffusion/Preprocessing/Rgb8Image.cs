// A picture in host memory: what media decoders give, resamplers take and video encoders are fed with.
namespace FashionFlow.Diffusion.Preprocessing;

/// <summary>An 8-bit RGB picture, rows from the top, three interleaved bytes a pixel, no padding between rows.</summary>
public sealed class Rgb8Image
{
    /// <summary>Makes a black picture.</summary>
    /// <exception cref="ArgumentException">A side is not positive, or the picture passes 2^31 bytes.</exception>
    public Rgb8Image(int width, int height)
        : this(width, height, new byte[ByteCount(width, height)])
    {
    }

    /// <summary>Wraps <paramref name="data"/> without copying it.</summary>
    /// <exception cref="ArgumentException">A side is not positive, or the bytes are not width x height x 3.</exception>
    public Rgb8Image(int width, int height, byte[] data)
    {
        if (data.Length != ByteCount(width, height))
        {
            throw new ArgumentException($"A {width}x{height} picture has {ByteCount(width, height)} bytes, not {data.Length}.", nameof(data));
        }

        Width = width;
        Height = height;
        Data = data;
    }

    /// <summary>Pixels a row.</summary>
    public int Width { get; }

    /// <summary>Rows.</summary>
    public int Height { get; }

    /// <summary>The bytes: [height, width, 3].</summary>
    public byte[] Data { get; }

    /// <summary>The three bytes of a pixel.</summary>
    public Span<byte> this[int x, int y]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)x, (uint)Width, nameof(x));
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)y, (uint)Height, nameof(y));
            return Data.AsSpan(((y * Width) + x) * 3, 3);
        }
    }

    /// <summary>One row's bytes.</summary>
    public Span<byte> Row(int y) => Data.AsSpan(y * Width * 3, Width * 3);

    /// <summary>A copy of the rectangle; it must lie within the picture.</summary>
    /// <exception cref="ArgumentException">It does not.</exception>
    public Rgb8Image Crop(int left, int top, int width, int height)
    {
        if (left < 0 || top < 0 || width <= 0 || height <= 0 || left > Width - width || top > Height - height)
        {
            throw new ArgumentException($"The rectangle {width}x{height} at {left},{top} does not lie within the {Width}x{Height} picture.");
        }

        var result = new Rgb8Image(width, height);
        for (var y = 0; y < height; y++)
        {
            Row(top + y).Slice(left * 3, width * 3).CopyTo(result.Row(y));
        }

        return result;
    }

    private static int ByteCount(int width, int height)
    {
        if (width <= 0 || height <= 0 || (long)width * height * 3 > Array.MaxLength)
        {
            throw new ArgumentException($"A picture cannot be {width}x{height}.");
        }

        return width * height * 3;
    }
}
