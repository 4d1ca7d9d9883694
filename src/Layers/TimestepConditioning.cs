// Turns a timestep into the vector that steers the residual blocks.
using FashionFlow.Autograd;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>t [b] to [b, 4 dim]: sinusoidal embedding of width dim (sines, then cosines), linear, SiLU.</summary>
public sealed class TimestepConditioning : Module
{
    private readonly int _dim;
    private readonly Linear _linear;

    /// <summary>Describes the layer.</summary>
    public TimestepConditioning(int dim)
    {
        _dim = dim;
        _linear = Add("1", new Linear(dim, dim * 4));
    }

    /// <summary>Applies the layer to float timesteps.</summary>
    public Tensor Forward(Tensor timestep)
    {
        using var scope = TensorScope.Begin();
        var embedding = Ops.TimestepEmbedding(timestep, _dim);
        if (embedding.DType != _linear.Type)
        {
            embedding = Functional.Cast(embedding, _linear.Type);
        }

        return Return(scope, _linear.Forward(embedding, Epilogue.Silu));
    }
}
