// A smoothed copy of the weights: what samples are drawn from, while training goes on with the weights themselves.
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Autograd.Optimization;

/// <summary>
/// An exponential moving average of an optimizer's parameters (Polyak and Juditsky 1992, in the form of Ho et al. 2020, arXiv
/// 2006.11239): <c>average = d average + (1 - d) weight</c> after each step, by one launch for all. d is the decay or, with
/// warm-up, min(decay, (1 + t) / (10 + t)) at the optimizer's step t, so that the first weights are soon forgotten. A step that
/// did not count moves nothing.
/// <code>
/// optimizer.Step();
/// average.Update();
/// ...
/// using (average.Apply())
/// {
///     // the parameters hold the averages: sample, or save the model
/// }
/// </code>
/// </summary>
public sealed class ExponentialMovingAverage : IDisposable
{
    private readonly AdamW _optimizer;
    private readonly Tensor _flat;
    private readonly Tensor[] _views;
    private Application? _application;

    /// <summary>An average that starts as the parameters are now.</summary>
    /// <param name="optimizer">The optimizer; it must outlive the average.</param>
    /// <param name="decay">In [0, 1).</param>
    /// <param name="warmUp">Whether the decay starts low.</param>
    /// <exception cref="ArgumentException">The decay is out of its range.</exception>
    public ExponentialMovingAverage(AdamW optimizer, double decay = 0.9999, bool warmUp = true)
    {
        if (decay is not (>= 0 and < 1))
        {
            throw new ArgumentException(FormattableString.Invariant($"the average's decay is {decay}, not in [0, 1)"), nameof(decay));
        }

        optimizer.CheckNotLentOut();
        (_optimizer, Decay, WarmUp) = (optimizer, decay, warmUp);
        _flat = Bucket.Values.NewFlat();
        _views = Bucket.Views(_flat);
        for (var i = 0; i < _views.Length; i++)
        {
            _views[i].CopyFrom(Bucket.Values.Tensors[i]);
        }
    }

    /// <summary>The decay.</summary>
    public double Decay { get; }

    /// <summary>Whether it starts low.</summary>
    public bool WarmUp { get; }

    /// <summary>Whether the averages are in the weights' place at the moment.</summary>
    public bool IsApplied => _application is not null;

    private GradientBucket Bucket => _optimizer.Bucket;

    /// <summary>A parameter's average, of its shape; a view that belongs to the average.</summary>
    /// <exception cref="KeyNotFoundException">There is no such parameter.</exception>
    /// <exception cref="InvalidOperationException">The averages are in the weights' place.</exception>
    public Tensor this[string name]
    {
        get
        {
            _optimizer.CheckNotLentOut();
            return _views[Bucket.IndexOf(name)];
        }
    }

    /// <summary>Follows a step of the optimizer.</summary>
    /// <exception cref="InvalidOperationException">A moving average is in the weights' place.</exception>
    public void Update()
    {
        _optimizer.CheckNotLentOut();
        Ops.MovingAverage(Bucket.Values, _flat, _optimizer.Control, Decay, WarmUp);
    }

    /// <summary>Exchanges weights and averages until the result is disposed; then every bit is as before. No memory is taken.</summary>
    /// <exception cref="InvalidOperationException">A moving average is in the weights' place already.</exception>
    public IDisposable Apply()
    {
        _optimizer.CheckNotLentOut();
        Ops.Exchange(Bucket.Values, _flat);
        _optimizer.IsLentOut = true;
        return _application = new Application(this);
    }

    /// <summary>The state as named tensors: "ema.NAME" for each parameter, in its shape, read when the file is written.</summary>
    /// <exception cref="InvalidOperationException">The averages are in the weights' place.</exception>
    public IReadOnlyList<SafetensorsTensor> State()
    {
        _optimizer.CheckNotLentOut();
        return [.. _views.Select((view, i) => new SafetensorsTensor(NameOf(i), view))];
    }

    /// <summary>Takes up a state that <see cref="State"/> gave, bit for bit. Other tensors of the file are left alone.</summary>
    /// <exception cref="SafetensorsException">A tensor is missing, or of another type or shape; nothing was changed.</exception>
    /// <exception cref="InvalidOperationException">The averages are in the weights' place.</exception>
    public void Load(SafetensorsFile file)
    {
        _optimizer.CheckNotLentOut();
        for (var i = 0; i < _views.Length; i++)
        {
            file.Require(NameOf(i), _views[i].DType, _views[i].Shape);
        }

        for (var i = 0; i < _views.Length; i++)
        {
            file.Load(NameOf(i), _views[i]);
        }
    }

    /// <summary>Gives the weights back if the averages are in their place, and frees the averages.</summary>
    public void Dispose()
    {
        _application?.Dispose();
        foreach (var view in _views)
        {
            view.Dispose();
        }

        _flat.Dispose();
    }

    private string NameOf(int index) => $"ema.{Bucket.Names[index]}";

    private void Return()
    {
        Ops.Exchange(Bucket.Values, _flat);
        _application = null;
        _optimizer.IsLentOut = false;
    }

    private sealed class Application(ExponentialMovingAverage average) : IDisposable
    {
        private bool _over;

        public void Dispose()
        {
            if (!_over)
            {
                _over = true;
                average.Return();
            }
        }
    }
}
