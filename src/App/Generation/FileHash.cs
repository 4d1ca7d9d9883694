// The hash by which recipes know files.
using System.Security.Cryptography;

namespace FashionFlow.App.Generation;

/// <summary>SHA-256 in lower-case hexadecimal digits.</summary>
internal static class FileHash
{
    /// <summary>The hash of a file's bytes, read in pieces.</summary>
    /// <exception cref="UserError">The file cannot be read.</exception>
    public static string Compute(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            return Compute(stream);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Input, $"{path} cannot be read: {e.Message}", cause: e);
        }
    }

    /// <summary>The hash of what a stream still holds.</summary>
    public static string Compute(Stream stream) => Convert.ToHexStringLower(SHA256.HashData(stream));

    /// <summary>The hash of bytes in memory.</summary>
    public static string Compute(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
