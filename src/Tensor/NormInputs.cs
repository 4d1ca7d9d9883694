// Which gradients of a normalisation are asked for.
namespace FashionFlow.Tensors;

/// <summary>Inputs of a normalisation; what nobody wants the gradient of is not computed.</summary>
[Flags]
public enum NormInputs
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>What is normalised.</summary>
    X = 1,

    /// <summary>What each normalised channel is multiplied with: weight, or the g of <see cref="Ops.ChanLayerNorm"/>.</summary>
    Weight = 2,

    /// <summary>What is added to each channel.</summary>
    Bias = 4,

    /// <summary>Scale and shift of each sample.</summary>
    ScaleShift = 8,

    /// <summary>All of them.</summary>
    All = X | Weight | Bias | ScaleShift,
}
