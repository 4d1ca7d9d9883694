// Training of the autoencoder: pictures through the bottleneck and back.
using FashionFlow.Autograd;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// A variational autoencoder (Kingma and Welling 2014): mean squared error of the decoded posterior sample, plus a small weight
/// times the divergence from a standard normal distribution. Pictures are in [0, 1], as this model's autoencoder takes them, and
/// may be cut to random crops: convolutions learned there hold for whole pictures.
/// </summary>
public sealed class AutoencoderTask : TrainingTask
{
    /// <summary>Clip, frame, column and row of a crop.</summary>
    private const int ChoicesPerPicture = 4;

    private readonly DeviceContext _context;
    private readonly TrainingOptions _options;
    private readonly FrameSet _frames;
    private readonly RandomDraws _choices;

    /// <summary>A task on a network that is loaded; it owns it from now on.</summary>
    /// <exception cref="ModelException">The crop does not fit the pictures or the autoencoder.</exception>
    public AutoencoderTask(DeviceContext context, AutoencoderKl vae, FrameSet frames, TrainingOptions options)
    {
        (_context, _options, _frames, Vae) = (context, options, frames, vae);
        _choices = new RandomDraws(context, options.Seed, "training/crops", ChoicesPerPicture * options.Batch);
        if (options.Crop is { } crop && (crop > frames.Width || crop > frames.Height || crop % vae.Options.Downscale != 0))
        {
            throw new ModelException(
                $"crops of {crop} do not fit: pictures are {frames.Width} x {frames.Height}, and the autoencoder takes multiples of {vae.Options.Downscale}");
        }
    }

    /// <summary>The autoencoder.</summary>
    public AutoencoderKl Vae { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<TrainedModule> Modules => [new("vae", Vae)];

    /// <inheritdoc/>
    public override double EpochsAfter(long steps) => (double)steps * _options.Batch / Enumerable.Range(0, _frames.Count).Sum(_frames.Frames);

    /// <inheritdoc/>
    public override Tensor Loss(long step)
    {
        using var scope = TensorScope.Begin();
        var pictures = Pictures(step);
        var moments = Vae.Encode(pictures);
        var shape = moments.Shape.With(-1, moments.Shape[-1] / 2);
        var noise = Ops.Randn(_context, shape, _options.Seed, "training/noise", step * shape.Count);
        var decoded = Vae.Decode(Functional.PosteriorSample(moments, noise, 1));
        var error = Functional.MeanSquaredError(decoded, pictures);
        return scope.Keep(Functional.AddScaled(error, Functional.KlDivergence(moments), _options.DivergenceWeight));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => Vae.Dispose();

    private Tensor Pictures(long step)
    {
        var (width, height) = _options.Crop is { } crop ? (crop, crop) : (_frames.Width, _frames.Height);
        var choices = _choices[step];
        var each = width * height * 3;
        var pixels = new float[_options.Batch * each];
        for (var i = 0; i < _options.Batch; i++)
        {
            var own = choices.Slice(i * ChoicesPerPicture, ChoicesPerPicture);
            var clip = RandomDraws.Choose(own[0], _frames.Count);
            _frames.Crop(
                clip,
                RandomDraws.Choose(own[1], _frames.Frames(clip)),
                RandomDraws.Choose(own[2], _frames.Width - width + 1),
                RandomDraws.Choose(own[3], _frames.Height - height + 1),
                width,
                pixels.AsSpan(i * each, each));
        }

        return Tensor.FromArray<float>(_context, pixels, [_options.Batch, height, width, 3]);
    }
}
