// Videos to pictures in memory, for the networks that are trained on pictures.
using FashionFlow.App.Media;
using FashionFlow.App.Projection;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Diffusion.Training;

namespace FashionFlow.App.Training;

/// <summary>Decodes folders of videos at a model's picture size.</summary>
internal static class ClipLoader
{
    /// <summary>Decodes all videos of a split. One that cannot be read is reported and left out.</summary>
    /// <param name="folder">The folder, laid out as <c>project</c> takes it.</param>
    /// <param name="split">"train" or "test".</param>
    /// <param name="configuration">The model, for the pictures' size.</param>
    /// <param name="fit">How frames of other proportions are fitted.</param>
    /// <param name="screen">Where progress is shown.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <exception cref="UserError">There is no such folder, or no video in it that can be read.</exception>
    public static FrameSet Load(string folder, string split, ModelConfiguration configuration, PictureFit fit, Screen screen, CancellationToken cancellation)
    {
        var clips = ProjectionPlan.Make(folder, folder).Clips.Where(c => c.Split == split).ToList();
        var set = new FrameSet(configuration.PictureWidth, configuration.PictureHeight);
        Ffmpeg.Require("it reads the videos");
        ProgressDisplay.Run(screen, display =>
        {
            display.Report("decode videos", "video", 0, clips.Count, 0);
            foreach (var (frames, done) in DecodeAhead(clips, set, fit, cancellation))
            {
                try
                {
                    set.Add(frames.GetAwaiter().GetResult());
                }
                catch (UserError e)
                {
                    cancellation.ThrowIfCancellationRequested();
                    screen.WriteFailure(e, asJson: false, _ => { });
                }

                display.Report("decode videos", "video", done, clips.Count, 0);
            }

            return true;
        });
        return set.Count > 0
            ? set
            : throw new UserError(ExitCode.Input, $"{folder} holds no video of split \"{split}\" that can be read", "give a folder of videos, with or without the folders train and test in it");
    }

    // In their order, as many at a time as there are cores: a short clip takes longer to start ffmpeg for than to decode.
    private static IEnumerable<(Task<List<Rgb8Image>> Frames, int Done)> DecodeAhead(
        List<PlannedClip> clips, FrameSet set, PictureFit fit, CancellationToken cancellation)
    {
        var running = new Queue<Task<List<Rgb8Image>>>();
        try
        {
            for (int started = 0, done = 1; done <= clips.Count; done++)
            {
                cancellation.ThrowIfCancellationRequested();
                for (; started < clips.Count && running.Count < Environment.ProcessorCount; started++)
                {
                    var video = clips[started].Video;
                    running.Enqueue(Task.Run(() => Decode(video, set, fit, cancellation), CancellationToken.None));
                }

                yield return (running.Peek(), done);
                _ = running.Dequeue();
            }
        }
        finally
        {
            // None is left behind when it is stopped: each ends its ffmpeg.
            ((Task)Task.WhenAll(running)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing).GetAwaiter().GetResult();
        }
    }

    private static List<Rgb8Image> Decode(string path, FrameSet set, PictureFit fit, CancellationToken cancellation)
    {
        var frames = new List<Rgb8Image>();
        VideoFrameReader.HashVideo(path);
        using var reader = new FfmpegReader(path, cancellation);
        while (reader.TryRead(out var frame))
        {
            var fitted = PictureFitter.Fit(frame, set.Width, set.Height, fit);
            if (ReferenceEquals(fitted, frame))
            {
                // The reader uses its picture's memory again.
                fitted = new Rgb8Image(frame.Width, frame.Height);
                frame.Data.CopyTo(fitted.Data, 0);
            }

            frames.Add(fitted);
        }

        return frames.Count > 0 ? frames : throw VideoFrameReader.Damaged(path, "it holds no frame");
    }
}
