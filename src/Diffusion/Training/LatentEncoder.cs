// A frame's way into training data: fitted, through the autoencoder's encoder and through CLIP, both frozen.
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// The half of the model that training does not change. It encodes one frame at a time: a full-size frame keeps a device busy,
/// memory does not grow with a clip, and a frame's numbers do not depend on its neighbours, not even in how sums are split.
/// </summary>
public sealed class LatentEncoder : IDisposable
{
    private readonly DeviceContext _context;
    private readonly ModelConfiguration _configuration;
    private readonly PictureFit _fit;
    private readonly ClipPreprocessor _preprocessor;
    private readonly AutoencoderKl _vae;
    private readonly ClipVisionModel _clip;
    private readonly float[] _pixels;

    private LatentEncoder(DeviceContext context, ModelConfiguration configuration, CompatibilityOptions compatibility, PictureFit? fit)
    {
        (_context, _configuration, _fit) = (context, configuration, fit ?? compatibility.Fit);
        _preprocessor = new ClipPreprocessor(configuration.Clip.ImageSize, compatibility.ClipRescaling);
        _vae = new AutoencoderKl(configuration.Vae);
        _clip = new ClipVisionModel(configuration.Clip);
        _pixels = new float[configuration.PictureHeight * configuration.PictureWidth * 3];
    }

    /// <summary>Loads the autoencoder and CLIP of a model directory; the U-Net and the adapter need not be there.</summary>
    /// <param name="context">Where to compute.</param>
    /// <param name="configuration">The model's configuration.</param>
    /// <param name="modelDirectory">The model's folder; null for a seeded model without one.</param>
    /// <param name="compatibility">The mode.</param>
    /// <param name="fit">How frames are fitted; null for the mode's own way.</param>
    /// <exception cref="ModelException">A file is missing.</exception>
    /// <exception cref="WeightLoadException">A file's parameters do not fit.</exception>
    /// <exception cref="Tensors.Weights.SafetensorsException">A file is damaged.</exception>
    public static LatentEncoder Load(
        DeviceContext context, ModelConfiguration configuration, string? modelDirectory, CompatibilityOptions compatibility, PictureFit? fit = null)
    {
        var encoder = new LatentEncoder(context, configuration, compatibility, fit);
        try
        {
            ModelParts.Load(encoder._vae, ModelFiles.Vae, context, configuration, modelDirectory);
            ModelParts.Load(encoder._clip, ModelFiles.Clip, context, configuration, modelDirectory);
            return encoder;
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    /// <summary>Encodes a frame of any size.</summary>
    public EncodedFrame Encode(Rgb8Image frame)
    {
        using var scope = TensorScope.Begin();
        var (c, channels) = (_configuration, _configuration.Vae.LatentChannels);
        var fitted = PictureFitter.Fit(frame, c.PictureWidth, c.PictureHeight, _fit);
        for (var i = 0; i < _pixels.Length; i++)
        {
            // The autoencoder is fed [0, 1], as in generating.
            _pixels[i] = fitted.Data[i] / 255f;
        }

        var moments = _vae.Encode(Tensor.FromArray<float>(_context, _pixels, [1, c.PictureHeight, c.PictureWidth, 3]));
        var clipPixels = Tensor.FromArray<float>(_context, _preprocessor.Preprocess(fitted), [1, _preprocessor.Size, _preprocessor.Size, 3]);
        var tokens = _clip.Forward(clipPixels);
        return new EncodedFrame(
            fitted,
            Ops.SliceChannels(moments, 0, channels).ToArray<float>(),
            Ops.SliceChannels(moments, channels, channels).ToArray<float>(),
            tokens.ToArray<float>());
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        _vae.Dispose();
        _clip.Dispose();
    }
}

/// <summary>What is kept of a frame.</summary>
/// <param name="Picture">The frame as it was fitted.</param>
/// <param name="Mean">The posterior's mean [h, w, c], not scaled.</param>
/// <param name="LogVariance">The posterior's log-variance [h, w, c], as the encoder gives it: not yet clamped.</param>
/// <param name="Tokens">CLIP's tokens [n, d].</param>
public sealed record EncodedFrame(Rgb8Image Picture, float[] Mean, float[] LogVariance, float[] Tokens);
