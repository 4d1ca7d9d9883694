// Training of the picture encoder: two frames of one garment belong together, those of different garments do not.
using FashionFlow.Autograd;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// Contrastive learning (InfoNCE: van den Oord et al. 2018, arXiv 1807.03748; symmetric as CLIP's, arXiv 2103.00020): of a batch of
/// garments each shows two frames; the encoder's pooled outputs, normalised, are compared each with each, and a frame must find its
/// partner among all, in both directions.
/// </summary>
public sealed class EncoderTask : TrainingTask
{
    /// <summary>Frames of a garment that a step sees.</summary>
    private const int FramesPerGarment = 2;

    /// <summary>The least norm that a feature counts for, so that a feature of zero has a direction.</summary>
    private const double NormEpsilon = 1e-12;

    private readonly DeviceContext _context;
    private readonly TrainingOptions _options;
    private readonly FrameSet _frames;
    private readonly ClipPreprocessor _preprocessor;
    private readonly RandomDraws _choices;
    private readonly EpochOrder _order;

    /// <summary>A task on a network that is loaded; it owns it from now on.</summary>
    /// <exception cref="ModelException">There are fewer clips than a batch holds, so that a garment would be its own counterpart.</exception>
    public EncoderTask(DeviceContext context, ClipVisionModel clip, FrameSet frames, TrainingOptions options)
    {
        (_context, _options, _frames, Clip) = (context, options, frames, clip);
        _preprocessor = new ClipPreprocessor(clip.Options.ImageSize, options.Compatibility.ClipRescaling);
        _choices = new RandomDraws(context, options.Seed, "training/frames", FramesPerGarment * options.Batch);
        _order = new EpochOrder(options.Seed, "training/order", frames.Count);
        if (options.Batch < 2 || options.Batch > frames.Count)
        {
            throw new ModelException($"a batch of {options.Batch} garments does not do: contrast needs 2 at least, and there are {frames.Count}");
        }
    }

    /// <summary>The encoder.</summary>
    public ClipVisionModel Clip { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<TrainedModule> Modules => [new("clip", Clip)];

    /// <inheritdoc/>
    public override double EpochsAfter(long steps) => (double)steps * _options.Batch / _frames.Count;

    /// <inheritdoc/>
    public override Tensor Loss(long step)
    {
        using var scope = TensorScope.Begin();
        var n = _options.Batch;
        var choices = _choices[step];
        var size = Clip.Options.ImageSize;
        var each = size * size * 3;
        var pixels = new float[FramesPerGarment * n * each];

        // A batch ends with its epoch, so that no garment is in it twice.
        var batches = _frames.Count / n;
        var first = (step / batches * _frames.Count) + (step % batches * n);
        for (var i = 0; i < n; i++)
        {
            var clip = _order[first + i];
            for (var j = 0; j < FramesPerGarment; j++)
            {
                var frame = RandomDraws.Choose(choices[(i * FramesPerGarment) + j], _frames.Frames(clip));
                _preprocessor.Preprocess(_frames.Picture(clip, frame)).CopyTo(pixels.AsSpan(((j * n) + i) * each));
            }
        }

        var features = Features(Tensor.FromArray<float>(_context, pixels, [FramesPerGarment * n, size, size, 3]));
        var (one, other) = (features.Narrow(0, n), features.Narrow(n, n));
        var partners = Tensor.FromArray<int>(_context, [.. Enumerable.Range(0, n)], [n]);
        var there = Functional.CrossEntropy(Functional.MatMul(one, other, transposeB: true, alpha: 1 / _options.Temperature), partners);
        var back = Functional.CrossEntropy(Functional.MatMul(other, one, transposeB: true, alpha: 1 / _options.Temperature), partners);
        return scope.Keep(Functional.Scale(Functional.Add(there, back), 0.5));
    }

    /// <summary>What pictures are compared by: the pooled output, of norm 1.</summary>
    /// <param name="pixels">Preprocessed pictures [n, size, size, 3].</param>
    /// <returns>[n, d].</returns>
    public Tensor Features(Tensor pixels)
    {
        using var scope = TensorScope.Begin();
        var pooled = Clip.Pool(Clip.Forward(pixels));
        return scope.Keep(Functional.NormalizeRows(pooled.Reshape(pooled.Shape[0], pooled.Shape[2]), NormEpsilon));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => Clip.Dispose();
}
