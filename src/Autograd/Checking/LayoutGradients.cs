// Cases of Functional.Layout.cs and Functional.Geglu.cs.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

internal sealed class LayoutGradients : IGradCheckCases
{
    public static IEnumerable<GradCheckCase> Cases =>
    [
        Binary("ConcatChannels", "[2, 3, 5 + 4], a scaled", [2, 3, 5], [2, 3, 4], (a, b) => Functional.ConcatChannels(a, 0.625, b)),
        Binary("ConcatChannels", "[3, 4 + 8] of whole vectors", [3, 4], [3, 8], (a, b) => Functional.ConcatChannels(a, -1.5, b)),
        new()
        {
            Operator = "ConcatChannels",
            Variant = "of a tensor with itself",
            Inputs = [new("x", [3, 5])],
            Run = x => Functional.ConcatChannels(x[0], 0.5, x[0]),
        },
        Binary("ConcatChannels", "whose b is a constant", [3, 5], [3, 2], (a, b) => Functional.ConcatChannels(a, 2, b), ofB: false),
        Binary("ConcatTokens", "[2, 3 + 2, 5]", [2, 3, 5], [2, 2, 5], Functional.ConcatTokens),
        Binary("ConcatTokens", "whose a is a constant", [1, 3, 4], [1, 2, 4], (a, b) => Functional.ConcatTokens(b, a), ofB: false),
        Unary("SliceChannels", "2..5 of [2, 3, 7]", [2, 3, 7], x => Functional.SliceChannels(x, 2, 3)),
        Unary("SliceChannels", "4..8 of [3, 12]", [3, 12], x => Functional.SliceChannels(x, 4, 4)),
        Unary("Permute", "[2, 3, 4] to [2, 0, 1], a transposition", [2, 3, 4], x => Functional.Permute(x, 2, 0, 1)),
        Unary("Permute", "[2, 3, 2, 3] to [3, 1, 0, 2], any order", [2, 3, 2, 3], x => Functional.Permute(x, 3, 1, 0, 2)),
        Unary("Permute", "[5, 1, 3] to [1, 0, 2], which moves nothing", [5, 1, 3], x => Functional.Scale(Functional.Permute(x, 1, 0, 2), 0.5)),
        Unary("SpaceToDepth", "[1, 2, 4, 6, 3]", [1, 2, 4, 6, 3], x => Functional.SpaceToDepth(x)),
        Unary("SpaceToDepth", "[1, 1, 3, 3, 5] by 3", [1, 1, 3, 3, 5], x => Functional.SpaceToDepth(x, 3)),
        Unary("DepthToSpace", "[1, 2, 2, 3, 12]", [1, 2, 2, 3, 12], x => Functional.DepthToSpace(x)),
        Unary("FoldFrames", "[2, 4, 2, 3, 3]", [2, 4, 2, 3, 3], Functional.FoldFrames),
        Unary("UnfoldFrames", "[2, 2, 2, 3, 6]", [2, 2, 2, 3, 6], Functional.UnfoldFrames),
        Unary("UpsampleNearest2x", "[2, 3, 2, 5]", [2, 3, 2, 5], Functional.UpsampleNearest2x),
        MaxPool([2, 4, 2, 3]),
        MaxPool([1, 3, 5, 4]),
        Unary("Geglu", "[3, 10]", [3, 10], Functional.Geglu),
        Unary("Geglu", "[2, 3, 16] of whole vectors", [2, 3, 16], Functional.Geglu),
    ];

    // The choice of a maximum does not change while elements lie further apart than a difference reaches.
    private static GradCheckCase MaxPool(Shape shape) => new()
    {
        Operator = "MaxPool2x2",
        Variant = $"{shape}",
        Inputs = [new("x", shape) { Separation = GradCheckInput.KinkDistance }],
        Run = x => Functional.MaxPool2x2(x[0]),
    };

    private static GradCheckCase Unary(string name, string variant, Shape shape, Func<Tensor, Tensor> run) => new()
    {
        Operator = name,
        Variant = variant,
        Inputs = [new("x", shape)],
        Run = x => run(x[0]),
    };

    private static GradCheckCase Binary(string name, string variant, Shape a, Shape b, Func<Tensor, Tensor, Tensor> run, bool ofB = true) => new()
    {
        Operator = name,
        Variant = variant,
        Inputs = [new("a", a), new("b", b, Differentiable: ofB)],
        Run = x => run(x[0], x[1]),
    };
}
