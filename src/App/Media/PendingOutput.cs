// An output that appears whole or not at all: made under a temporary name beside its target, flushed, then renamed.
using System.Diagnostics;
using System.Globalization;
using FashionFlow.Gpu;

namespace FashionFlow.App.Media;

/// <summary>
/// A file or folder in the making. It is made at once, so that a place without write permission is reported before hours of
/// work; unless <see cref="Commit"/> is reached, nothing of it is left, also when the program is stopped.
/// </summary>
internal sealed class PendingOutput : IDisposable
{
    private static readonly Lock Gate = new();
    private static readonly HashSet<PendingOutput> Pending = [];
    private static readonly List<string> Written = [];
    private readonly bool _isFolder;
    private readonly bool _overwrite;
    private readonly bool _isOwn;
    private bool _committed;

    private PendingOutput(string target, bool isFolder, bool overwrite, bool isOwn = false)
    {
        (Target, _isFolder, _overwrite, _isOwn) = (target, isFolder, overwrite, isOwn);
        CheckTarget();
        var full = System.IO.Path.GetFullPath(target);
        var (start, end) = TemporaryName(full);
        Path = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(full)!, $"{start}{Environment.ProcessId}{end}");
        try
        {
            lock (Gate)
            {
                if (isFolder)
                {
                    Directory.CreateDirectory(Path);
                }
                else
                {
                    System.IO.File.Create(Path).Dispose();
                }

                Pending.Add(this);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failure(e);
        }
    }

    /// <summary>The targets that were committed in this process, in order.</summary>
    public static IReadOnlyList<string> Committed
    {
        get
        {
            lock (Gate)
            {
                return [.. Written];
            }
        }
    }

    /// <summary>Where the output will be.</summary>
    public string Target { get; }

    /// <summary>Where to write.</summary>
    public string Path { get; }

    /// <summary>Makes an empty temporary file.</summary>
    /// <param name="target">The file's path to be.</param>
    /// <param name="overwrite">Whether what is there may be replaced.</param>
    /// <exception cref="UserError">The target exists and is to be kept, or its place cannot be written to.</exception>
    public static PendingOutput File(string target, bool overwrite) => new(target, isFolder: false, overwrite);

    /// <summary>Makes an empty temporary folder.</summary>
    /// <inheritdoc cref="File"/>
    public static PendingOutput Folder(string target, bool overwrite) => new(target, isFolder: true, overwrite);

    /// <summary>Makes an empty temporary folder whose target, a name in a folder that is the program's own, is replaced whatever it holds.</summary>
    /// <inheritdoc cref="File"/>
    public static PendingOutput OwnFolder(string target) => new(target, isFolder: true, overwrite: true, isOwn: true);

    /// <summary>Deletes what killed processes left unfinished in a folder that is this process's own.</summary>
    public static void DeleteLeftovers(string folder)
    {
        foreach (var path in Unfinished(folder))
        {
            TryDelete(path);
        }
    }

    /// <summary>Deletes what processes that are no more left unfinished of an output.</summary>
    /// <param name="target">The output's path.</param>
    public static void DeleteLeftoversOf(string target)
    {
        var full = System.IO.Path.GetFullPath(target);
        var (start, end) = TemporaryName(full);
        foreach (var path in Unfinished(System.IO.Path.GetDirectoryName(full)!))
        {
            var name = System.IO.Path.GetFileName(path);
            if (name.Length > start.Length + end.Length
                && name.StartsWith(start, StringComparison.Ordinal)
                && name.EndsWith(end, StringComparison.Ordinal)
                && int.TryParse(name.AsSpan(start.Length..^end.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var process)
                && !IsRunning(process))
            {
                TryDelete(path);
            }
        }
    }

    /// <summary>Takes back an output that served its turn: deletes it, if it is there.</summary>
    public static void TakeBack(string target)
    {
        lock (Gate)
        {
            System.IO.File.Delete(target);
            Written.Remove(target);
        }
    }

    /// <summary>Writes a whole file.</summary>
    /// <exception cref="UserError">It cannot be written.</exception>
    public static void WriteFile(string target, bool overwrite, Action<Stream> write)
    {
        using var pending = File(target, overwrite);
        pending.Fill(write);
        pending.Commit();
    }

    /// <summary>Refuses a target that cannot become an output, without touching the disk.</summary>
    /// <exception cref="UserError">It exists and is to be kept, or its folder does not exist.</exception>
    public static void Check(string target, bool isFolder, bool overwrite)
    {
        if (Directory.Exists(target))
        {
            if (!isFolder)
            {
                throw new UserError(ExitCode.Output, $"{target} is a folder; the output must be a file");
            }

            if (!FrameFolderWriter.IsFrameFolder(target))
            {
                throw new UserError(ExitCode.Output, $"{target} is a folder that holds more than a video's frames; it is kept", "give another --output");
            }
        }
        else if (isFolder && System.IO.Path.Exists(target))
        {
            throw new UserError(ExitCode.Output, $"{target} is a file; the output must be a folder");
        }

        if (!overwrite && System.IO.Path.Exists(target))
        {
            throw new UserError(ExitCode.Output, $"{target} exists and is kept", "give another --output, or replace it with --overwrite");
        }

        var folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(target))!;
        if (!Directory.Exists(folder))
        {
            throw new UserError(ExitCode.Output, $"the folder of {target} does not exist", $"make it first: mkdir -p '{folder}'");
        }
    }

    /// <summary>Deletes what is unfinished: the last act of a program that is stopped a second time.</summary>
    public static void DeleteAll()
    {
        lock (Gate)
        {
            foreach (var output in Pending)
            {
                output.Delete();
            }

            Pending.Clear();
        }
    }

    /// <summary>Makes the folder of outputs, and those above it, where there is none.</summary>
    /// <exception cref="UserError">It cannot be made.</exception>
    public static void MakeFolder(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Output, $"the folder {folder} cannot be made: {Reason(e)}", cause: e);
        }
    }

    /// <summary>Writes the temporary file.</summary>
    /// <exception cref="UserError">It cannot be written.</exception>
    public void Fill(Action<Stream> write) => FillAt(Path, write);

    /// <summary>Writes a file into the temporary folder.</summary>
    /// <exception cref="UserError">It cannot be written.</exception>
    public void FillMember(string name, Action<Stream> write) => FillAt(System.IO.Path.Combine(Path, name), write);

    // What stands around the number of the process that writes. The extension stays, for writers that choose their format by it.
    private static (string Start, string End) TemporaryName(string target)
        => ($".{System.IO.Path.GetFileNameWithoutExtension(target)}.", $".part{System.IO.Path.GetExtension(target)}");

    private static List<string> Unfinished(string folder) => Directory.Exists(folder)
        ? [.. Directory.EnumerateFileSystemEntries(folder, ".*.part*", new EnumerationOptions { AttributesToSkip = FileAttributes.None })]
        : [];

    private static void TryDelete(string path)
    {
        try
        {
            if (Directory.Exists(path))
            {
                Directory.Delete(path, recursive: true);
            }
            else
            {
                System.IO.File.Delete(path);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }

    private static bool IsRunning(int process)
    {
        try
        {
            using var running = Process.GetProcessById(process);
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }

    private void CheckTarget()
    {
        if (!_isOwn || !Directory.Exists(Target))
        {
            Check(Target, _isFolder, _overwrite);
        }
    }

    private void FillAt(string path, Action<Stream> write)
    {
        try
        {
            using var stream = System.IO.File.Create(path);
            write(stream);
        }
        catch (Exception e) when (IsFailure(e))
        {
            throw Failure(e);
        }
    }

    /// <summary>Flushes the output to the disk and gives it its name.</summary>
    /// <exception cref="UserError">It cannot be written, or another program has made the target meanwhile.</exception>
    public void Commit()
    {
        try
        {
            foreach (var path in _isFolder ? Directory.EnumerateFiles(Path) : [Path])
            {
                using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
                file.Flush(flushToDisk: true);
            }

            lock (Gate)
            {
                CheckTarget();
                if (_isFolder)
                {
                    ReplaceFolder();
                }
                else
                {
                    System.IO.File.Move(Path, Target, _overwrite);
                }

                AtomicFile.SyncFolder(System.IO.Path.GetDirectoryName(Path)!);

                _committed = true;
                Pending.Remove(this);
                Written.Remove(Target);
                Written.Add(Target);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failure(e);
        }
    }

    /// <summary>Deletes the temporary output unless it was committed.</summary>
    public void Dispose()
    {
        if (!_committed)
        {
            lock (Gate)
            {
                Delete();
                Pending.Remove(this);
            }
        }
    }

    /// <summary>Whether an exception of a stream means that it cannot be written: .NET makes an argument's error of EFBIG.</summary>
    public static bool IsFailure(Exception e) => e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException { ParamName: "value" };

    /// <summary>The error for an output that cannot be written.</summary>
    public UserError Failure(Exception e) => new(ExitCode.Output, $"{Target} cannot be written: {Reason(e)}", cause: e);

    // "No space left on device : '/long/path'": the path is a temporary one, and the target is named already.
    private static string Reason(Exception e) => e switch
    {
        UnauthorizedAccessException => "permission denied in its folder",
        ArgumentOutOfRangeException => "the system takes no file so large",
        _ => e.Message.IndexOf(" : '", StringComparison.Ordinal) is > 0 and var end ? e.Message[..end] : e.Message,
    };

    // A folder cannot take another's place in one step: the old one is moved aside, and back if the new one does not come.
    private void ReplaceFolder()
    {
        var old = $"{Path}.old";
        var replaces = Directory.Exists(Target);
        if (replaces)
        {
            Directory.Move(Target, old);
        }

        try
        {
            Directory.Move(Path, Target);
        }
        catch when (replaces)
        {
            Directory.Move(old, Target);
            throw;
        }

        if (replaces)
        {
            Directory.Delete(old, recursive: true);
        }
    }

    private void Delete()
    {
        if (!_isFolder)
        {
            System.IO.File.Delete(Path);
        }
        else if (Directory.Exists(Path))
        {
            Directory.Delete(Path, recursive: true);
        }
    }
}
