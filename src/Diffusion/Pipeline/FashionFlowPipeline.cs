// From a still picture to the frames of a video: CLIP and autoencoder, adapter, sampling around the U-Net (VideoSampler), decoding
// (VideoDecoder). Each of the three stages can be called alone, for runs that go on where others stopped.
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion;

/// <summary>The networks of a pipeline, for those who need less than all of them.</summary>
[Flags]
public enum PipelineParts
{
    /// <summary>The autoencoder: what decoding needs.</summary>
    Autoencoder = 1,

    /// <summary>The U-Net: with the autoencoder, what going on with a video needs.</summary>
    Unet = 2,

    /// <summary>CLIP and the adapter: what a new picture needs besides.</summary>
    Conditioning = 4,

    /// <summary>All.</summary>
    All = Autoencoder | Unet | Conditioning,
}

/// <summary>
/// The reference's model as a whole. <see cref="Load(DeviceContext, string)"/> once, <see cref="Generate"/> as often as wanted; one thread at a time.
/// The same seed on the same kind of device gives the same frames.
/// </summary>
public sealed class FashionFlowPipeline : IDisposable
{
    private readonly DeviceContext _context;
    private readonly SpaceTimeUnet _unet;
    private readonly EmbeddingAdapter _adapter;
    private readonly AutoencoderKl _vae;
    private readonly ClipVisionModel _clip;

    private FashionFlowPipeline(DeviceContext context, ModelConfiguration configuration)
    {
        _context = context;
        Configuration = configuration;
        _unet = new SpaceTimeUnet(configuration.Unet);
        _adapter = configuration.CreateAdapter();
        _vae = new AutoencoderKl(configuration.Vae);
        _clip = new ClipVisionModel(configuration.Clip);
    }

    /// <summary>The model's configuration.</summary>
    public ModelConfiguration Configuration { get; }

    /// <summary>What bounds the temporaries.</summary>
    public MemorySettings Memory
    {
        get;
        set
        {
            field = value;
            _vae.RowsAtATime = value.DecodeRows;
            _unet.TokensAtATime = value.TokensAtATime;
        }
    } = MemorySettings.Unbounded;

    /// <summary>Loads a model directory: <c>config.json</c>, and the four weights files unless the configuration has a seed instead.</summary>
    /// <exception cref="ModelException">The directory or its configuration is not usable, or a file is missing.</exception>
    /// <exception cref="WeightLoadException">A file's parameters do not fit.</exception>
    /// <exception cref="SafetensorsException">A file is damaged.</exception>
    public static FashionFlowPipeline Load(DeviceContext context, string modelDirectory) => Load(context, modelDirectory, PipelineParts.All);

    /// <summary>Loads some of a model directory's networks.</summary>
    /// <inheritdoc cref="Load(DeviceContext, string)"/>
    public static FashionFlowPipeline Load(DeviceContext context, string modelDirectory, PipelineParts parts)
        => Load(context, ModelConfiguration.ForDirectory(modelDirectory), modelDirectory, parts);

    /// <summary>Makes a model of seeded weights alone.</summary>
    /// <exception cref="ModelException">The configuration has no seed.</exception>
    public static FashionFlowPipeline Create(DeviceContext context, ModelConfiguration configuration)
        => Load(context, configuration, modelDirectory: null, PipelineParts.All);

    /// <summary>Takes the memory of the weights and gives them no values: to measure what a run takes.</summary>
    internal static FashionFlowPipeline Reserve(DeviceContext context, ModelConfiguration configuration, PipelineParts parts)
    {
        var pipeline = new FashionFlowPipeline(context, configuration);
        foreach (var (part, module) in new (PipelineParts, Module)[]
        {
            (PipelineParts.Unet, pipeline._unet),
            (PipelineParts.Conditioning, pipeline._adapter),
            (PipelineParts.Autoencoder, pipeline._vae),
            (PipelineParts.Conditioning, pipeline._clip),
        })
        {
            if (parts.HasFlag(part))
            {
                module.Reserve(context);
            }
        }

        return pipeline;
    }

    /// <summary>Checks options against the model, before any work is done.</summary>
    /// <returns>The options with the model's choices filled in.</returns>
    /// <exception cref="ModelException">They do not fit.</exception>
    public GenerationOptions Resolve(GenerationOptions options) => Configuration.Resolve(options);

    /// <summary>Makes a video of a picture.</summary>
    /// <param name="picture">Any size; it is fitted to the model's.</param>
    /// <param name="options">Choices.</param>
    /// <param name="progress">Told after each step and frame, on this thread.</param>
    /// <param name="onFrame">Gets each frame as soon as it is decoded, in order. Its memory is used for the next one: copy what is to be kept.</param>
    /// <param name="cancellationToken">Looked at between steps and frames.</param>
    /// <exception cref="ModelException">The options do not fit the model; nothing was done.</exception>
    public void Generate(
        Rgb8Image picture,
        GenerationOptions options,
        IProgress<GenerationProgress>? progress,
        Action<int, Rgb8Image> onFrame,
        CancellationToken cancellationToken = default)
    {
        using var state = Begin(picture, options, hooks: null, progress, cancellationToken);
        Sample(state, options, hooks: null, progress, cancellationToken);
        Decode(state.Video, progress, onFrame, checksFinite: false, cancellationToken);
    }

    /// <summary>The first stage of <see cref="Generate"/>: the picture is encoded, and its video is noise.</summary>
    /// <returns>The state before the first step; the caller disposes it.</returns>
    /// <inheritdoc cref="Sample"/>
    public SamplingState Begin(
        Rgb8Image picture, GenerationOptions options, SamplingHooks? hooks, IProgress<GenerationProgress>? progress, CancellationToken cancellationToken = default)
    {
        var o = Resolve(options);
        cancellationToken.ThrowIfCancellationRequested();
        using var scope = TensorScope.Begin();
        progress?.Report(new GenerationProgress(GenerationStage.Encoding, 0, 1));
        var (latent, context) = Encode(picture, o, hooks?.ChecksFinite ?? false);
        progress?.Report(new GenerationProgress(GenerationStage.Encoding, 1, 1));
        return new VideoSampler(_context, Configuration, _unet).Begin(latent, context, o);
    }

    /// <summary>The second stage of <see cref="Generate"/>: takes the steps that a video lacks.</summary>
    /// <param name="state">Where the video is; it is moved on in place, also by a call that is cancelled.</param>
    /// <param name="options">The choices that it was begun with.</param>
    /// <param name="hooks">What looks on; null for nothing.</param>
    /// <param name="progress">Told after each step, on this thread.</param>
    /// <param name="cancellationToken">Looked at between steps.</param>
    /// <exception cref="ModelException">The options do not fit the model; nothing was done.</exception>
    /// <exception cref="Autograd.NonFiniteException">A value is infinite or no number, and the hooks ask for a look.</exception>
    public void Sample(
        SamplingState state, GenerationOptions options, SamplingHooks? hooks, IProgress<GenerationProgress>? progress, CancellationToken cancellationToken = default)
    {
        var o = Resolve(options);
        var sampler = new VideoSampler(_context, Configuration, _unet);
        using var plan = sampler.CreateSampler(o);
        sampler.Sample(plan, state, o, hooks, progress, cancellationToken);
    }

    /// <summary>
    /// What the autoencoder alone makes of a video's frame: encoded, sampled and decoded as <see cref="Generate"/> does with its
    /// picture, and so the nearest that a generated frame comes to the true one, give or take the sample.
    /// </summary>
    /// <param name="frame">The true frame, of any size.</param>
    /// <param name="index">Its place in the video, which its noise depends on; 0 takes that of <see cref="Generate"/>.</param>
    /// <param name="options">Fit and seed.</param>
    /// <returns>A picture of the model's size.</returns>
    public Rgb8Image Reconstruct(Rgb8Image frame, int index, GenerationOptions options)
    {
        var o = Resolve(options);
        using var scope = TensorScope.Begin();
        var latent = SampleLatent(Moments(Fit(frame, o)), o.Seed, "latent", index);
        var s = latent.Shape;
        var result = new Rgb8Image(Configuration.PictureWidth, Configuration.PictureHeight);
        Decode(latent.Reshape(1, 1, s[1], s[2], s[3]), progress: null, (_, picture) => picture.Data.CopyTo(result.Data, 0));
        return result;
    }

    /// <summary>The picture encoder's pooled output for a picture, of norm 1: what CLIP's pictures are compared by.</summary>
    /// <param name="picture">Any size; it is fitted to the model's.</param>
    /// <param name="options">Fit and compatibility.</param>
    /// <returns>As many numbers as the encoder is wide.</returns>
    public float[] Describe(Rgb8Image picture, GenerationOptions options)
    {
        var o = Resolve(options);
        using var scope = TensorScope.Begin();
        var pooled = _clip.Pool(Tokens(Fit(picture, o), o));
        return Ops.NormalizeRows(pooled.Reshape(1, pooled.Shape[2])).ToArray<float>();
    }

    /// <summary>The last stage of <see cref="Generate"/>: decodes a latent video frame by frame. Beside the latents, memory does not grow with its length.</summary>
    /// <param name="video">The latents [1, f, h, w, c], scaled as sampling leaves them.</param>
    /// <param name="progress">Told after each frame, on this thread.</param>
    /// <param name="onFrame">Gets each frame as soon as it is decoded, in order. Its memory is used for the next one: copy what is to be kept.</param>
    /// <param name="checksFinite">Whether to search for values that are infinite or no number.</param>
    /// <param name="cancellationToken">Looked at between frames.</param>
    /// <exception cref="Autograd.NonFiniteException">There is one.</exception>
    public void Decode(
        Tensor video, IProgress<GenerationProgress>? progress, Action<int, Rgb8Image> onFrame, bool checksFinite = false, CancellationToken cancellationToken = default)
        => VideoDecoder.Decode(_vae, video, progress, onFrame, checksFinite, cancellationToken);

    /// <summary>Decodes one frame of a latent video.</summary>
    /// <param name="video">The latents [1, f, h, w, c], scaled.</param>
    /// <param name="index">The frame.</param>
    public Rgb8Image DecodeFrame(Tensor video, int index)
    {
        var s = video.Shape;
        var picture = new Rgb8Image(Configuration.PictureWidth, Configuration.PictureHeight);
        using var scope = TensorScope.Begin();
        VideoDecoder.DecodeFrame(_vae, video.Reshape(s[1], s[2], s[3], s[4]), index, picture);
        return picture;
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        _unet.Dispose();
        _adapter.Dispose();
        _vae.Dispose();
        _clip.Dispose();
    }

    private static FashionFlowPipeline Load(DeviceContext context, ModelConfiguration configuration, string? modelDirectory, PipelineParts parts)
    {
        var pipeline = new FashionFlowPipeline(context, configuration);
        try
        {
            Load(PipelineParts.Unet, pipeline._unet, ModelFiles.Unet);
            Load(PipelineParts.Conditioning, pipeline._adapter, ModelFiles.Adapter);
            Load(PipelineParts.Autoencoder, pipeline._vae, ModelFiles.Vae);
            Load(PipelineParts.Conditioning, pipeline._clip, ModelFiles.Clip);
            return pipeline;
        }
        catch
        {
            pipeline.Dispose();
            throw;
        }

        void Load(PipelineParts part, Module module, string file)
        {
            if (parts.HasFlag(part))
            {
                ModelParts.Load(module, file, context, configuration, modelDirectory);
            }
        }
    }

    /// <summary>The picture's latent [1, h, w, c], scaled, and its context [1, n, d].</summary>
    private (Tensor Latent, Tensor Context) Encode(Rgb8Image picture, GenerationOptions o, bool checksFinite)
    {
        const string When = "the picture";
        using var scope = TensorScope.Begin();
        var resized = Fit(picture, o);
        var moments = FiniteCheck.Run(checksFinite, _vae, "vae", When, () => Moments(resized));
        var latent = SampleLatent(moments, o.Seed, "latent");

        // The adapter sees a latent of its own: the reference encodes the picture twice, and so samples twice.
        var tokens = FiniteCheck.Run(checksFinite, _clip, "clip", When, () => Tokens(resized, o));
        var adapted = SampleLatent(moments, o.Seed, "adapter latent");
        var context = FiniteCheck.Run(checksFinite, _adapter, "adapter", When, () => _adapter.Forward(tokens, adapted));
        return (scope.Keep(latent), scope.Keep(context));
    }

    private Rgb8Image Fit(Rgb8Image picture, GenerationOptions o) => PictureFitter.Fit(picture, Configuration.PictureWidth, Configuration.PictureHeight, o.Fit!.Value);

    /// <summary>The latent distribution [1, h, w, 2c] of a picture of the model's size.</summary>
    private Tensor Moments(Rgb8Image picture)
    {
        using var scope = TensorScope.Begin();

        // The autoencoder is fed [0, 1], as the reference's was; Stable Diffusion's own pictures are [-1, 1].
        var pixels = Array.ConvertAll(picture.Data, b => b / 255f);
        return scope.Keep(_vae.Encode(Tensor.FromArray<float>(_context, pixels, [1, picture.Height, picture.Width, 3])));
    }

    /// <summary>CLIP's last hidden state [1, n, d] of a picture of the model's size.</summary>
    private Tensor Tokens(Rgb8Image picture, GenerationOptions o)
    {
        using var scope = TensorScope.Begin();
        var size = Configuration.Clip.ImageSize;
        var pixels = new ClipPreprocessor(size, o.Compatibility!.ClipRescaling).Preprocess(picture);
        return scope.Keep(_clip.Forward(Tensor.FromArray<float>(_context, pixels, [1, size, size, 3])));
    }

    private Tensor SampleLatent(Tensor moments, ulong seed, string purpose, int index = 0)
    {
        using var scope = TensorScope.Begin();
        var shape = moments.Shape.With(-1, moments.Shape[-1] / 2);
        var noise = Ops.Randn(_context, shape, seed, purpose, index * shape.Count);
        return scope.Keep(Ops.PosteriorSample(moments, noise, Configuration.Vae.ScalingFactor));
    }
}
