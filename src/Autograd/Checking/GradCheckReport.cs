// What a gradient check found, for people (a message) and for programs (numbers).
namespace FashionFlow.Autograd.Checking;

/// <summary>What is wrong with a backward.</summary>
public enum GradCheckFailureKind
{
    /// <summary>A gradient differs from the central differences.</summary>
    Value,

    /// <summary>A float32 gradient differs from the float64 one.</summary>
    Single,

    /// <summary>No gradient came for an input that asked for one.</summary>
    Missing,

    /// <summary>A gradient, or the result itself, is not a finite number.</summary>
    NotFinite,

    /// <summary>Two runs on the same inputs gave different bits.</summary>
    NotRepeatable,

    /// <summary>An input's gradient is another when no other input asks for one.</summary>
    Alone,

    /// <summary>Tensors outlive the backward pass, or more die than were made.</summary>
    Leak,

    /// <summary>An input, or the gradient that the backward started from, was written to.</summary>
    Overwritten,

    /// <summary>The result is not of the inputs' element type.</summary>
    Type,

    /// <summary>The operator or its backward failed; a gradient of a wrong size or type is one reason.</summary>
    Error,
}

/// <summary>One thing that is wrong.</summary>
/// <param name="Kind">What.</param>
/// <param name="Input">The input whose gradient it is; empty where no single one is to blame.</param>
/// <param name="Message">One line, without the operator's name.</param>
public sealed record GradCheckFailure(GradCheckFailureKind Kind, string Input, string Message)
{
    /// <summary>The worst element of the input, as a place in memory; null where no element is to blame.</summary>
    public long? Element { get; init; }

    /// <summary>What backward gives there.</summary>
    public double? Backward { get; init; }

    /// <summary>What it is held to: the central difference, another run, or the float64 gradient.</summary>
    public double? Expected { get; init; }
}

/// <summary>What a check of one case found.</summary>
public sealed record GradCheckReport
{
    /// <summary>The operator.</summary>
    public required string Operator { get; init; }

    /// <summary>The case's variant.</summary>
    public required string Variant { get; init; }

    /// <summary>How it was checked; fast also where full was asked for and the Jacobian is too large.</summary>
    public required GradCheckMode Mode { get; init; }

    /// <summary>The seed of inputs and random vectors.</summary>
    public required ulong Seed { get; init; }

    /// <summary>What is wrong; empty if nothing is.</summary>
    public required IReadOnlyList<GradCheckFailure> Failures { get; init; }

    /// <summary>The largest difference between backward and central differences; NaN if one is not a number.</summary>
    public required double WorstDifference { get; init; }

    /// <summary>The largest share of its tolerance that a difference takes: up to 1 is right.</summary>
    public required double WorstShare { get; init; }

    /// <summary>The largest difference of a float32 gradient from the float64 one, in float32 epsilons of the input's largest; null if not looked at.</summary>
    public required double? WorstSingle { get; init; }

    /// <summary>How long it took.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>What to run to see it again.</summary>
    public required string Reproduction { get; init; }

    /// <summary>Whether nothing is wrong.</summary>
    public bool Passed => Failures.Count == 0;

    /// <summary>A line for each thing that is wrong, with operator and variant in front, and one that says how to see it again; one line if all is well.</summary>
    public string Message
    {
        get
        {
            var name = Variant.Length == 0 ? Operator : $"{Operator} {Variant}";
            return Passed
                ? $"{name}: the gradients are right"
                : string.Join('\n', Failures.Select(failure => $"{name}: {failure.Message}").Append($"seed {Seed}; to see it again: {Reproduction}"));
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Message;
}

/// <summary>A gradient is wrong. The message is the report's.</summary>
public sealed class GradCheckException(GradCheckReport report) : Exception(report.Message)
{
    /// <summary>What was found.</summary>
    public GradCheckReport Report { get; } = report;
}
