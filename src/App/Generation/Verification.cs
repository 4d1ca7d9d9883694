// Makes a video again by its recipe and says whether it is the same, frame by frame.
using System.Globalization;
using System.Text;
using System.Text.Json;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;

namespace FashionFlow.App.Generation;

/// <summary>What making a video again showed.</summary>
/// <param name="Frames">Frames that the video has.</param>
/// <param name="DifferentFrames">The numbers of the frames that came out otherwise, rising.</param>
/// <param name="SameBytes">Whether the file is the same to the byte; of a folder of frames, whether its pictures are.</param>
/// <param name="WasChanged">Whether the file is another than the one that its sidecar describes.</param>
/// <param name="ModelDiffers">The model's files that are not the recorded ones.</param>
/// <param name="RecordedFfmpeg">The version of ffmpeg that wrote it; null where it had no part.</param>
/// <param name="UsedFfmpeg">The version that wrote it again.</param>
internal sealed record Verdict(
    int Frames,
    IReadOnlyList<int> DifferentFrames,
    bool SameBytes,
    bool WasChanged,
    IReadOnlyList<string> ModelDiffers,
    string? RecordedFfmpeg,
    string? UsedFfmpeg)
{
    /// <summary>Whether the frames came out the same and the file still holds them.</summary>
    public bool IsSame => DifferentFrames.Count == 0 && !WasChanged;
}

/// <summary>A video that is to be made again.</summary>
internal sealed class Verification
{
    private readonly string _video;
    private readonly Sidecar? _sidecar;
    private readonly string _comment;

    private Verification(string video, Sidecar? sidecar, Recipe recipe, string comment)
        => (_video, _sidecar, Recipe, _comment) = (video, sidecar, recipe, comment);

    /// <summary>How it was made.</summary>
    public Recipe Recipe { get; }

    /// <summary>The device that it was made on, as <c>--device</c> names it.</summary>
    public string Device => Recipe.Device.Specification;

    /// <summary>Reads a video's recipe: from its sidecar, else from its metadata.</summary>
    /// <exception cref="UserError">There is no such video, or it has no recipe.</exception>
    public static Verification Open(string video)
    {
        if (!Path.Exists(video))
        {
            throw new UserError(ExitCode.Input, $"{video} does not exist");
        }

        var comment = Directory.Exists(video) ? null : ReadComment(video);
        var sidecar = Sidecar.ForVideo(video);
        var recipe = sidecar?.Recipe ?? (comment is null ? null : Recipe.TryParse(comment));
        if (recipe is null)
        {
            throw new UserError(
                ExitCode.Input,
                $"{video} carries no recipe, and {Sidecar.PathFor(video, Directory.Exists(video))} is not there",
                "only videos that generate or demo wrote can be made again; other programs drop the recipe");
        }

        // The old text as it stands, as long as it says the same: another version may write a recipe in another way.
        var isOwn = comment is not null && Recipe.TryParse(comment)?.ToJson() == recipe.ToJson();
        return new Verification(video, sidecar, recipe, isOwn ? comment! : recipe.ToJson());
    }

    /// <summary>The folder of the model: the recorded one, or the demo model for a recipe without a sidecar.</summary>
    /// <exception cref="UserError">It cannot be told.</exception>
    public string FindModel() => Recipe.Model.Find(_sidecar?.Paths.Model, _video);

    /// <summary>Makes it again and compares.</summary>
    /// <param name="maker">The model on the device.</param>
    /// <param name="input">The picture's file; null for the recorded one, else one of its name beside the video or here.</param>
    /// <param name="screen">Where progress is shown.</param>
    /// <param name="announce">Told the device's name before the long part.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <exception cref="UserError">The picture is not there or is another one.</exception>
    public Verdict Run(VideoMaker maker, string? input, Screen screen, Action<string> announce, CancellationToken cancellation)
    {
        var path = input ?? FindInput();
        var picture = PictureReader.Read(path, Recipe.Input.Frame);
        if (picture.Sha256 != Recipe.Input.Sha256)
        {
            throw new UserError(ExitCode.Input, $"{path} is not the picture that {_video} was made of: its hash is another", "name the right one: --input FILE");
        }

        var format = VideoFormat.All.FirstOrDefault(f => f.Name == Recipe.Encoder.Format)
            ?? throw new UserError(ExitCode.Input, $"{_video} is written as \"{Recipe.Encoder.Format}\", which this version does not know");
        format.Require();
        var folder = Directory.CreateTempSubdirectory("fashionflow-verify-").FullName;
        try
        {
            var output = new VideoOutput(Path.Combine(folder, $"again{format.Extension}"), format, Overwrite: false);
            var options = maker.Resolve(Recipe.ToGenerationOptions());
            var request = VideoRequest.OfPicture(picture, path, Recipe.Input.Frame, options, Recipe.Options.Fps, output) with
            {
                Comment = _comment,
                DecodeRows = Recipe.Options.DecodeRows ?? 0,
            };
            return Compare(maker.Make(request, screen, announce, cancellation), maker.DescribeModel());
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string? ReadComment(string video)
    {
        var run = Ffmpeg.Run("ffprobe", ["-v", "error", "-protocol_whitelist", "file,pipe", "-show_entries", "format_tags", "-of", "json", $"file:{video}"]);
        if (run is not (0, var output, _))
        {
            return null;
        }

        try
        {
            // Matroska's tags are in capitals.
            using var document = JsonDocument.Parse(output);
            return document.RootElement.TryGetProperty("format", out var format) && format.TryGetProperty("tags", out var tags)
                ? tags.EnumerateObject().FirstOrDefault(tag => tag.Name.Equals("comment", StringComparison.OrdinalIgnoreCase)).Value is { ValueKind: JsonValueKind.String } text ? text.GetString() : null
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    // The frames of a video as ffmpeg decodes them, one hash each.
    private static List<string> DecodedFrames(string video)
    {
        var run = Ffmpeg.Run("ffmpeg", [
            "-hide_banner", "-loglevel", "error", "-nostdin", "-protocol_whitelist", "file,pipe", "-i", $"file:{video}", "-map", "0:v:0", "-f", "framehash", "-hash", "sha256", "pipe:1"]);
        return run is (0, var output, _)
            ? [.. Encoding.ASCII.GetString(output).Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] != '#').Select(line => line[(line.LastIndexOf(',') + 1)..].Trim())]
            : throw new UserError(ExitCode.Input, $"{video} cannot be decoded: {(run is null ? "ffmpeg is missing" : Ffmpeg.Reason(run.Value.ExitCode, run.Value.Errors))}");
    }

    private static List<int> Differences(IReadOnlyList<string> recorded, IReadOnlyList<string> made) =>
        [.. Enumerable.Range(0, Math.Max(recorded.Count, made.Count)).Where(i => i >= recorded.Count || i >= made.Count || recorded[i] != made[i])];

    private static List<string> HashPictures(string folder, int frames) =>
        [.. Enumerable.Range(0, frames)
            .Select(i => Path.Combine(folder, FrameFolderWriter.NameOf(i)))
            .Select(path => File.Exists(path) ? FileHash.Compute(PictureReader.Read(path).Image.Data) : string.Empty)];

    private Verdict Compare(VideoReport report, RecipeModel model)
    {
        var made = report.Sidecar;
        var (isFolder, usedFfmpeg) = (report.Output.Format.IsFolder, made.Recipe.Encoder.Ffmpeg);
        if (_sidecar is null)
        {
            // Only what the encoder left of the frames can be compared.
            var same = FileHash.Compute(_video) == made.File!.Sha256;
            var recorded = DecodedFrames(_video);
            var others = same ? [] : Differences(recorded, DecodedFrames(report.Output.Target));
            return new Verdict(recorded.Count, others, same, WasChanged: false, Recipe.Model.Differences(model), Recipe.Encoder.Ffmpeg, usedFfmpeg);
        }

        var frames = _sidecar.Frames.Sha256;
        var different = Differences(frames, made.Frames.Sha256);
        var (sameBytes, changed) = isFolder ? CompareFolder() : CompareFile(FileHash.Compute(_video));
        return new Verdict(frames.Count, different, sameBytes, changed, Recipe.Model.Differences(model), Recipe.Encoder.Ffmpeg, usedFfmpeg);

        (bool SameBytes, bool WasChanged) CompareFolder()
        {
            var kept = HashPictures(_video, frames.Count).SequenceEqual(frames);
            return (kept && different.Count == 0, !kept);
        }

        (bool SameBytes, bool WasChanged) CompareFile(string hash) => (hash == made.File!.Sha256, hash != _sidecar.File?.Sha256);
    }

    private string FindInput()
    {
        string?[] places = [_sidecar?.Paths.Input, Path.Combine(Path.GetDirectoryName(Path.GetFullPath(_video))!, Recipe.Input.Name), Recipe.Input.Name];
        // A pipe that it came from is empty by now.
        return places.FirstOrDefault(path => File.Exists(path) && new FileInfo(path).Length > 0)
            ?? throw new UserError(ExitCode.Input, string.Create(CultureInfo.InvariantCulture, $"{Recipe.Input.Name}, the picture that {_video} was made of, is not there"), "name its file: --input FILE");
    }
}
