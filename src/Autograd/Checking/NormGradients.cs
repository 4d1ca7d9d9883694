// Cases of Functional.Norm.cs.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

internal sealed class NormGradients : IGradCheckCases
{
    private const double Eps = 1e-5;

    public static IEnumerable<GradCheckCase> Cases =>
    [
        GroupNorm([2, 3, 5, 16], 4, modulated: true, silu: true),
        GroupNorm([2, 5, 16], 4, modulated: false, silu: true),
        GroupNorm([1, 7, 12], 3, modulated: true, silu: false),
        GroupNorm([2, 3, 10], 5, modulated: true, silu: true),
        GroupNorm([3, 4, 6], 2, modulated: false, silu: false),
        GroupNorm([2, 33, 8], 2, modulated: false, silu: true),
        LayerNorm([5, 7]),
        LayerNorm([3, 12]),
        LayerNorm([3, 19, 8]),
        LayerNorm([3, 130]),
        LayerNorm([5, 32]),
        ChanLayerNorm([2, 3, 2, 1, 7], shift: false),
        ChanLayerNorm([2, 3, 2, 1, 7], shift: true),
        ChanLayerNorm([1, 1, 2, 2, 6], shift: true),
        ChanLayerNorm([1, 3, 1, 2, 5], shift: true, deviation: 1e-3),
        new()
        {
            Operator = "TokenShift",
            Variant = "[2, 3, 2, 2, 5]",
            Inputs = [new("x", [2, 3, 2, 2, 5])],
            Run = x => Functional.TokenShift(x[0]),
        },
    ];

    private static GradCheckCase GroupNorm(Shape shape, int groups, bool modulated, bool silu) => new()
    {
        Operator = "GroupNorm",
        Variant = $"{shape} in {groups}{(modulated ? ", modulated" : string.Empty)}{(silu ? ", SiLU" : string.Empty)}",
        Inputs =
        [
            new("x", shape),
            new("weight", [shape[-1]], Mean: 1, Deviation: 0.5),
            new("bias", [shape[-1]]),
            .. modulated ? (GradCheckInput[])[new("scaleShift", [shape[0], 2 * shape[-1]], Deviation: 0.5)] : [],
        ],
        Run = x => Functional.GroupNorm(x[0], groups, x[1], x[2], Eps, modulated ? x[3] : null, silu),
    };

    private static GradCheckCase LayerNorm(Shape shape) => new()
    {
        Operator = "LayerNorm",
        Variant = $"{shape}",
        Inputs = [new("x", shape), new("weight", [shape[-1]], Mean: 1, Deviation: 0.5), new("bias", [shape[-1]])],
        Run = x => Functional.LayerNorm(x[0], x[1], x[2], Eps),
    };

    /// <summary>A deviation of 1 keeps variances far above eps, one of a thousandth keeps them below it: neither comes near the kink.</summary>
    private static GradCheckCase ChanLayerNorm(Shape shape, bool shift, double deviation = 1) => new()
    {
        Operator = "ChanLayerNorm",
        Variant = $"{shape}{(shift ? ", shifted" : string.Empty)}{(deviation == 1 ? string.Empty : ", variance below eps")}",
        Inputs = [new("x", shape, Deviation: deviation), new("g", [shape[-1]], Mean: 1, Deviation: 0.5)],
        Run = x => Functional.ChanLayerNorm(x[0], x[1], Eps, shift),
    };
}
