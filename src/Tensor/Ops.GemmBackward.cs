// Gradients of linear layers and matrix products: products again, of the result's gradient with what the forward multiplied.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>The gradient of <see cref="Linear"/>'s x: gradient weight.</summary>
    /// <param name="gradient">Of the result: [.., n].</param>
    /// <param name="weight">[n, k].</param>
    /// <returns>[.., k].</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor LinearBackwardInput(Tensor gradient, Tensor weight)
    {
        Require(weight.Shape.Rank == 2, $"weight must be [n, k], not {weight.Shape}");
        Require(
            gradient.Shape.Rank >= 1 && gradient.Shape[-1] == weight.Shape[0],
            $"the gradient {gradient.Shape} does not end in the {weight.Shape[0]} rows of weight {weight.Shape}");
        RequireFloating(gradient);
        RequireAlike(gradient, weight);
        var (n, k) = (weight.Shape[0], weight.Shape[1]);
        Require(n > 0 && k > 0, $"weight {weight.Shape} is empty");
        var dx = Like(gradient, gradient.Shape.With(-1, k));
        GradientByWeight(gradient, weight, CheckedInt32(gradient.Count / n, $"rows of gradient {gradient.Shape}"), n, k, dx);
        return dx;
    }

    /// <summary>The gradient of <see cref="Linear"/>'s weight: gradient^T x, summed over all rows.</summary>
    /// <param name="x">[.., k].</param>
    /// <param name="gradient">Of the result: [.., n].</param>
    /// <returns>[n, k]; zeros where there are no rows.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor LinearBackwardWeight(Tensor x, Tensor gradient)
    {
        Require(
            x.Shape.Rank >= 1 && x.Shape.Rank == gradient.Shape.Rank && x.Shape.With(-1, gradient.Shape[-1]) == gradient.Shape,
            $"leading axes differ in x {x.Shape} and gradient {gradient.Shape}");
        RequireFloating(x);
        RequireAlike(x, gradient);
        var (n, k) = (gradient.Shape[-1], x.Shape[-1]);
        Require(n > 0 && k > 0, $"x {x.Shape} or gradient {gradient.Shape} has no columns");
        var dw = Like(x, [n, k]);
        GradientByRows(x, gradient, CheckedInt32(x.Count / k, $"rows of x {x.Shape}"), n, k, dw);
        return dw;
    }

    /// <summary>The gradient of <see cref="MatMul"/>'s a: alpha gradient op(b)^T, transposed if a is; summed over the matrices that share a.</summary>
    /// <param name="gradient">Of the result: [.., m, n].</param>
    /// <param name="b">As in the product.</param>
    /// <param name="a">The shape of a.</param>
    /// <param name="transposeA">As in the product.</param>
    /// <param name="transposeB">As in the product.</param>
    /// <param name="alpha">As in the product.</param>
    /// <returns>Of a's shape.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor MatMulBackwardA(Tensor gradient, Tensor b, Shape a, bool transposeA = false, bool transposeB = false, double alpha = 1)
    {
        RequireFloating(gradient);
        if (gradient.Count == 0)
        {
            return Tensor.Zeros(gradient.Context, a, gradient.DType);
        }

        var da = transposeA ? MatMul(b, gradient, transposeB, true, alpha) : MatMul(gradient, b, false, !transposeB, alpha);
        return SumOverSharing(da, a);
    }

    /// <summary>The gradient of <see cref="MatMul"/>'s b: alpha op(a)^T gradient, transposed if b is; summed over the matrices that share b.</summary>
    /// <param name="a">As in the product.</param>
    /// <param name="gradient">Of the result: [.., m, n].</param>
    /// <param name="b">The shape of b.</param>
    /// <param name="transposeA">As in the product.</param>
    /// <param name="transposeB">As in the product.</param>
    /// <param name="alpha">As in the product.</param>
    /// <returns>Of b's shape.</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor MatMulBackwardB(Tensor a, Tensor gradient, Shape b, bool transposeA = false, bool transposeB = false, double alpha = 1)
    {
        RequireFloating(gradient);
        if (gradient.Count == 0)
        {
            return Tensor.Zeros(gradient.Context, b, gradient.DType);
        }

        if (b.Rank == 2 && !transposeA && a.Shape.Rank > 2 && a.Shape.Rank == gradient.Shape.Rank)
        {
            // The rows of all matrices follow each other, and so the sum over matrices is part of one product's.
            var rows = CheckedInt32(a.Count / a.Shape[-1], $"rows of a {a.Shape}");
            using var x = a.Reshape(rows, a.Shape[-1]);
            using var dy = gradient.Reshape(rows, gradient.Shape[-1]);
            return transposeB ? MatMul(dy, x, true, false, alpha) : MatMul(x, dy, true, false, alpha);
        }

        var db = transposeB ? MatMul(gradient, a, true, transposeA, alpha) : MatMul(a, gradient, !transposeA, false, alpha);
        return SumOverSharing(db, b);
    }

    /// <summary>The sum over leading axes that an operand does not have.</summary>
    private static Tensor SumOverSharing(Tensor gradient, Shape operand)
    {
        if (gradient.Shape.Rank == operand.Rank)
        {
            return gradient;
        }

        using (gradient)
        {
            return SumRows(gradient, operand);
        }
    }

    /// <summary>to [rows, k] = gradient [rows, n] weight [n, k], all as they lie.</summary>
    private static void GradientByWeight(Tensor gradient, Tensor weight, int rows, int n, int k, Tensor to)
        => Product(
            to.Context,
            new GemmDescription
            {
                ElementType = to.DType,
                AccumulationType = to.DType,
                M = rows,
                N = k,
                K = n,
                LeadingDimensionA = n,
                LeadingDimensionB = k,
                LeadingDimensionC = k,
            },
            Bytes(gradient),
            Bytes(weight),
            default,
            default,
            to);

    /// <summary>to [n, k] = gradient^T x for gradient [rows, n] and x [rows, k] as they lie.</summary>
    private static void GradientByRows(Tensor x, Tensor gradient, int rows, int n, int k, Tensor to)
    {
        if (rows == 0)
        {
            Fill(to, 0);
            return;
        }

        Product(
            to.Context,
            new GemmDescription
            {
                ElementType = to.DType,
                AccumulationType = to.DType,
                M = n,
                N = k,
                K = rows,
                TransposeA = true,
                LeadingDimensionA = n,
                LeadingDimensionB = k,
                LeadingDimensionC = k,
            },
            Bytes(gradient),
            Bytes(x),
            default,
            default,
            to);
    }
}
