// Three numbers: a direction in the room, or a colour as red, green and blue from 0 to 1.
using System.Globalization;

namespace FashionFlow.App.Garments;

/// <summary>Three numbers.</summary>
internal readonly record struct Vector(double X, double Y, double Z)
{
    public static Vector operator +(Vector a, Vector b) => new(a.X + b.X, a.Y + b.Y, a.Z + b.Z);

    public static Vector operator *(Vector a, double s) => new(a.X * s, a.Y * s, a.Z * s);

    /// <summary>The colour of hue, saturation and lightness, each from 0 to 1; rounded to eight bits a channel, so that files can hold it.</summary>
    // CSS Color Module Level 4, section 7.1.
    public static Vector FromHsl(double hue, double saturation, double lightness)
    {
        var chroma = saturation * Math.Min(lightness, 1 - lightness);
        return new(Channel(0) / 255.0, Channel(8) / 255.0, Channel(4) / 255.0);

        byte Channel(int n)
        {
            var k = (n + (hue * 12)) % 12;
            return ToByte(lightness - (chroma * Math.Max(-1, Math.Min(Math.Min(k - 3, 9 - k), 1))));
        }
    }

    /// <summary>The colour of "#rrggbb".</summary>
    /// <exception cref="FormatException">The text is none.</exception>
    public static Vector FromHex(string text) => text is ['#', .. { Length: 6 } digits]
        ? new(Byte(digits[..2]), Byte(digits[2..4]), Byte(digits[4..]))
        : throw new FormatException($"'{text}' is no colour: it must be #rrggbb");

    /// <summary>The colour as "#rrggbb".</summary>
    public string ToHex() => $"#{ToByte(X):x2}{ToByte(Y):x2}{ToByte(Z):x2}";

    /// <summary>The inner product.</summary>
    public double Dot(Vector other) => (X * other.X) + (Y * other.Y) + (Z * other.Z);

    /// <summary>The vector of length 1 in the same direction.</summary>
    public Vector Unit() => this * (1 / Math.Sqrt(Dot(this)));

    /// <summary>This vector at 0, <paramref name="other"/> at 1.</summary>
    public Vector Mix(Vector other, double share) => (this * (1 - share)) + (other * share);

    /// <summary>A channel in eight bits.</summary>
    public static byte ToByte(double value) => (byte)Math.Round(Math.Clamp(value, 0, 1) * 255);

    private static double Byte(string digits) => byte.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) / 255.0;
}
