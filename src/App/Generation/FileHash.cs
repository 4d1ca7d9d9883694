// The hash by which recipes know files.
using FashionFlow.Gpu;

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
            return ContentHash.Of(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Input, $"{path} cannot be read: {e.Message}", cause: e);
        }
    }

    /// <summary>The hash of what a stream still holds.</summary>
    public static string Compute(Stream stream) => ContentHash.Of(stream);

    /// <summary>The hash of bytes in memory.</summary>
    public static string Compute(ReadOnlySpan<byte> bytes) => ContentHash.Of(bytes);
}
