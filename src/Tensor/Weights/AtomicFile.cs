// Writing a file so that its name shows either what was there before or all of the new contents, whatever happens.
namespace FashionFlow.Tensors.Weights;

/// <summary>Atomic replacement of files.</summary>
public static class AtomicFile
{
    /// <summary>
    /// Writes a file under a temporary name beside the target, flushes it to the disk, and renames it to the target. If
    /// <paramref name="write"/> fails, the temporary file is deleted and the target is left as it was.
    /// </summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        var target = Path.GetFullPath(path);
        var temporary = $"{target}.{Guid.NewGuid():N}.tmp";
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 1 << 16))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, target, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }
}
