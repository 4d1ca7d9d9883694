// What a gradient check is told: how thoroughly, from which seed, how far two numbers may differ.
using FashionFlow.Gpu;

namespace FashionFlow.Autograd.Checking;

/// <summary>How much of the Jacobian is looked at.</summary>
public enum GradCheckMode
{
    /// <summary>
    /// Every element: rows by a backward pass from each element of the result, columns by central differences in each element of each
    /// input. A Jacobian of more than <see cref="GradCheckOptions.LargestJacobian"/> elements is checked as by <see cref="Fast"/>.
    /// </summary>
    Full,

    /// <summary>
    /// Products with random vectors: v'Ju from a backward pass that starts with v, and from a central difference along u, for every
    /// input and <see cref="GradCheckOptions.Directions"/> pairs of vectors. Where one does not hold, every element of the input is
    /// looked at, to name the wrong one.
    /// </summary>
    Fast,
}

/// <summary>Options of <see cref="GradCheck"/>. Steps and tolerances are those of <c>torch.autograd.gradcheck</c>.</summary>
public sealed record GradCheckOptions
{
    /// <summary>A Jacobian of more elements than this (128 MiB) is not written out.</summary>
    public const long LargestJacobian = 1 << 24;

    /// <summary>Pairs of random vectors in fast mode: one pair can miss an error that happens to cancel, four do not.</summary>
    public const int Directions = 4;

    /// <summary>The default: everything, seed 0.</summary>
    public static GradCheckOptions Default { get; } = new();

    /// <summary>How much is looked at.</summary>
    public GradCheckMode Mode { get; init; }

    /// <summary>The seed of inputs and random vectors.</summary>
    public ulong Seed { get; init; }

    /// <summary>
    /// The step of the differences, to either side: of one element in full mode, along a direction of length 1 in fast mode. 1e-6 makes
    /// an error of some 1e-10 by rounding (2^-53 / 1e-6) and of 1e-12 by curvature (step squared).
    /// </summary>
    public double Step { get; init; } = 1e-6;

    /// <summary>The difference allowed beside <see cref="RelativeTolerance"/>: PyTorch's.</summary>
    public double AbsoluteTolerance { get; init; } = 1e-5;

    /// <summary>The difference allowed, relative to the central difference: PyTorch's.</summary>
    public double RelativeTolerance { get; init; } = 1e-3;

    /// <summary>Whether the float32 backward is held to the float64 one; off for operators that know one type alone.</summary>
    public bool Single { get; init; } = true;

    /// <summary>The order of the derivatives. Only 1 can be checked, since a backward pass is not recorded.</summary>
    public int Order { get; init; } = 1;

    /// <summary>
    /// The schedules that a backward pass must give the same bits under, where the device can be told: lanes masked, and other orders of
    /// blocks and warps. Three orders, as one may happen to leave two warps as they were.
    /// </summary>
    internal static IReadOnlyList<LaunchSchedule> Schedules { get; } =
    [
        new() { MaskLanes = true },
        new() { OrderSeed = 1 },
        new() { OrderSeed = 2 },
        new() { OrderSeed = 3, MaskLanes = true },
    ];

    /// <summary>Whether the numbers make sense.</summary>
    /// <exception cref="ArgumentException">They do not.</exception>
    internal void Validate()
    {
        if (Order != 1)
        {
            throw new ArgumentException($"GradCheck: derivatives of order {Order} cannot be checked: differentiation is of first order, a backward pass is not recorded");
        }

        if (!(Step > 0) || !(AbsoluteTolerance >= 0) || !(RelativeTolerance >= 0))
        {
            throw new ArgumentException($"GradCheck: step {Step} must be above 0, tolerances {AbsoluteTolerance} and {RelativeTolerance} not below");
        }
    }
}
