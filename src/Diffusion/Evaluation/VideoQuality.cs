// How near a video is to the true one, and how much it changes from frame to frame.
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.Diffusion.Evaluation;

/// <summary>The measures of a video against the true one.</summary>
/// <param name="Psnr">
/// The PSNR in decibels of the mean squared error over all frames; positive infinity for equal videos.
/// </param>
/// <param name="Ssim">The mean of the frames' SSIM.</param>
/// <param name="FrameError">Each frame's mean squared error: what a mean over several videos is taken of.</param>
/// <param name="FramePsnr">Each frame's PSNR: how far into the video it stays near.</param>
/// <param name="FrameSsim">Each frame's SSIM.</param>
/// <param name="Step">The mean of <see cref="VideoQuality.Steps"/> of the video.</param>
/// <param name="TrueStep">The same of the true one: a video that flickers has more, one that stands still less.</param>
public sealed record VideoMeasures(
    double Psnr, double Ssim, IReadOnlyList<double> FrameError, IReadOnlyList<double> FramePsnr, IReadOnlyList<double> FrameSsim, double Step, double TrueStep);

/// <summary>Measures videos as lists of frames of one size.</summary>
public static class VideoQuality
{
    /// <summary>
    /// All measures of a video against the true one. A model that is given the first frame should be measured from the
    /// second on: <paramref name="skip"/> leaves out that many of both from all but the steps.
    /// </summary>
    /// <param name="frames">The video.</param>
    /// <param name="truth">The true one, of as many frames.</param>
    /// <param name="skip">Frames at the start that are not measured.</param>
    /// <exception cref="ArgumentException">Numbers of frames or sizes differ, or no frame is left to measure.</exception>
    public static VideoMeasures Compare(IReadOnlyList<Rgb8Image> frames, IReadOnlyList<Rgb8Image> truth, int skip = 0)
    {
        if (frames.Count != truth.Count)
        {
            throw new ArgumentException($"Videos of {frames.Count} and {truth.Count} frames cannot be compared.", nameof(truth));
        }

        if (skip < 0 || skip >= frames.Count)
        {
            throw new ArgumentException($"Of {frames.Count} frames, {skip} cannot be left out.", nameof(skip));
        }

        var pairs = frames.Zip(truth).Skip(skip).ToArray();
        var errors = Array.ConvertAll(pairs, pair => PictureQuality.MeanSquaredError(pair.First, pair.Second));
        var ssim = Array.ConvertAll(pairs, pair => PictureQuality.Ssim(pair.First, pair.Second));
        return new VideoMeasures(
            PictureQuality.PsnrOf(errors.Average()), ssim.Average(), errors, Array.ConvertAll(errors, PictureQuality.PsnrOf), ssim, MeanStep(frames), MeanStep(truth));
    }

    /// <summary>
    /// How much each frame but the first differs from the one before it: the root of the mean squared difference over all
    /// pixels and channels, in eight-bit levels. Even steps are smooth motion, a high one is a jump.
    /// </summary>
    /// <returns>One number fewer than there are frames; none for a single frame.</returns>
    /// <exception cref="ArgumentException">There is no frame, or the sizes differ.</exception>
    public static double[] Steps(IReadOnlyList<Rgb8Image> frames)
    {
        if (frames.Count == 0)
        {
            throw new ArgumentException("A video needs a frame.", nameof(frames));
        }

        return [.. frames.Skip(1).Select((frame, i) => Math.Sqrt(PictureQuality.MeanSquaredError(frames[i], frame)))];
    }

    private static double MeanStep(IReadOnlyList<Rgb8Image> frames) => frames.Count > 1 ? Steps(frames).Average() : 0;
}
