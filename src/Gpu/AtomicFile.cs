// Writing a file so that its name shows either what was there before or all of the new contents, whatever happens.
using System.Runtime.InteropServices;

namespace FashionFlow.Gpu;

/// <summary>Atomic replacement of files.</summary>
public static partial class AtomicFile
{
    /// <summary>How the names of unfinished files end; what a killed process leaves can be found by it.</summary>
    public const string TemporaryExtension = ".tmp";

    /// <summary>
    /// Writes a file under a temporary name beside the target, flushes it to the disk, renames it to the target and flushes the
    /// folder. If <paramref name="write"/> or the renaming fails, the temporary file is deleted and the target is left as it was.
    /// </summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        var target = Path.GetFullPath(path);
        var temporary = $"{target}.{Guid.NewGuid():N}{TemporaryExtension}";
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
            TryDelete(temporary);
            throw;
        }

        SyncFolder(Path.GetDirectoryName(target)!);
    }

    /// <summary>
    /// Brings a folder's names to the disk: without that, a rename may be forgotten when the power fails, though the file's
    /// contents are safe. It never fails. Some file systems cannot do it (EINVAL), a folder that may be written to but not read
    /// cannot be opened for it, Windows has no such call, and none of these makes what was written less whole.
    /// </summary>
    public static void SyncFolder(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        // .NET opens no folder, and flushes only what it has opened.
        var descriptor = Posix.Open(folder, Posix.ReadOnly);
        if (descriptor >= 0)
        {
            _ = Posix.Sync(descriptor);
            _ = Posix.Close(descriptor);
        }
    }

    // The error that made it necessary says more than one about this.
    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
        }
    }

    private static partial class Posix
    {
        /// <summary>O_RDONLY, 0 on every Unix.</summary>
        public const int ReadOnly = 0;

        // open is variadic in C: the third argument, which only creating needs, is left out, and the others are passed alike.
        [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
        public static partial int Open(string path, int flags);

        [LibraryImport("libc", EntryPoint = "fsync")]
        public static partial int Sync(int descriptor);

        [LibraryImport("libc", EntryPoint = "close")]
        public static partial int Close(int descriptor);
    }
}
