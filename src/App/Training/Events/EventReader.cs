// Curves out of a run's event files, as TensorBoard would show them: what a run says again after a stop takes the old one's place.
using Google.Protobuf;

namespace FashionFlow.App.Training.Events;

/// <summary>A point of a curve.</summary>
/// <param name="Step">The step of training.</param>
/// <param name="Value">The value, which files hold as a float.</param>
internal readonly record struct ScalarPoint(long Step, double Value);

/// <summary>Reads the event files of a folder.</summary>
internal static class EventReader
{
    /// <summary>
    /// All curves of a folder by their names, each by rising steps. Files are read in the order of their names. Where one starts
    /// at a step, what came before of that step and later ones is discarded; of two values for a step the later one counts.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="damaged">Told of each file that is damaged before its end; what it holds up to there is taken.</param>
    /// <exception cref="UserError">The folder or a file cannot be read.</exception>
    public static IReadOnlyDictionary<string, IReadOnlyList<ScalarPoint>> ReadScalars(string folder, Action<string> damaged)
    {
        var curves = new SortedDictionary<string, SortedList<long, double>>(StringComparer.Ordinal);
        try
        {
            foreach (var path in Directory.EnumerateFiles(folder, $"{EventWriter.Prefix}*").Order(StringComparer.Ordinal))
            {
                using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 1 << 16);
                if (!ReadFile(stream, curves))
                {
                    damaged($"{path} is damaged; what follows in it is left out");
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Input, $"the events in {folder} cannot be read: {e.Message}", cause: e);
        }

        return curves.ToDictionary(
            curve => curve.Key,
            curve => (IReadOnlyList<ScalarPoint>)[.. curve.Value.Select(point => new ScalarPoint(point.Key, point.Value))],
            StringComparer.Ordinal);
    }

    /// <summary>Takes a file's events.</summary>
    /// <returns>Whether all of it could be read, but for a record that a stopped run left unfinished.</returns>
    private static bool ReadFile(FileStream stream, SortedDictionary<string, SortedList<long, double>> curves)
    {
        try
        {
            while (TfRecord.Read(stream) is { } record)
            {
                Take(Event.Parser.ParseFrom(record), curves);
            }

            return true;
        }
        catch (Exception e) when (e is InvalidDataException or InvalidProtocolBufferException)
        {
            return false;
        }
    }

    private static void Take(Event record, SortedDictionary<string, SortedList<long, double>> curves)
    {
        if (record.SessionLog is { Status: SessionLog.Types.SessionStatus.Start })
        {
            foreach (var curve in curves.Values)
            {
                while (curve.Count > 0 && curve.GetKeyAtIndex(curve.Count - 1) >= record.Step)
                {
                    curve.RemoveAt(curve.Count - 1);
                }
            }
        }

        foreach (var value in record.Summary?.Value ?? [])
        {
            if (value.ValueCase != Summary.Types.Value.ValueOneofCase.SimpleValue)
            {
                continue;
            }

            if (!curves.TryGetValue(value.Tag, out var curve))
            {
                curves[value.Tag] = curve = [];
            }

            curve[record.Step] = value.SimpleValue;
        }
    }
}
