// A file as memory: the system reads the pages that are looked at, and no copy of the file is made.
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// A file mapped for reading. It must not be shortened while it is open: Windows forbids that, but on Unix the system ends a
/// program that reads a mapped page which is gone (SIGBUS), and no check here could prevent it.
/// </summary>
internal sealed unsafe partial class MappedFile : IDisposable
{
    // <sys/mman.h>
    private const int DontNeed = 4;

    private readonly MemoryMappedFile? _file;
    private readonly MemoryMappedViewAccessor? _view;
    private byte* _data;
    private bool _isOpen = true;

    private MappedFile(MemoryMappedFile? file, MemoryMappedViewAccessor? view, long length)
    {
        (_file, _view, Length) = (file, view, length);
        if (view is not null)
        {
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref _data);
            _data += view.PointerOffset;
        }
    }

    /// <summary>The file's size in bytes.</summary>
    public long Length { get; }

    /// <summary>Maps a file. An empty one is mapped to nothing.</summary>
    /// <exception cref="IOException">It is not there or cannot be read; so say <see cref="UnauthorizedAccessException"/> and <see cref="NotSupportedException"/>.</exception>
    public static MappedFile Open(string path)
    {
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        var length = stream.Length;
        if (length == 0)
        {
            return new MappedFile(null, null, 0);
        }

        var file = MemoryMappedFile.CreateFromFile(stream, mapName: null, capacity: 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
        try
        {
            return new MappedFile(file, file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read), length);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Maps a file and reads what is in it; if that fails, it is closed.</summary>
    /// <param name="path">The file.</param>
    /// <param name="read">Makes what owns the file from now on.</param>
    /// <param name="failure">The format's error for a file that cannot be opened.</param>
    public static T Open<T>(string path, Func<MappedFile, T> read, Func<string, Exception, WeightFileException> failure)
    {
        MappedFile file;
        try
        {
            file = Open(path);
        }
        catch (Exception e) when (IsFileError(e))
        {
            throw failure(Describe(e), e);
        }

        try
        {
            return read(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Whether an error of <see cref="Open(string)"/> is the file's and not the program's.</summary>
    public static bool IsFileError(Exception error) => error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException;

    /// <summary>What such an error says, for a message that names the file.</summary>
    public static string Describe(Exception error) => error is FileNotFoundException or DirectoryNotFoundException ? "there is no such file" : $"cannot be read: {error.Message}";

    /// <summary>Some of the file's bytes; valid until disposal.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The file does not have these bytes.</exception>
    public ReadOnlySpan<byte> Slice(long start, int length)
    {
        ObjectDisposedException.ThrowIf(!_isOpen, this);
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length - start);
        return new ReadOnlySpan<byte>(_data + start, length);
    }

    /// <summary>The address of a byte, for questions of alignment.</summary>
    public nuint AddressOf(long start)
    {
        ObjectDisposedException.ThrowIf(!_isOpen, this);
        return (nuint)(_data + start);
    }

    /// <summary>
    /// Lets go of pages that were read, so that a program which goes through a large file once does not hold all of it. They are
    /// read again where somebody looks at them again. Only Linux does it; elsewhere nothing happens.
    /// </summary>
    public void Release(long start, long length)
    {
        ObjectDisposedException.ThrowIf(!_isOpen, this);
        if (!OperatingSystem.IsLinux() || _data is null)
        {
            return;
        }

        // Whole pages alone: those at the ends may be another's too.
        var page = (nuint)Environment.SystemPageSize;
        var first = ((nuint)(_data + start) + page - 1) / page * page;
        var last = (nuint)(_data + start + length) / page * page;
        if (last > first)
        {
            _ = Advise(first, last - first, DontNeed);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_isOpen)
        {
            return;
        }

        _isOpen = false;
        _data = null;
        _view?.SafeMemoryMappedViewHandle.ReleasePointer();
        _view?.Dispose();
        _file?.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(nuint address, nuint length, int advice);
}
