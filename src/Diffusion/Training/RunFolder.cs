// A training run's folder: one process at a time works in it.
using System.Globalization;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// The folder of a run, locked while this lives: <c>training.json</c> (everything in force), <c>checkpoints/</c>,
/// <c>events/</c> (TensorBoard), <c>samples/</c>, <c>model/</c> (what <c>generate --model</c> takes, written at the end). The
/// lock is the operating system's: it ends with the process, however that ends. A run that was given up before its settings were
/// written leaves nothing behind.
/// </summary>
public sealed class RunFolder : IDisposable
{
    /// <summary>The file that everything in force is written to.</summary>
    public const string SettingsName = "training.json";

    private const string LockName = "run.lock";

    // Beside the lock, since .NET lets nobody read a file that is locked.
    private const string OwnerName = "run.pid";

    private readonly FileStream _lock;
    private readonly List<string> _made;

    private RunFolder(string path, FileStream held, List<string> made)
    {
        Path = path;
        _lock = held;
        _made = made;
    }

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <summary>The settings' file.</summary>
    public string Settings => In(SettingsName);

    /// <summary>Where checkpoints are.</summary>
    public string Checkpoints => In("checkpoints");

    /// <summary>Where TensorBoard's event files are.</summary>
    public string Events => In("events");

    /// <summary>The curves as a picture, drawn at the end.</summary>
    public string Curves => In("curves.png");

    /// <summary>Where sampled videos are.</summary>
    public string Samples => In("samples");

    /// <summary>Where the finished model is.</summary>
    public string Model => In("model");

    /// <summary>Makes the folder if it is not there, and locks it.</summary>
    /// <exception cref="ModelException">Another process has it, or it cannot be written.</exception>
    public static RunFolder Open(string path)
    {
        var made = Missing(path);
        try
        {
            Directory.CreateDirectory(path);
            var held = Lock(path);
            try
            {
                File.WriteAllText(System.IO.Path.Combine(path, OwnerName), Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
                return new RunFolder(path, held, made);
            }
            catch
            {
                held.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            DeleteEmpty(made);
            throw new ModelException($"{path} cannot be written: {e.Message}", e);
        }
    }

    /// <summary>
    /// Gives the lock back. Its file stays, since deleting it could take the lock of whoever comes next; but where no run began it
    /// goes, with the folders that were made for it.
    /// </summary>
    public void Dispose()
    {
        try
        {
            if (!File.Exists(Settings))
            {
                File.Delete(In(OwnerName));
                File.Delete(In(LockName));
                DeleteEmpty(_made);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }

        _lock.Dispose();
    }

    private static FileStream Lock(string path)
    {
        var file = System.IO.Path.Combine(path, LockName);
        while (true)
        {
            FileStream held;
            try
            {
                held = new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (File.Exists(file))
            {
                throw new ModelException($"{path}: another process trains in this folder{Owner(path)}; wait for it or give another folder");
            }

            if (File.Exists(file))
            {
                return held;
            }

            // Whoever gave a run up has deleted the file between our opening and our locking it.
            held.Dispose();
        }
    }

    /// <summary>The folders of a path that are not there, the innermost first.</summary>
    private static List<string> Missing(string path)
    {
        var missing = new List<string>();
        for (var at = System.IO.Path.GetFullPath(path); at is not null && !System.IO.Path.Exists(at); at = System.IO.Path.GetDirectoryName(at))
        {
            missing.Add(at);
        }

        return missing;
    }

    private static void DeleteEmpty(List<string> folders)
    {
        foreach (var folder in folders)
        {
            try
            {
                Directory.Delete(folder);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return;
            }
        }
    }

    private string In(string name) => System.IO.Path.Combine(Path, name);

    private static string Owner(string path)
    {
        try
        {
            return $" (process {File.ReadAllText(System.IO.Path.Combine(path, OwnerName)).Trim()})";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
