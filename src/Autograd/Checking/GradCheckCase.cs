// One row of the gradient table: an operator, what it is applied to, and where it has kinks.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

/// <summary>An operator with inputs, for <c>GradCheck</c>: one declaration drives the check in double and the one in float.</summary>
public sealed record GradCheckCase
{
    /// <summary>The operator's name, as <c>fashionflow gradcheck --op</c> takes it: "GroupNorm". Empty: what it records last on the tape.</summary>
    public required string Operator { get; init; }

    /// <summary>What is special here: "[2, 3, 5, 64] in 8, modulated". Operator and variant together are unique.</summary>
    public required string Variant { get; init; }

    /// <summary>The inputs, in the order that <see cref="Run"/> takes them.</summary>
    public required GradCheckInput[] Inputs { get; init; }

    /// <summary>Applies the operator, through <see cref="Functional"/> or a module, to inputs on the device.</summary>
    public required Func<Tensor[], Tensor> Run { get; init; }

    /// <summary>
    /// How far a float32 gradient may be from the float64 one, in float32 epsilons (2^-23) of the input's largest gradient element.
    /// The default, 512 (6e-5), has room for sums of some thousands of terms, whose rounding errors grow as a random walk, and for a norm's
    /// cancellation; a wrong constant or formula is off by more. Whoever allows more says why.
    /// </summary>
    public double SingleEpsilons { get; init; } = 512;

    /// <inheritdoc/>
    public override string ToString() => Variant.Length == 0 ? Operator : $"{Operator} {Variant}";
}

/// <summary>An input of a <see cref="GradCheckCase"/>; its values are drawn from the check's seed.</summary>
/// <param name="Name">As in the operator's signature: "weight".</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Mean">Mean of its values.</param>
/// <param name="Deviation">Their standard deviation.</param>
/// <param name="Differentiable">Whether its gradient is checked.</param>
public sealed record GradCheckInput(string Name, Shape Shape, double Mean = 0, double Deviation = 1, bool Differentiable = true)
{
    /// <summary>
    /// Values at which the operator has no derivative: no element is drawn within <see cref="KinkDistance"/> of one. Declared by
    /// the operator, since finite differences across a kink tell nothing.
    /// </summary>
    public double[] Kinks { get; init; } = [];

    /// <summary>Least distance of two elements of this input from each other; for operators that choose between elements, as a maximum does.</summary>
    public double Separation { get; init; }

    /// <summary>The values themselves, row-major, instead of drawn ones; the caller sees to kinks and separation then.</summary>
    public double[]? Values { get; init; }

    /// <summary>The distance kept from <see cref="Kinks"/>: a thousand times the step of the differences.</summary>
    public const double KinkDistance = 1e-3;
}

/// <summary>A family of cases; <see cref="GradCheckTable"/> lists the families.</summary>
internal interface IGradCheckCases
{
    /// <summary>The family's cases.</summary>
    static abstract IEnumerable<GradCheckCase> Cases { get; }
}
