// Decoding: a latent video to pictures, one frame at a time.
using FashionFlow.Autograd;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion;

/// <summary>Decodes latent videos. Beside the latents, memory does not grow with their length.</summary>
public static class VideoDecoder
{
    /// <summary>Decodes every frame.</summary>
    /// <param name="vae">The autoencoder.</param>
    /// <param name="video">The latents [1, f, h, w, c], scaled as sampling leaves them.</param>
    /// <param name="progress">Told after each frame, on this thread.</param>
    /// <param name="onFrame">Gets each frame as soon as it is decoded, in order. Its memory is used for the next one: copy what is to be kept.</param>
    /// <param name="checksFinite">Whether to search for values that are infinite or no number.</param>
    /// <param name="cancellationToken">Looked at between frames.</param>
    public static void Decode(
        AutoencoderKl vae,
        Tensor video,
        IProgress<GenerationProgress>? progress,
        Action<int, Rgb8Image> onFrame,
        bool checksFinite = false,
        CancellationToken cancellationToken = default)
    {
        using var scope = TensorScope.Begin();
        var s = video.Shape;
        var frames = video.Reshape(s[1], s[2], s[3], s[4]);
        var picture = new Rgb8Image(s[3] * vae.Options.Downscale, s[2] * vae.Options.Downscale);
        progress?.Report(new GenerationProgress(GenerationStage.Decoding, 0, s[1]));
        for (var i = 0; i < s[1]; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            DecodeFrame(vae, frames, i, picture, checksFinite);
            onFrame(i, picture);
            progress?.Report(new GenerationProgress(GenerationStage.Decoding, i + 1, s[1]));
        }
    }

    /// <summary>Decodes one of the latents [f, h, w, c] into <paramref name="picture"/>.</summary>
    internal static void DecodeFrame(AutoencoderKl vae, Tensor frames, int index, Rgb8Image picture, bool checksFinite = false)
    {
        using var scope = TensorScope.Begin();
        var latent = Ops.Scale(frames.Narrow(index, 1), 1 / vae.Options.ScalingFactor);
        if (vae.RowsAtATime > 0)
        {
            vae.DecodeInStrips(latent, vae.RowsAtATime, (row, strip) =>
            {
                if (checksFinite && !NonFiniteGuard.IsFinite(strip))
                {
                    throw new NonFiniteException($"frame {index}, vae: a value is infinite or no number; decode it without a memory budget to see where it arose");
                }

                var start = row * picture.Width * 3;
                Ops.ToRgb8(strip).CopyTo(picture.Data.AsSpan(start, checked((int)strip.Count)));
            });
            return;
        }

        var decoded = FiniteCheck.Run(checksFinite, vae, "vae", $"frame {index}", () => vae.Decode(latent));
        Ops.ToRgb8(decoded).CopyTo<byte>(picture.Data);
    }
}
