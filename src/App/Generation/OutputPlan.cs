// Which pictures become which files: folders are looked into, and every output has a name before any work is done.
using System.Globalization;
using FashionFlow.App.Media;

namespace FashionFlow.App.Generation;

/// <summary>A video that is planned.</summary>
/// <param name="Picture">The picture's path.</param>
/// <param name="Seed">Its seed.</param>
/// <param name="Target">The file, or the folder of frames.</param>
internal sealed record PlannedVideo(string Picture, ulong Seed, string Target);

/// <summary>The outputs of one call of <c>generate</c>.</summary>
/// <param name="Format">The form of all of them.</param>
/// <param name="Folder">The folder to be made for them, or null.</param>
/// <param name="Videos">The videos, a picture's one after the other.</param>
internal sealed record OutputPlan(VideoFormat Format, string? Folder, IReadOnlyList<PlannedVideo> Videos)
{
    /// <summary>Plans.</summary>
    /// <param name="pictures">Files and folders, as they were typed.</param>
    /// <param name="output">The output, as it was typed: a file for one video, or a folder.</param>
    /// <param name="format">The form that was asked for, or null.</param>
    /// <param name="seed">The seed of a picture's first video; each further one has the next.</param>
    /// <param name="videosEach">Videos a picture.</param>
    /// <exception cref="UserError">They do not fit together, or a folder cannot be read or holds no picture.</exception>
    public static OutputPlan Make(IReadOnlyList<string> pictures, string output, VideoFormat? format, ulong seed, int videosEach)
    {
        if (ulong.MaxValue - seed < (ulong)(videosEach - 1))
        {
            throw new UserError(ExitCode.Usage, string.Create(CultureInfo.InvariantCulture, $"{videosEach} seeds from {seed} on pass {ulong.MaxValue}"), "give a smaller --seed");
        }

        var named = VideoFormat.ForPath(output);
        var isFolder = Path.EndsInDirectorySeparator(output) || Directory.Exists(output) || Path.GetExtension(output).Length == 0;
        if (!isFolder && named is null)
        {
            throw new UserError(ExitCode.Usage, $"--output must end in .mp4, .gif or .webm, or name a folder, not '{output}'", "a folder's name ends in /");
        }

        var files = pictures.SelectMany(Expand).ToList();
        var count = files.Count * videosEach;
        if (isFolder)
        {
            var form = format ?? VideoFormat.Mp4;
            return new OutputPlan(form, output, [
                .. from file in files
                   from i in Enumerable.Range(0, videosEach)
                   let each = seed + (ulong)i
                   select new PlannedVideo(file, each, Path.Combine(output, $"{Stem(file)}{(videosEach > 1 ? Numbered(each) : string.Empty)}{form.Extension}"))]);
        }

        if (format is not null && format != named)
        {
            throw new UserError(
                ExitCode.Usage,
                $"--output ends in {named!.Extension}, but --format is {format.Name}",
                format.IsFolder ? "the frames go into a folder: end its name in /" : null);
        }

        return count == 1
            ? new OutputPlan(named!, Folder: null, [new PlannedVideo(files[0], seed, output)])
            : throw new UserError(ExitCode.Usage, $"--output must be a folder for {count} videos, not '{output}'", "a folder's name ends in /");
    }

    /// <summary>What is wrong with a video's place in the plan, or null.</summary>
    public string? Clash(PlannedVideo video)
    {
        var target = Path.GetFullPath(video.Target);
        return target == Path.GetFullPath(video.Picture)
            ? $"{video.Target} would replace the picture that it is made of"
            : Videos.FirstOrDefault(v => Path.GetFullPath(v.Target) == target) is { } first && first != video
                ? $"{video.Picture} would become {video.Target}, as {first.Picture} does"
                : null;
    }

    private static string Stem(string path) => Path.GetFileNameWithoutExtension(path) is { Length: > 0 } stem ? stem : Path.GetFileName(path);

    private static string Numbered(ulong seed) => string.Create(CultureInfo.InvariantCulture, $"-seed{seed}");

    // In a folder pictures are known by their names, and hidden files are left out; videos would include those made before.
    private static IEnumerable<string> Expand(string path)
    {
        if (!Directory.Exists(path))
        {
            return [path];
        }

        try
        {
            string[] found =
            [
                .. Directory.EnumerateFiles(path)
                    .Where(file => PictureReader.Extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase) && !Path.GetFileName(file).StartsWith('.'))
                    .Order(StringComparer.Ordinal),
            ];
            return found.Length > 0
                ? found
                : throw new UserError(ExitCode.Input, $"{path} is a folder without pictures", $"pictures end in {string.Join(", ", PictureReader.Extensions)}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Input, $"{path} cannot be read: {e.Message}", cause: e);
        }
    }
}
