// Checkpoints on disk: each is a folder that appears whole or not at all, with a manifest of hashes to tell later whether it still is.
using System.Globalization;
using System.Text.Json;
using FashionFlow.Gpu;

namespace FashionFlow.Diffusion.Training;

/// <summary>A checkpoint that was found whole.</summary>
/// <param name="Step">The steps that had been made.</param>
/// <param name="Folder">Where its files are.</param>
public sealed record StoredCheckpoint(long Step, string Folder);

/// <summary>
/// Folders <c>step-00000100</c> under one root. A checkpoint is written under a temporary name, each file flushed, hashed into
/// <c>manifest.json</c>, and the folder renamed: a process killed at any moment leaves the earlier checkpoints as they were.
/// </summary>
public sealed class CheckpointStore
{
    /// <summary>The file of hashes in each checkpoint.</summary>
    public const string ManifestName = "manifest.json";

    private const string Prefix = "step-";

    private readonly string _root;
    private readonly int _keep;

    /// <summary>A store in a folder, which is made when the first checkpoint is saved.</summary>
    /// <param name="root">The folder.</param>
    /// <param name="keep">How many checkpoints are kept, the newest ones; at least 1.</param>
    public CheckpointStore(string root, int keep)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(keep, 1);
        (_root, _keep) = (root, keep);
    }

    /// <summary>Writes a checkpoint, then deletes those that are older than the ones kept.</summary>
    /// <param name="step">The steps made.</param>
    /// <param name="write">Writes the files into an empty folder, each flushed to the disk.</param>
    /// <returns>The checkpoint's folder.</returns>
    /// <exception cref="IOException">It cannot be written; nothing is left of it.</exception>
    public string Save(long step, Action<string> write)
    {
        Directory.CreateDirectory(_root);
        DeleteUnfinished();
        var target = Path.Combine(_root, Name(step));
        if (FindProblem(target) is null)
        {
            return target;
        }

        var temporary = $"{target}.{Guid.NewGuid():N}{AtomicFile.TemporaryExtension}";
        try
        {
            Directory.CreateDirectory(temporary);
            write(temporary);
            WriteManifest(temporary);
            if (Directory.Exists(target))
            {
                // One of this step that is damaged: it makes room.
                Delete(target);
            }

            Directory.Move(temporary, target);
        }
        catch
        {
            TryDelete(temporary);
            throw;
        }

        AtomicFile.SyncFolder(_root);
        foreach (var (_, folder) in Folders().Skip(_keep))
        {
            Delete(folder);
        }

        return target;
    }

    /// <summary>The newest checkpoint that is whole, or null if there is none.</summary>
    /// <param name="report">Gets a line about each newer one that is damaged.</param>
    public StoredCheckpoint? FindLatest(Action<string>? report = null)
    {
        foreach (var (step, folder) in Folders())
        {
            if (FindProblem(folder) is not { } problem)
            {
                return new StoredCheckpoint(step, folder);
            }

            report?.Invoke($"{folder} is passed over: {problem}");
        }

        return null;
    }

    /// <summary>The steps of all checkpoints, newest first, whole or not.</summary>
    public IReadOnlyList<long> Steps() => [.. Folders().Select(f => f.Step)];

    /// <summary>Whether any checkpoint was ever finished here, whole or damaged.</summary>
    public bool Any => Folders().Any();

    private static string Name(long step) => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{step:00000000}");

    private IEnumerable<(long Step, string Folder)> Folders()
        => !Directory.Exists(_root)
            ? []
            : Directory.EnumerateDirectories(_root, Prefix + "*")
                .Select(f => (Known: long.TryParse(Path.GetFileName(f).AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var step), step, f))
                .Where(f => f.Known)
                .Select(f => (f.step, f.f))
                .OrderByDescending(f => f.step);

    /// <summary>What is wrong with a checkpoint; null if it is whole.</summary>
    private static string? FindProblem(string folder)
    {
        var path = Path.Combine(folder, ManifestName);
        try
        {
            using var manifest = JsonDocument.Parse(File.ReadAllBytes(path));
            foreach (var file in manifest.RootElement.GetProperty("sha256").EnumerateObject())
            {
                if (ContentHash.Of(Path.Combine(folder, file.Name)) != file.Value.GetString())
                {
                    return $"{file.Name} is not what {ManifestName} says";
                }
            }

            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return e.Message;
        }
    }

    private static void WriteManifest(string folder)
    {
        var hashes = Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal).ToDictionary(f => Path.GetFileName(f), ContentHash.Of);
        AtomicFile.Write(Path.Combine(folder, ManifestName), stream =>
        {
            using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
            json.WriteStartObject();
            json.WriteStartObject("sha256");
            foreach (var (name, hash) in hashes)
            {
                json.WriteString(name, hash);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        });
        AtomicFile.SyncFolder(folder);
    }

    /// <summary>What a killed process left; nobody else writes here, as the run's folder is locked.</summary>
    private void DeleteUnfinished()
    {
        foreach (var folder in Directory.EnumerateDirectories(_root, $"*{AtomicFile.TemporaryExtension}"))
        {
            TryDelete(folder);
        }
    }

    /// <summary>Renames first: half of a folder must not look like a checkpoint.</summary>
    private static void Delete(string folder)
    {
        var doomed = $"{folder}.{Guid.NewGuid():N}{AtomicFile.TemporaryExtension}";
        Directory.Move(folder, doomed);
        TryDelete(doomed);
    }

    private static void TryDelete(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
        }
    }
}
