// Cases of Functional.Elementwise.cs.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

internal sealed class ElementwiseGradients : IGradCheckCases
{
    private static readonly Shape s_odd = [3, 7];

    public static IEnumerable<GradCheckCase> Cases =>
    [
        Binary("Add", Functional.Add),
        Binary("AddScaled", (a, b) => Functional.AddScaled(a, b, -0.375)),
        new()
        {
            Operator = "Add",
            Variant = "of a tensor to itself",
            Inputs = [new("x", s_odd)],
            Run = x => Functional.Add(x[0], x[0]),
        },
        new()
        {
            Operator = "AddBroadcastRow",
            Variant = "[2, 3, 5] + [3, 5]",
            Inputs = [new("x", [2, 3, 5]), new("row", [3, 5])],
            Run = x => Functional.AddBroadcastRow(x[0], x[1]),
        },
        Unary("Scale", x => Functional.Scale(x, 1.75)),
        Unary("Clamp", x => Functional.Clamp(x, -0.5, 0.75)) with { Inputs = [new("x", s_odd) { Kinks = [-0.5, 0.75] }] },
        Unary("Silu", Functional.Silu),
        Unary("Gelu", Functional.Gelu),
        Unary("QuickGelu", Functional.QuickGelu),
        Unary("Detach", x => Functional.Add(Functional.Scale(x, 2), Functional.Scale(Functional.Detach(x), 0))),
        Unary("Narrow", x => x.Narrow(1, 2)),
        Unary("Reshape", x => Functional.Scale(x.Reshape(7, 3), 0.5)),
        new()
        {
            Operator = "Cast",
            Variant = "to the same type",
            Inputs = [new("x", s_odd)],
            Run = x => Functional.Cast(x[0], x[0].DType == DType.Float64 ? DType.Float64 : DType.Float32),
        },
    ];

    private static GradCheckCase Unary(string name, Func<Tensor, Tensor> run) => new()
    {
        Operator = name,
        Variant = $"{s_odd}",
        Inputs = [new("x", s_odd, Deviation: 2)],
        Run = x => run(x[0]),
    };

    private static GradCheckCase Binary(string name, Func<Tensor, Tensor, Tensor> run) => new()
    {
        Operator = name,
        Variant = $"{s_odd}",
        Inputs = [new("a", s_odd), new("b", s_odd)],
        Run = x => run(x[0], x[1]),
    };
}
