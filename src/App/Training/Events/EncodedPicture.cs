// What an event must say of a picture beside its bytes, read from the start of a PNG or GIF file.
using System.Buffers.Binary;

namespace FashionFlow.App.Training.Events;

/// <summary>Size and colours of an encoded picture.</summary>
/// <param name="Width">Pixels a row.</param>
/// <param name="Height">Rows.</param>
/// <param name="Channels">1 grayscale, 2 with alpha, 3 RGB, 4 with alpha; palettes count as RGB.</param>
internal readonly record struct EncodedPicture(int Width, int Height, int Channels)
{
    private static ReadOnlySpan<byte> PngSignature => [0x89, (byte)'P', (byte)'N', (byte)'G', (byte)'\r', (byte)'\n', 0x1A, (byte)'\n'];

    /// <summary>Reads the first bytes of a PNG (W3C PNG, 11.2.2) or GIF file (GIF89a, 18).</summary>
    /// <exception cref="ArgumentException">The bytes are neither.</exception>
    public static EncodedPicture Read(ReadOnlySpan<byte> file)
    {
        const int PngHeaderBytes = 26;
        const int GifHeaderBytes = 10;
        if (file.Length >= PngHeaderBytes && file.StartsWith(PngSignature))
        {
            var channels = file[25] switch { 0 => 1, 4 => 2, 6 => 4, _ => 3 };
            return new(BinaryPrimitives.ReadInt32BigEndian(file[16..]), BinaryPrimitives.ReadInt32BigEndian(file[20..]), channels);
        }

        if (file.Length >= GifHeaderBytes && (file.StartsWith("GIF89a"u8) || file.StartsWith("GIF87a"u8)))
        {
            return new(BinaryPrimitives.ReadUInt16LittleEndian(file[6..]), BinaryPrimitives.ReadUInt16LittleEndian(file[8..]), 3);
        }

        throw new ArgumentException($"{file.Length} bytes are neither a PNG nor a GIF file", nameof(file));
    }
}
