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
            for (var i = 0; i < clips.Count; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                try
                {
                    set.Add(Decode(clips[i].Video, set, fit, cancellation));
                }
                catch (UserError e)
                {
                    cancellation.ThrowIfCancellationRequested();
                    screen.WriteFailure(e, asJson: false, _ => { });
                }

                display.Report("decode videos", "video", i + 1, clips.Count, 0);
            }

            return true;
        });
        return set.Count > 0
            ? set
            : throw new UserError(ExitCode.Input, $"{folder} holds no video of split \"{split}\" that can be read", "give a folder of videos, with or without the folders train and test in it");
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
