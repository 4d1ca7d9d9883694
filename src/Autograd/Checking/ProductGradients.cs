// Linear layers and matrix products: every epilogue, every transpose, every way to share an operand.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

internal sealed class ProductGradients : IGradCheckCases
{
    public static IEnumerable<GradCheckCase> Cases =>
    [
        new()
        {
            Operator = "Linear",
            Variant = "[5, 7] to 3, no bias",
            Inputs = [new("x", [5, 7]), new("weight", [3, 7])],
            Run = x => Functional.Linear(x[0], x[1]),
        },
        new()
        {
            Operator = "Linear",
            Variant = "[7] to 3, bias",
            Inputs = [new("x", [7]), new("weight", [3, 7]), new("bias", [3])],
            Run = x => Functional.Linear(x[0], x[1], x[2]),
        },
        .. from epilogue in Enum.GetValues<Epilogue>()
           select new GradCheckCase
           {
               Operator = "Linear",
               Variant = $"[2, 3, 5] to 4, bias, residual, {epilogue}",
               Inputs = [new("x", [2, 3, 5]), new("weight", [4, 5], Deviation: 0.5), new("bias", [4]), new("residual", [2, 3, 4])],
               Run = x => Functional.Linear(x[0], x[1], x[2], epilogue, x[3]),
           },
        .. from transposeA in (bool[])[false, true]
           from transposeB in (bool[])[false, true]
           from leading in ((int[] A, int[] B)[])[([], []), ([2, 2], [2, 2]), ([3], []), ([], [3])]
           let a = (Shape)(int[])[.. leading.A, transposeA ? 5 : 3, transposeA ? 3 : 5]
           let b = (Shape)(int[])[.. leading.B, transposeB ? 4 : 5, transposeB ? 5 : 4]
           select new GradCheckCase
           {
               Operator = "MatMul",
               Variant = $"{a}{(transposeA ? "^T" : "")} by {b}{(transposeB ? "^T" : "")}",
               Inputs = [new("a", a), new("b", b)],
               Run = x => Functional.MatMul(x[0], x[1], transposeA, transposeB, alpha: 0.75),
           },
        new()
        {
            Operator = "MatMul",
            Variant = "of a matrix by itself",
            Inputs = [new("a", [4, 4])],
            Run = x => Functional.MatMul(x[0], x[0], transposeB: true),
        },
    ];
}
