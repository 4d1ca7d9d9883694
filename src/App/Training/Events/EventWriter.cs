// A TensorBoard event file: curves and pictures of a training run, each on the disk's side of the program as soon as it is known.
using System.Globalization;
using Google.Protobuf;

namespace FashionFlow.App.Training.Events;

/// <summary>
/// Writes one event file of a folder. A run that goes on after a stop writes a new file, which says from which step on it
/// replaces what the older ones hold; TensorBoard reads a folder's files in the order of their names. Each event is one
/// write, so that a reader beside it, or a run that is killed, meets whole records but for the last at most.
/// </summary>
internal sealed class EventWriter : IDisposable
{
    /// <summary>How the names of event files start, by which readers know them; a time follows.</summary>
    public const string Prefix = "events.out.tfevents.";

    private const string Suffix = ".fashionflow";

    private readonly FileStream _stream;
    private readonly TimeProvider _clock;

    private EventWriter(FileStream stream, TimeProvider clock) => (_stream, _clock) = (stream, clock);

    /// <summary>The file.</summary>
    public string Path => _stream.Name;

    /// <summary>Starts a new file in a folder, which is made if it is not there.</summary>
    /// <param name="folder">The run's folder.</param>
    /// <param name="resumedAt">
    /// For a run that goes on: its next step. What older files say of this step and later ones is discarded by readers, so that
    /// curves do not overlap. Null for a new run.
    /// </param>
    /// <param name="clock">The time; the system's if not given.</param>
    /// <exception cref="UserError">The file cannot be made.</exception>
    public static EventWriter Create(string folder, long? resumedAt = null, TimeProvider? clock = null)
    {
        clock ??= TimeProvider.System;
        try
        {
            Directory.CreateDirectory(folder);
            var writer = new EventWriter(OpenNew(folder, clock.GetUtcNow().ToUnixTimeSeconds()), clock);
            writer.Write(new Event { FileVersion = "brain.Event:2" }, step: 0);
            if (resumedAt is { } step)
            {
                writer.Write(new Event { SessionLog = new SessionLog { Status = SessionLog.Types.SessionStatus.Start } }, step);
            }

            return writer;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Output, $"no event file can be made in {folder}: {e.Message}", cause: e);
        }
    }

    /// <summary>Adds a point of a curve.</summary>
    /// <param name="tag">The curve's name; a slash groups names.</param>
    /// <param name="value">The value, stored as a float.</param>
    /// <param name="step">The step of training.</param>
    /// <exception cref="UserError">The file cannot be written.</exception>
    public void AddScalar(string tag, double value, long step)
        => Write(new Event { Summary = new Summary { Value = { new Summary.Types.Value { Tag = tag, SimpleValue = (float)value } } } }, step);

    /// <summary>Adds a picture, which TensorBoard shows as it is: a GIF moves.</summary>
    /// <param name="tag">The picture's name; a slash groups names.</param>
    /// <param name="file">A whole PNG or GIF file.</param>
    /// <param name="step">The step of training.</param>
    /// <exception cref="ArgumentException">The bytes are neither.</exception>
    /// <exception cref="UserError">The file cannot be written.</exception>
    public void AddPicture(string tag, ReadOnlySpan<byte> file, long step)
    {
        var (width, height, channels) = EncodedPicture.Read(file);
        var image = new Summary.Types.Image { Width = width, Height = height, Colorspace = channels, EncodedImageString = ByteString.CopyFrom(file) };
        Write(new Event { Summary = new Summary { Value = { new Summary.Types.Value { Tag = tag, Image = image } } } }, step);
    }

    /// <summary>Has the system bring all events to the disk, so that they outlive a loss of power; for checkpoints.</summary>
    /// <exception cref="UserError">The file cannot be written.</exception>
    public void Flush() => Guarded(() => _stream.Flush(flushToDisk: true));

    /// <inheritdoc/>
    public void Dispose() => _stream.Dispose();

    /// <summary>Makes a file whose name, a time in seconds, comes after those of all event files there.</summary>
    private static FileStream OpenNew(string folder, long seconds)
    {
        foreach (var path in Directory.EnumerateFiles(folder, Prefix + "*"))
        {
            var name = System.IO.Path.GetFileName(path)[Prefix.Length..];
            var digits = name.AsSpan(0, name.AsSpan().IndexOfAnyExceptInRange('0', '9') is var end and >= 0 ? end : name.Length);
            if (long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var taken) && taken >= seconds)
            {
                seconds = taken + 1;
            }
        }

        var file = System.IO.Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{seconds:D10}{Suffix}"));
        return new FileStream(file, FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 0);
    }

    private void Write(Event record, long step)
    {
        record.Step = step;
        record.WallTime = (_clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds;
        var bytes = TfRecord.Frame(record.ToByteArray());
        Guarded(() => _stream.Write(bytes));
    }

    private void Guarded(Action write)
    {
        try
        {
            write();
        }
        catch (IOException e)
        {
            throw new UserError(ExitCode.Output, $"{Path} cannot be written: {e.Message}", cause: e);
        }
    }
}
