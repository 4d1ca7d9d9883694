// A training run's folder: one process at a time works in it.
using System.Globalization;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// The folder of a run, locked while this lives: <c>training.json</c> (everything in force), <c>checkpoints/</c>,
/// <c>events/</c> (TensorBoard), <c>samples/</c>, <c>model/</c> (what <c>generate --model</c> takes, written at the end). The
/// lock is the operating system's: it ends with the process, however that ends.
/// </summary>
public sealed class RunFolder : IDisposable
{
    /// <summary>The file that everything in force is written to.</summary>
    public const string SettingsName = "training.json";

    private const string LockName = "run.lock";

    // Beside the lock, since .NET lets nobody read a file that is locked.
    private const string OwnerName = "run.pid";

    private readonly FileStream _lock;

    private RunFolder(string path, FileStream held)
    {
        Path = path;
        _lock = held;
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
        try
        {
            Directory.CreateDirectory(path);
            var file = System.IO.Path.Combine(path, LockName);
            FileStream held;
            try
            {
                held = new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (File.Exists(file))
            {
                throw new ModelException($"{path}: another process trains in this folder{Owner(path)}; wait for it or give another folder");
            }

            File.WriteAllText(System.IO.Path.Combine(path, OwnerName), Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            return new RunFolder(path, held);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ModelException($"{path} cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Gives the lock back. Its file stays: deleting it could take the lock of whoever comes next.</summary>
    public void Dispose() => _lock.Dispose();

    private string In(string name) => System.IO.Path.Combine(Path, name);

    private static string Owner(string path)
    {
        try
        {
            return $" (process {File.ReadAllText(System.IO.Path.Combine(path, OwnerName))})";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
