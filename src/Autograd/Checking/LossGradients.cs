// Cases of Functional.Loss.cs and Functional.Embedding.cs.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

internal sealed class LossGradients : IGradCheckCases
{
    private static readonly Shape s_video = [2, 3, 2, 3, 4];

    public static IEnumerable<GradCheckCase> Cases =>
    [
        Unary("Sum", "[3, 7]", [3, 7], Functional.Sum),
        Unary("Mean", "[3, 7]", [3, 7], Functional.Mean),
        OfPair("MeanSquaredError", "[3, 7]", [3, 7], Functional.MeanSquaredError),
        OfPair("MeanSquaredError", "to a constant", [3, 7], Functional.MeanSquaredError, ofTarget: false),
        OfPair("FrameLoss", $"{s_video}, summed", s_video, (prediction, target) => Functional.FrameLoss(prediction, target, FrameReduction.Sum)),
        OfPair(
            "FrameLoss",
            $"{s_video}, mean, to a constant",
            s_video,
            (prediction, target) => Functional.FrameLoss(prediction, target, FrameReduction.Mean),
            ofTarget: false),
        Unary("KlDivergence", "[2, 3, 2, 8]", [2, 3, 2, 8], Functional.KlDivergence),
        new()
        {
            Operator = "KlDivergence",
            Variant = "[5, 6], log-variances about the lower clamp",
            Inputs = [new("moments", [5, 6], Mean: -30, Deviation: 4) { Kinks = [-30] }],
            Run = x => Functional.KlDivergence(x[0]),
        },
        Unary("CrossEntropy", "[4, 7]", [4, 7], x => Functional.CrossEntropy(x, Classes(x, 6, 0, 3, 3))),
        Unary("CrossEntropy", "[2, 33]", [2, 33], x => Functional.CrossEntropy(x, Classes(x, 32, 5))),
        Unary("MeanTokens", "[2, 5, 3]", [2, 5, 3], Functional.MeanTokens),
        Unary("NormalizeRows", "[3, 7]", [3, 7], x => Functional.NormalizeRows(x)),
        Unary("NormalizeRows", "[2, 3], of rows shorter than eps", [2, 3], x => Functional.NormalizeRows(x, eps: 100)),
    ];

    private static Tensor Classes(Tensor logits, params int[] classes) => Tensor.FromArray<int>(logits.Context, classes, [classes.Length]);

    private static GradCheckCase Unary(string name, string variant, Shape shape, Func<Tensor, Tensor> run) => new()
    {
        Operator = name,
        Variant = variant,
        Inputs = [new("x", shape)],
        Run = x => run(x[0]),
    };

    private static GradCheckCase OfPair(string name, string variant, Shape shape, Func<Tensor, Tensor, Tensor> run, bool ofTarget = true) => new()
    {
        Operator = name,
        Variant = variant,
        Inputs = [new("prediction", shape), new("target", shape, Differentiable: ofTarget)],
        Run = x => run(x[0], x[1]),
    };
}
