// Cases of Functional.Attention.cs.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

internal sealed class AttentionGradients : IGradCheckCases
{
    // Short sequences and long ones go different ways, so each way has its cases.
    public static IEnumerable<GradCheckCase> Cases =>
    [
        Attention("[2, 3, 10] to 5, 2 heads, bias", [2, 3, 10], nk: 5, heads: 2, bias: true),
        Attention("[1, 12, 8] to 16, 1 head", [1, 12, 8], nk: 16, heads: 1, bias: false),
        Attention("[2, 18, 6] to 5, 2 heads, bias", [2, 18, 6], nk: 5, heads: 2, bias: true),
        Attention("along frames [1, 3, 4, 6] to 3, 2 heads, bias", [1, 3, 4, 6], nk: 3, heads: 2, bias: true),
        Attention("along frames [2, 3, 2, 4] to 17, 1 head, bias", [2, 3, 2, 4], nk: 17, heads: 1, bias: true),
        AttentionKv("[2, 7, 6] to 7, 2 heads, bias", [2, 7, 6], nk: 7, heads: 2, bias: true),
        AttentionKv("[1, 5, 6] to 20, 3 heads", [1, 5, 6], nk: 20, heads: 3, bias: false),
        AttentionKv("along frames [2, 4, 3, 6] to 4, 2 heads, bias", [2, 4, 3, 6], nk: 4, heads: 2, bias: true),
        PositionBias(5),
        PositionBias(3, 4),
        PositionBias(2, 3, 2),
    ];

    private static GradCheckCase Attention(string variant, Shape q, int nk, int heads, bool bias) => new()
    {
        Operator = "Attention",
        Variant = variant,
        Inputs = [new("q", q), new("k", q.With(1, nk)), new("v", q.With(1, nk)), .. BiasInput(q, nk, heads, bias)],
        Run = x => Functional.Attention(x[0], x[1], x[2], heads, Scale(q, heads), bias ? x[3] : null, Axis(q)),
    };

    private static GradCheckCase AttentionKv(string variant, Shape q, int nk, int heads, bool bias) => new()
    {
        Operator = "AttentionKv",
        Variant = variant,
        Inputs = [new("q", q), new("kv", q.With(1, nk).With(-1, 2 * q[-1])), .. BiasInput(q, nk, heads, bias)],
        Run = x => Functional.AttentionKv(x[0], x[1], heads, Scale(q, heads), bias ? x[2] : null, Axis(q)),
    };

    private static GradCheckCase PositionBias(params int[] dimensions) => new()
    {
        Operator = "PositionBias",
        Variant = $"{new Shape(dimensions)}, 3 heads",
        Inputs = [new("table", [dimensions.Aggregate(1, (count, d) => count * ((2 * d) - 1)), 3])],
        Run = x => Functional.PositionBias(x[0], dimensions),
    };

    private static GradCheckInput[] BiasInput(Shape q, int nk, int heads, bool bias) => bias ? [new("bias", [heads, q[1], nk])] : [];

    private static double Scale(Shape q, int heads) => 1 / Math.Sqrt(q[-1] / heads);

    private static AttentionAxis Axis(Shape q) => q.Rank == 4 ? AttentionAxis.Frames : AttentionAxis.Tokens;
}
