// Layer normalisation of the last axis.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>Layer normalisation (Ba et al. 2016) of x [.., c] over c, with weight and bias.</summary>
public sealed class LayerNorm : Module
{
    private readonly double _epsilon;
    private readonly Parameter _weight;
    private readonly Parameter _bias;

    /// <summary>Describes the norm.</summary>
    public LayerNorm(int channels, double epsilon = 1e-5)
    {
        _epsilon = epsilon;
        _weight = Declare("weight", [channels], Initialization.One);
        _bias = Declare("bias", [channels], Initialization.Zero(channels));
    }

    /// <summary>Normalises.</summary>
    public Tensor Forward(Tensor x)
    {
        using var scope = TensorScope.Begin();
        return Return(scope, Functional.LayerNorm(x, _weight.Value, _bias.Value, _epsilon));
    }
}
