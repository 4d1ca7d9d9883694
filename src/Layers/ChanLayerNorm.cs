// The feed-forward's norm over channels: the variance is clamped from below, not added to.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>
/// (x - mean) / sqrt(max(variance, epsilon)) * g over the channels of x [b, f, h, w, c], optionally after the token shift
/// (channels from ceil(c/2) on come from the frame before, zeros at frame 0).
/// </summary>
public sealed class ChanLayerNorm : Module
{
    /// <summary>The lower bound of the variance that the reference uses for float32.</summary>
    public const double Float32Epsilon = 1e-5;

    /// <summary>The lower bound that it uses for half types, and so whenever it samples under autocast.</summary>
    public const double HalfEpsilon = 1e-3;

    private readonly Parameter _gain;

    /// <summary>Describes the norm.</summary>
    public ChanLayerNorm(int channels, double epsilon = Float32Epsilon)
    {
        Epsilon = epsilon;
        _gain = Declare("g", [channels, 1, 1, 1], Initialization.One, WeightLayout.Unchanged([channels]));
    }

    /// <summary>The lower bound of the variance.</summary>
    public double Epsilon { get; set; }

    /// <summary>Normalises, after the token shift if asked.</summary>
    public Tensor Forward(Tensor x, bool tokenShift = false)
    {
        using var scope = TensorScope.Begin();
        return Return(scope, Functional.ChanLayerNorm(x, _gain.Value, Epsilon, tokenShift));
    }
}
