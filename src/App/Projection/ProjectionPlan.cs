// Which videos become which clips of a data set: a folder's own videos, and those in its train and test.
using FashionFlow.App.Media;
using FashionFlow.Diffusion.Training;

namespace FashionFlow.App.Projection;

/// <summary>A clip that is planned.</summary>
/// <param name="Video">The video's path.</param>
/// <param name="Split">Its split.</param>
/// <param name="Target">The file of latents.</param>
internal sealed record PlannedClip(string Video, string Split, string Target);

/// <summary>The clips of one call of <c>project</c>.</summary>
/// <param name="Clips">Those clips: the folder's own, then train, then test, each by name.</param>
internal sealed record ProjectionPlan(IReadOnlyList<PlannedClip> Clips)
{
    /// <summary>Looks for videos.</summary>
    /// <param name="videos">Their folder, as it was typed.</param>
    /// <param name="latents">The folder of latents, which mirrors it.</param>
    /// <exception cref="UserError">The folder cannot be read or holds no videos, or the other is no folder.</exception>
    public static ProjectionPlan Make(string videos, string latents)
    {
        if (!Directory.Exists(videos))
        {
            throw new UserError(ExitCode.Input, File.Exists(videos) ? $"{videos} is a file; give the folder that it is in" : $"{videos} does not exist");
        }

        if (File.Exists(latents))
        {
            throw new UserError(ExitCode.Output, $"{latents} is a file; the output must be a folder");
        }

        PlannedClip[] clips =
        [
            .. Look(string.Empty, LatentIndex.Train),
            .. Look(LatentIndex.Train, LatentIndex.Train),
            .. Look(LatentIndex.Test, LatentIndex.Test),
        ];
        return clips.Length > 0
            ? new ProjectionPlan(clips)
            : throw new UserError(ExitCode.Input, $"{videos} holds no videos, and no {LatentIndex.Train} or {LatentIndex.Test} that does", $"videos end in {string.Join(", ", VideoFrameReader.Extensions)}");

        IEnumerable<PlannedClip> Look(string sub, string split) => VideosIn(Path.Combine(videos, sub))
            .Select(video => new PlannedClip(video, split, Path.Combine(latents, sub, $"{Path.GetFileNameWithoutExtension(video)}{LatentClip.Extension}")));
    }

    /// <summary>What is wrong with a clip's place in the plan, or null.</summary>
    public string? Clash(PlannedClip clip) => Clips.First(c => c.Target == clip.Target) is { } first && first != clip
        ? $"{clip.Video} would become {clip.Target}, as {first.Video} does"
        : null;

    private static string[] VideosIn(string folder)
    {
        if (!Directory.Exists(folder))
        {
            return [];
        }

        try
        {
            return
            [
                .. Directory.EnumerateFiles(folder)
                    .Where(file => VideoFrameReader.Extensions.Contains(Path.GetExtension(file), StringComparer.OrdinalIgnoreCase) && !Path.GetFileName(file).StartsWith('.'))
                    .Order(StringComparer.Ordinal),
            ];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Input, $"{folder} cannot be read: {e.Message}", cause: e);
        }
    }
}
