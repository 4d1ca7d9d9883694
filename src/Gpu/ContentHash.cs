// The hash by which recipes, manifests and models know files.
using System.Security.Cryptography;

namespace FashionFlow.Gpu;

/// <summary>SHA-256 in lower-case hexadecimal digits.</summary>
public static class ContentHash
{
    /// <summary>The hash of a file's bytes, read in pieces.</summary>
    /// <exception cref="IOException">The file cannot be read; so says <see cref="UnauthorizedAccessException"/>.</exception>
    public static string Of(string path)
    {
        using var stream = File.OpenRead(path);
        return Of(stream);
    }

    /// <summary>The hash of what a stream still holds.</summary>
    public static string Of(Stream stream) => Convert.ToHexStringLower(SHA256.HashData(stream));

    /// <summary>The hash of bytes in memory.</summary>
    public static string Of(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
