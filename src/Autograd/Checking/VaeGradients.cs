// Cases of Functional.Vae.cs.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

internal sealed class VaeGradients : IGradCheckCases
{
    public static IEnumerable<GradCheckCase> Cases =>
    [
        new()
        {
            Operator = "PosteriorSample",
            Variant = "[1, 3, 2, 4]",
            Inputs = [new("moments", [1, 3, 2, 8]), new("noise", [1, 3, 2, 4], Differentiable: false)],
            Run = x => Functional.PosteriorSample(x[0], x[1], 0.18215),
        },
        new()
        {
            Operator = "PosteriorSample",
            Variant = "[5, 3], log-variances about the lower clamp",
            Inputs = [new("moments", [5, 6], Mean: -30, Deviation: 4) { Kinks = [-30] }, new("noise", [5, 3], Differentiable: false)],
            Run = x => Functional.PosteriorSample(x[0], x[1], 1),
        },
        new()
        {
            Operator = "PosteriorMean",
            Variant = "[1, 3, 2, 4]",
            Inputs = [new("moments", [1, 3, 2, 8])],
            Run = x => Functional.PosteriorMean(x[0], 0.18215),
        },
    ];
}
