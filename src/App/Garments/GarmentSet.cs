// The data set on the disk: a clip a garment in train/ and test/, and a list of what each shows.
using System.Globalization;
using System.Runtime.ExceptionServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;

namespace FashionFlow.App.Garments;

/// <summary>
/// A data set of drawn garments, laid out as the UBC fashion videos are: <c>train/garment_0001.mp4</c> and so on, <c>test/</c>
/// likewise, and <c>garments.json</c>, which comes last. A clip depends on seed, split, number, size and length alone, so that
/// a larger set begins with the clips of a smaller one.
/// </summary>
/// <param name="Seed">The seed.</param>
/// <param name="Train">Garments to train on.</param>
/// <param name="Test">Garments held out.</param>
/// <param name="Frames">Frames a clip.</param>
/// <param name="Width">Pixels a row.</param>
/// <param name="Height">Rows.</param>
internal sealed partial record GarmentSet(ulong Seed, int Train, int Test, int Frames, int Width, int Height)
{
    /// <summary>The list's name in the folder.</summary>
    public const string ListName = "garments.json";

    /// <summary>The split to train on.</summary>
    public const string TrainSplit = "train";

    /// <summary>The split that no training sees.</summary>
    public const string TestSplit = "test";

    /// <summary>The name of a clip within its split's folder.</summary>
    public static string NameOf(int index) => string.Create(CultureInfo.InvariantCulture, $"garment_{index:0000}.mp4");

    /// <summary>Draws and writes all clips.</summary>
    /// <param name="folder">The folder; it is made if it is not there.</param>
    /// <param name="overwrite">Whether an earlier set in it may be replaced.</param>
    /// <param name="threads">Clips at a time.</param>
    /// <param name="screen">Where progress is shown.</param>
    /// <param name="cancellation">Stops it; then the clips that are done stay, without a list.</param>
    /// <returns>The bytes of all clips.</returns>
    /// <exception cref="UserError">The folder holds something else or an earlier set, or cannot be written.</exception>
    public long Write(string folder, bool overwrite, int threads, Screen screen, CancellationToken cancellation)
    {
        VideoFormat.Lossless.Require();
        Clear(folder, overwrite);
        (string Split, int Index)[] clips = [.. Of(TrainSplit, Train), .. Of(TestSplit, Test)];
        foreach (var split in clips.Select(clip => clip.Split).Distinct(StringComparer.Ordinal))
        {
            PendingOutput.MakeFolder(Path.Combine(folder, split));
        }

        var bytes = ProgressDisplay.Run(screen, display => WriteClips(folder, clips, threads, display, cancellation));
        PendingOutput.WriteFile(Path.Combine(folder, ListName), overwrite, stream =>
        {
            JsonSerializer.Serialize(stream, List(clips), GarmentJson.Readable.GarmentList);
            stream.WriteByte((byte)'\n');
        });
        return bytes;

        static IEnumerable<(string Split, int Index)> Of(string split, int count) => Enumerable.Range(1, count).Select(index => (split, index));
    }

    private long WriteClips(string folder, (string Split, int Index)[] clips, int threads, ProgressDisplay display, CancellationToken cancellation)
    {
        var gate = new Lock();
        var (done, bytes) = (0, 0L);
        display.Report("draw garments", "clip", 0, clips.Length, 0);
        try
        {
            Parallel.ForEach(clips, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellation }, clip =>
            {
                var path = Path.Combine(folder, clip.Split, NameOf(clip.Index));
                using (var writer = new FfmpegWriter(VideoFormat.Lossless, path, overwrite: false, Motion.FramesPerSecond, cancellation))
                {
                    var garment = Garment.Design(Seed, clip.Split, clip.Index);
                    for (var frame = 0; frame < Frames; frame++)
                    {
                        writer.Write(GarmentPicture.Draw(garment, Width, Height, Motion.OfFrame(frame)));
                    }

                    writer.Finish();
                    writer.Commit();
                }

                lock (gate)
                {
                    bytes += new FileInfo(path).Length;
                    display.Report("draw garments", "clip", ++done, clips.Length, 0);
                }
            });
        }
        catch (AggregateException e)
        {
            // A full disk stops every thread: one of them tells. So does Ctrl-C, which reaches ffmpeg too.
            cancellation.ThrowIfCancellationRequested();
            ExceptionDispatchInfo.Capture(e.InnerExceptions.FirstOrDefault(inner => inner is UserError) ?? e.InnerExceptions[0]).Throw();
        }

        return bytes;
    }

    private GarmentList List((string Split, int Index)[] clips) => new(
        Seed,
        Frames,
        Motion.FramesPerSecond,
        Width,
        Height,
        [.. clips.Select(clip => new GarmentEntry($"{clip.Split}/{NameOf(clip.Index)}", Garment.Design(Seed, clip.Split, clip.Index)))]);

    // Only what this program made is ever removed, and only all of it: no clip of an earlier set may pass for one of this.
    private static void Clear(string folder, bool overwrite)
    {
        if (File.Exists(folder))
        {
            throw new UserError(ExitCode.Output, $"{folder} is a file; the output must be a folder");
        }

        if (!Directory.Exists(folder))
        {
            return;
        }

        try
        {
            string[] files = [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)];
            if (files.FirstOrDefault(file => !IsOfSet(Path.GetRelativePath(folder, file))) is { } foreign)
            {
                throw new UserError(ExitCode.Output, $"{folder} holds more than drawn garments: {Path.GetRelativePath(folder, foreign)}; it is kept", "give another --output");
            }

            if (files.Length > 0 && !overwrite)
            {
                throw new UserError(ExitCode.Output, $"{folder} holds garments already, and they are kept", "give another --output, or replace them with --overwrite");
            }

            foreach (var file in files.OrderByDescending(file => Path.GetFileName(file) == ListName))
            {
                File.Delete(file);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Output, $"{folder} cannot be replaced: {e.Message}", cause: e);
        }
    }

    private static bool IsOfSet(string path) => path == ListName || ClipPath().IsMatch(path.Replace('\\', '/'));

    [GeneratedRegex(@"\A(train|test)/garment_\d{4,}\.mp4\z")]
    private static partial Regex ClipPath();
}

/// <summary>What <c>garments.json</c> holds.</summary>
internal sealed record GarmentList(ulong Seed, int Frames, int FramesPerSecond, int Width, int Height, IReadOnlyList<GarmentEntry> Garments);

/// <summary>A clip and what it shows.</summary>
internal sealed record GarmentEntry(string Clip, Garment Garment);

/// <summary>How the list is written.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(GarmentList))]
internal sealed partial class GarmentJson : JsonSerializerContext
{
    /// <summary>On many lines, colours as "#rrggbb", choices as words.</summary>
    public static GarmentJson Readable { get; } = new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        WriteIndented = true,
        Converters =
        {
            new ColourConverter(),
            new JsonStringEnumConverter<Cut>(JsonNamingPolicy.SnakeCaseLower), new JsonStringEnumConverter<Sleeves>(JsonNamingPolicy.SnakeCaseLower),
            new JsonStringEnumConverter<Neckline>(JsonNamingPolicy.SnakeCaseLower), new JsonStringEnumConverter<Pattern>(JsonNamingPolicy.SnakeCaseLower),
            new JsonStringEnumConverter<Print>(JsonNamingPolicy.SnakeCaseLower), new JsonStringEnumConverter<Hair>(JsonNamingPolicy.SnakeCaseLower),
        },
    });
}

/// <summary>Colours as "#rrggbb".</summary>
internal sealed class ColourConverter : JsonConverter<Vector>
{
    public override Vector Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        try
        {
            return Vector.FromHex(reader.GetString() ?? string.Empty);
        }
        catch (FormatException e)
        {
            throw new JsonException(e.Message, e);
        }
    }

    public override void Write(Utf8JsonWriter writer, Vector value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToHex());
}
