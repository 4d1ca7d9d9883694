// A file that appears whole or not at all: written under a temporary name beside its target, flushed, then renamed.
namespace FashionFlow.App.Media;

/// <summary>
/// An output in the making. It is made at once, so that a folder without write permission is reported before hours of work;
/// unless <see cref="Commit"/> is reached, nothing of it is left, also when the program is stopped.
/// </summary>
internal sealed class PendingFile : IDisposable
{
    private static readonly Lock Gate = new();
    private static readonly HashSet<string> Pending = [];
    private readonly string _target;
    private bool _committed;

    /// <summary>Makes the empty temporary file.</summary>
    /// <exception cref="UserError">The target is a folder, its folder does not exist, or cannot be written to.</exception>
    public PendingFile(string target)
    {
        Check(target);
        _target = target;
        var full = System.IO.Path.GetFullPath(target);
        // The extension stays, for writers that choose their format by it.
        Path = System.IO.Path.Combine(
            System.IO.Path.GetDirectoryName(full)!,
            $".{System.IO.Path.GetFileNameWithoutExtension(full)}.{Environment.ProcessId}.part{System.IO.Path.GetExtension(full)}");
        try
        {
            lock (Gate)
            {
                using (File.Create(Path))
                {
                    Pending.Add(Path);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failure(e);
        }
    }

    /// <summary>Where to write.</summary>
    public string Path { get; }

    /// <summary>Refuses a target that cannot become a file, without touching the disk.</summary>
    public static void Check(string target)
    {
        if (Directory.Exists(target))
        {
            throw new UserError(ExitCode.Output, $"{target} is a folder; the output must be a file");
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
            foreach (var path in Pending)
            {
                File.Delete(path);
            }

            Pending.Clear();
        }
    }

    /// <summary>Flushes the temporary file to the disk and gives it its name, replacing a file of that name.</summary>
    public void Commit()
    {
        try
        {
            using (var file = new FileStream(Path, FileMode.Open, FileAccess.ReadWrite))
            {
                file.Flush(flushToDisk: true);
            }

            lock (Gate)
            {
                File.Move(Path, _target, overwrite: true);
                _committed = true;
                Pending.Remove(Path);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failure(e);
        }
    }

    /// <summary>Deletes the temporary file unless it was committed.</summary>
    public void Dispose()
    {
        if (!_committed)
        {
            lock (Gate)
            {
                File.Delete(Path);
                Pending.Remove(Path);
            }
        }
    }

    private UserError Failure(Exception e) => new(ExitCode.Output, $"{_target} cannot be written: {Reason(e)}", cause: e);

    private static string Reason(Exception e) => e is UnauthorizedAccessException ? "permission denied in its folder" : e.Message;
}
