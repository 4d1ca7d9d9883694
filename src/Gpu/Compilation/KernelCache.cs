// Compiled kernels on disk. An entry is named by the hash of all that made it and carries a checksum of its own, so that it is
// never stale, never half written, and a damaged one is only a reason to compile again.
using System.Security.Cryptography;

namespace FashionFlow.Gpu;

/// <summary>
/// The disk cache, in <c>$XDG_CACHE_HOME/fashionflow/kernels</c> (<c>~/.cache</c> without it). A directory that cannot be
/// written costs compiling again and nothing else. Several processes may use it at the same time.
/// </summary>
public sealed class KernelCache
{
    private static readonly TimeSpan AbandonedAfter = TimeSpan.FromHours(1);

    /// <summary>Uses a directory, which is made when the first entry is written.</summary>
    public KernelCache(string directory) => Directory = directory;

    /// <summary>The user's cache.</summary>
    public static KernelCache Default { get; } = new(DefaultDirectory());

    /// <summary>Where the entries lie.</summary>
    public string Directory { get; }

    private static ReadOnlySpan<byte> Magic => "FFKERN1\n"u8;

    /// <summary>Reads an entry; null where there is none or it is damaged.</summary>
    /// <param name="key">The hash of what made it, as a file name.</param>
    public byte[]? TryRead(string key)
    {
        try
        {
            var path = PathOf(key);
            if (!File.Exists(path))
            {
                return null;
            }

            var bytes = File.ReadAllBytes(path);
            var start = Magic.Length + SHA256.HashSizeInBytes;
            if (bytes.Length >= start
                && bytes.AsSpan().StartsWith(Magic)
                && SHA256.HashData(bytes.AsSpan(start)).AsSpan().SequenceEqual(bytes.AsSpan(Magic.Length, SHA256.HashSizeInBytes)))
            {
                return bytes[start..];
            }

            File.Delete(path);
            return null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Writes an entry, atomically: a reader sees all of it or nothing.</summary>
    /// <returns>Whether it was written.</returns>
    public bool TryWrite(string key, ReadOnlySpan<byte> image)
    {
        try
        {
            System.IO.Directory.CreateDirectory(Directory);
            DeleteAbandoned();
            byte[] entry = [.. Magic, .. SHA256.HashData(image), .. image];
            AtomicFile.Write(PathOf(key), file => file.Write(entry));
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static string DefaultDirectory()
    {
        var root = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        // The specification says: a relative path is to be ignored.
        if (string.IsNullOrEmpty(root) || !Path.IsPathRooted(root))
        {
            var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            root = string.IsNullOrEmpty(home) ? Path.GetTempPath() : Path.Combine(home, ".cache");
        }

        return Path.Combine(root, "fashionflow", "kernels");
    }

    private string PathOf(string key) => Path.Combine(Directory, key);

    private void DeleteAbandoned()
    {
        foreach (var file in System.IO.Directory.EnumerateFiles(Directory, "*" + AtomicFile.TemporaryExtension))
        {
            if (DateTime.UtcNow - File.GetLastWriteTimeUtc(file) > AbandonedAfter)
            {
                TryDelete(file);
            }
        }
    }

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Another writer tries it again.
        }
    }
}
