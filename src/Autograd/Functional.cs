// Operators that can be differentiated: what layers call. One file a family; this one says what they have in common.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

/// <summary>
/// The operators of <see cref="Ops"/>, recorded on the running <see cref="Tape"/> where an input requires a gradient. Without
/// a tape each is the operator itself. Shapes, types and errors are those of the operator of the same name.
/// </summary>
public static partial class Functional
{
    /// <summary>The same values without their past: no gradient passes. A view of the same memory.</summary>
    public static Tensor Detach(Tensor x)
    {
        var y = x.AddReference();
        y.History = null;
        return y;
    }

    /// <summary>Whether an operator on these is recorded; null stands for inputs left out.</summary>
    private static bool IsRecorded(params ReadOnlySpan<Tensor?> inputs)
    {
        foreach (var input in inputs)
        {
            if (input is not null && input.RequiresGradient())
            {
                return Tape.IsRecording;
            }
        }

        return false;
    }

    /// <summary>The result of an operator that need not be recorded, seen by the guard all the same.</summary>
    private static Tensor Unrecorded(string operation, Tensor result)
    {
        NonFiniteGuard.Check(operation, result, isBackward: false);
        return result;
    }

    /// <summary>Gives the inputs their gradients in order; null where nobody wants one.</summary>
    private static void SetAll(BackwardCall call, params ReadOnlySpan<Tensor?> gradients)
    {
        for (var i = 0; i < gradients.Length; i++)
        {
            if (gradients[i] is { } gradient)
            {
                call.Set(i, gradient);
            }
        }
    }

    /// <summary>A tensor if its gradient is asked for, or the backward needs it because another's is; else null, so that it is not kept.</summary>
    private static Tensor? If(bool needed, Tensor? x) => needed ? x : null;
}
