// What of an optimizer is set once; the learning rate changes and is not here.
namespace FashionFlow.Autograd.Optimization;

/// <summary>Settings of <see cref="AdamW"/>; the defaults are PyTorch's.</summary>
public sealed record AdamWOptions
{
    /// <summary>Decay of the first moment, in [0, 1).</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment, in [0, 1).</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the second moment; positive.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Weight decay, not negative.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>The norm of all gradients that they are clipped to, positive; infinity for no clipping.</summary>
    public double MaxNorm { get; init; } = double.PositiveInfinity;

    /// <summary>Fails unless every setting is in its range.</summary>
    /// <exception cref="ArgumentException">One is not; the message is one line that names it.</exception>
    public void Check()
    {
        Require(Beta1 is >= 0 and < 1, "beta1", Beta1, "in [0, 1)");
        Require(Beta2 is >= 0 and < 1, "beta2", Beta2, "in [0, 1)");
        Require(Epsilon > 0 && double.IsFinite(Epsilon), "epsilon", Epsilon, "positive");
        Require(WeightDecay >= 0 && double.IsFinite(WeightDecay), "weight decay", WeightDecay, "a number from 0 on");
        Require(MaxNorm > 0, "the gradients' largest norm", MaxNorm, "positive");
    }

    private static void Require(bool holds, string what, double value, string range)
    {
        if (!holds)
        {
            throw new ArgumentException(FormattableString.Invariant($"{what} is {value}, not {range}"));
        }
    }
}
