// A few small frames of a video in the making, to see where it goes.
using FashionFlow.App.Media;
using FashionFlow.Diffusion;
using FashionFlow.Tensors;

namespace FashionFlow.App.Generation;

/// <summary>Decodes up to four frames, the first and the last among them, into one PNG that is replaced each time.</summary>
internal static class PreviewStrip
{
    private const int MostFrames = 4;
    private const int MostWidth = 128;

    /// <summary>Writes the strip.</summary>
    /// <param name="path">The PNG.</param>
    /// <param name="pipeline">Whose autoencoder decodes.</param>
    /// <param name="video">The latent video [1, f, h, w, c], scaled.</param>
    /// <exception cref="UserError">It cannot be written.</exception>
    public static void Write(string path, FashionFlowPipeline pipeline, Tensor video)
    {
        var frames = video.Shape[1];
        var count = Math.Min(frames, MostFrames);
        PictureGrid? strip = null;
        for (var i = 0; i < count; i++)
        {
            var frame = pipeline.DecodeFrame(video, count == 1 ? 0 : (int)((long)i * (frames - 1) / (count - 1)));
            strip ??= new PictureGrid(count, 1, frame.Width, frame.Height, MostWidth);
            strip.Put(i, 0, frame);
        }

        PendingOutput.WriteFile(path, overwrite: true, stream => PictureWriter.EncodePng(strip!.Picture, stream));
    }
}
