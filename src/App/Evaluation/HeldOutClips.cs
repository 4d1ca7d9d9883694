// The clips that a model is judged by: which there are, which of them can be used, and their first frames.
using System.Globalization;
using FashionFlow.App.Media;
using FashionFlow.App.Projection;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Evaluation;

/// <summary>A clip that can be used.</summary>
/// <param name="Name">Its path within the folder of videos.</param>
/// <param name="Video">Its path.</param>
/// <param name="Sha256">The video's hash.</param>
internal sealed record HeldOutClip(string Name, string Video, string Sha256);

/// <summary>A clip that cannot be used.</summary>
/// <param name="Name">Its path within the folder of videos.</param>
/// <param name="Error">Why.</param>
internal sealed record UnusableClip(string Name, UserError Error);

/// <summary>The clips of one split, each fitted to a model's size. Their frames are read when they are needed, and not kept.</summary>
/// <param name="folder">The folder of videos, as it was typed.</param>
/// <param name="split">The split.</param>
/// <param name="frames">Frames from a clip's start that are looked at.</param>
/// <param name="width">The model's picture width.</param>
/// <param name="height">Its height.</param>
/// <param name="fit">How frames of other proportions are fitted.</param>
internal sealed class HeldOutClips(string folder, string split, int frames, int width, int height, PictureFit fit)
{
    private readonly string[] _videos = [.. ProjectionPlan.Make(folder, folder).Clips.Where(c => c.Split == split).Select(c => c.Video)];

    /// <summary>The clips that can be used.</summary>
    public IReadOnlyList<HeldOutClip> Clips { get; private set; } = [];

    /// <summary>The others.</summary>
    public IReadOnlyList<UnusableClip> Unusable { get; private set; } = [];

    /// <summary>Refuses a folder without videos of the split.</summary>
    /// <exception cref="UserError">It has none.</exception>
    public void RequireAny()
    {
        if (_videos.Length == 0)
        {
            var other = split == Diffusion.Training.LatentIndex.Test ? Diffusion.Training.LatentIndex.Train : Diffusion.Training.LatentIndex.Test;
            throw new UserError(ExitCode.Input, $"{folder} holds no videos of split {split}", $"put clips into {Path.Combine(folder, split)}, or take the other ones by --split {other}");
        }
    }

    /// <summary>Reads as much of every clip as will be needed, before any long work is done.</summary>
    /// <exception cref="UserError">None can be used. Where there is more than one, each one's error is in <see cref="Unusable"/>.</exception>
    public void Check(ProgressDisplay display, CancellationToken cancellation)
    {
        var (clips, unusable) = (new List<HeldOutClip>(), new List<UnusableClip>());
        display.Report("read videos", "video", 0, _videos.Length, 0);
        foreach (var video in _videos)
        {
            cancellation.ThrowIfCancellationRequested();
            var name = Path.GetRelativePath(folder, video).Replace(Path.DirectorySeparatorChar, '/');
            try
            {
                var clip = new HeldOutClip(name, video, VideoFrameReader.HashVideo(video));
                Read(clip, cancellation);
                clips.Add(clip);
            }
            catch (UserError e)
            {
                cancellation.ThrowIfCancellationRequested();
                if (_videos.Length == 1)
                {
                    throw;
                }

                unusable.Add(new UnusableClip(name, e));
            }

            display.Report("read videos", "video", clips.Count + unusable.Count, _videos.Length, 0);
        }

        (Clips, Unusable) = (clips, unusable);
    }

    /// <summary>A clip's first frames, of the model's size.</summary>
    /// <exception cref="UserError">It is damaged or too short.</exception>
    public List<Rgb8Image> Read(HeldOutClip clip, CancellationToken cancellation)
    {
        var read = new List<Rgb8Image>();
        using var reader = new FfmpegReader(clip.Video, cancellation);
        while (read.Count < frames && reader.TryRead(out var frame))
        {
            // The reader uses its picture's memory again, and a picture of the right size is fitted by leaving it alone.
            var fitted = PictureFitter.Fit(frame, width, height, fit);
            read.Add(new Rgb8Image(width, height, [.. fitted.Data]));
        }

        return read.Count == frames
            ? read
            : throw new UserError(
                ExitCode.Input,
                string.Create(CultureInfo.InvariantCulture, $"{clip.Video} has {read.Count} frame{(read.Count == 1 ? string.Empty : "s")}, fewer than the model's {frames}"),
                "a clip is judged by as many frames as the model makes");
    }
}
