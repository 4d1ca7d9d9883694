// Adam with decoupled weight decay, with the gradients' norm clipped, without a look from the host.
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Autograd.Optimization;

/// <summary>What is known of an optimizer after a step.</summary>
/// <param name="Step">Steps that counted.</param>
/// <param name="Skipped">Steps that did not, since a gradient was not finite; counted from this optimizer's making or loading.</param>
/// <param name="GradientNorm">The norm of all gradients at the last step, before clipping.</param>
/// <param name="ClipFactor">What the last step multiplied gradients by.</param>
/// <param name="LastStepCounted">Whether the last step changed anything; also false before the first.</param>
public readonly record struct AdamWStatus(long Step, long Skipped, double GradientNorm, double ClipFactor, bool LastStepCounted);

/// <summary>
/// AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2) in PyTorch's order:
/// <code>
/// g = gradient * min(1, max_norm / (norm + 1e-6))      norm over all gradients, Pascanu et al. 2013, arXiv 1211.5063
/// m = beta1 m + (1 - beta1) g
/// v = beta2 v + (1 - beta2) g^2
/// p = (1 - lr wd) p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
/// </code>
/// A step is three launches, however many parameters there are: two for the norm, an ordered sum in double, and one for the
/// update. Step counter, clip factor and learning rate live on the device, and nothing of a step waits for the host. A step
/// whose gradients have a norm that is not finite does not count: it leaves values, moments and counter as they are.
/// </summary>
public sealed class AdamW : IDisposable
{
    private const string StepName = "step";

    private readonly Tensor _averages;
    private readonly Tensor _squares;
    private readonly Tensor _partials;
    private readonly Tensor[] _averageViews;
    private readonly Tensor[] _squareViews;
    private double _learningRate;

    /// <summary>An optimizer at step 0, with moments of zero and a learning rate of <see cref="LearningRate"/>'s default.</summary>
    /// <param name="bucket">The parameters and their gradients; it must outlive the optimizer.</param>
    /// <param name="options">Settings; the defaults if not given.</param>
    /// <exception cref="ArgumentException">A setting is out of its range.</exception>
    public AdamW(GradientBucket bucket, AdamWOptions? options = null)
    {
        Options = options ?? new AdamWOptions();
        Options.Check();
        Bucket = bucket;
        _averages = bucket.Values.NewFlat();
        _squares = bucket.Values.NewFlat();
        _averageViews = bucket.Views(_averages);
        _squareViews = bucket.Views(_squares);
        _partials = TensorScope.Detach(Tensor.Empty(bucket.Context, [Ops.SumOfSquaresPartials(bucket.Flat.Count)], Gpu.DType.Float64));
        Control = TensorScope.Detach(Tensor.Zeros(bucket.Context, [AdamWControl.Length], Gpu.DType.Float64));
        LearningRate = 1e-4;
    }

    /// <summary>The parameters and their gradients.</summary>
    public GradientBucket Bucket { get; }

    /// <summary>The settings.</summary>
    public AdamWOptions Options { get; }

    /// <summary>The learning rate of the steps to come, not negative; 1e-4 at first. Setting it is a copy of 8 bytes to the device.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is negative or not finite.</exception>
    public double LearningRate
    {
        get => _learningRate;
        set
        {
            if (!double.IsFinite(value) || value < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(value), FormattableString.Invariant($"a learning rate of {value} is not a number from 0 on"));
            }

            _learningRate = value;
            using var place = Control.Narrow(AdamWControl.LearningRate, 1);
            place.CopyFrom<double>([value]);
        }
    }

    /// <summary>The control block of <see cref="AdamWControl"/>, for kernels that follow a step.</summary>
    internal Tensor Control { get; }

    /// <summary>Whether a moving average is in the weights' place at the moment.</summary>
    internal bool IsLentOut { get; set; }

    /// <summary>Updates the parameters by the gradients in the bucket, which stay. Launches alone: it can be captured in a graph.</summary>
    /// <exception cref="InvalidOperationException">A moving average is in the weights' place.</exception>
    public void Step()
    {
        CheckNotLentOut();
        Ops.SumOfSquares(Bucket.Flat, _partials);
        Ops.AdamWPrepare(_partials, Control, Options.MaxNorm, Options.Beta1, Options.Beta2, Options.WeightDecay);
        Ops.AdamW(Bucket.Values, Bucket.Flat, _averages, _squares, Control, Options.Beta1, Options.Beta2, Options.Epsilon);
    }

    /// <summary>Reads what is known of the last step. It waits for it.</summary>
    public AdamWStatus ReadStatus()
    {
        var control = Control.ToArray<double>();
        return new AdamWStatus(
            (long)control[AdamWControl.Step],
            (long)control[AdamWControl.Skipped],
            control[AdamWControl.Norm],
            control[AdamWControl.Clip],
            control[AdamWControl.Counts] != 0);
    }

    /// <summary>
    /// The state as named tensors: "step" (Int64, a scalar), and "exp_avg.NAME" and "exp_avg_sq.NAME" for each parameter, in its
    /// shape. The counter is read now, moments when the file is written.
    /// </summary>
    public IReadOnlyList<SafetensorsTensor> State() =>
    [
        SafetensorsTensor.Of<long>(StepName, [], [ReadStatus().Step]),
        .. NamedMoments().Select(moment => new SafetensorsTensor(moment.Name, moment.Tensor)),
    ];

    /// <summary>Takes up a state that <see cref="State"/> gave, bit for bit. Other tensors of the file are left alone.</summary>
    /// <exception cref="SafetensorsException">A tensor is missing, or of another type or shape; nothing was changed.</exception>
    /// <exception cref="InvalidDataException">The step is negative; nothing was changed.</exception>
    public void Load(SafetensorsFile file)
    {
        file.Require(StepName, Gpu.DType.Int64, []);
        var step = BitConverter.ToInt64(file.Bytes(StepName));
        if (step < 0)
        {
            throw new InvalidDataException($"an optimizer's state with a negative step, {step}");
        }

        foreach (var (name, tensor) in NamedMoments())
        {
            file.Require(name, tensor.DType, tensor.Shape);
        }

        foreach (var (name, tensor) in NamedMoments())
        {
            file.Load(name, tensor);
        }

        var control = new double[AdamWControl.Length];
        control[AdamWControl.LearningRate] = LearningRate;
        control[AdamWControl.Step] = step;
        Control.CopyFrom<double>(control);
    }

    /// <summary>Frees moments and control block.</summary>
    public void Dispose()
    {
        foreach (var view in (Tensor[])[.. _averageViews, .. _squareViews])
        {
            view.Dispose();
        }

        _averages.Dispose();
        _squares.Dispose();
        _partials.Dispose();
        Control.Dispose();
    }

    /// <summary>Fails while a moving average is in the weights' place.</summary>
    internal void CheckNotLentOut()
    {
        if (IsLentOut)
        {
            throw new InvalidOperationException("the weights are those of a moving average at the moment; dispose what Apply gave first");
        }
    }

    private IEnumerable<(string Name, Tensor Tensor)> NamedMoments()
    {
        for (var i = 0; i < Bucket.Names.Count; i++)
        {
            yield return ($"exp_avg.{Bucket.Names[i]}", _averageViews[i]);
            yield return ($"exp_avg_sq.{Bucket.Names[i]}", _squareViews[i]);
        }
    }
}
