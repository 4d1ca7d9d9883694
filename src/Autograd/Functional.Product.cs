// Linear layers and matrix products.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

public static partial class Functional
{
    /// <inheritdoc cref="Ops.Linear"/>
    /// <remarks>When it is recorded the epilogue is an operator of its own, since its gradient needs what it was applied to.</remarks>
    public static Tensor Linear(
        Tensor x, Tensor weight, Tensor? bias = null, Epilogue epilogue = Epilogue.None, Tensor? residual = null)
    {
        if (epilogue != Epilogue.None && IsRecorded(x, weight, bias, residual))
        {
            using var sum = Linear(x, weight, bias, Epilogue.None, residual);
            return Activate(sum, epilogue);
        }

        return Tape.Record(
            nameof(Linear),
            Ops.Linear(x, weight, bias, epilogue, residual),
            [x, weight, bias, residual],
            [If(weight.RequiresGradient(), x), If(x.RequiresGradient(), weight)],
            static call =>
            {
                var gradient = call.Gradient;
                if (call.Needs(0))
                {
                    call.Set(0, Ops.LinearBackwardInput(gradient, call.Saved(1)));
                }

                if (call.Needs(1))
                {
                    call.Set(1, Ops.LinearBackwardWeight(call.Saved(0), gradient));
                }

                SetSummed(call, 2, gradient);
                call.Set(3, gradient);
            });
    }

    /// <inheritdoc cref="Ops.MatMul"/>
    public static Tensor MatMul(Tensor a, Tensor b, bool transposeA = false, bool transposeB = false, double alpha = 1)
    {
        var (shapeA, shapeB) = (a.Shape, b.Shape);
        return Tape.Record(
            nameof(MatMul),
            Ops.MatMul(a, b, transposeA, transposeB, alpha),
            [a, b],
            [If(b.RequiresGradient(), a), If(a.RequiresGradient(), b)],
            call =>
            {
                if (call.Needs(0))
                {
                    call.Set(0, Ops.MatMulBackwardA(call.Gradient, call.Saved(1), shapeA, transposeA, transposeB, alpha));
                }

                if (call.Needs(1))
                {
                    call.Set(1, Ops.MatMulBackwardB(call.Saved(0), call.Gradient, shapeB, transposeA, transposeB, alpha));
                }
            });
    }

    /// <summary>Gives a bias its gradient, the sum over all rows (or pixels) of the result's.</summary>
    private static void SetSummed(BackwardCall call, int bias, Tensor gradient)
    {
        if (call.Needs(bias))
        {
            call.Set(bias, Ops.SumRows(gradient, [gradient.Shape[-1]]));
        }
    }
}
