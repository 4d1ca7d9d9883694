// What an operator's backward gets, and where it puts its results.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

/// <summary>
/// The backward of an operator: from the gradient of its result to those of its inputs, by <see cref="BackwardCall.Set"/>.
/// It runs inside a <see cref="TensorScope"/> of its own and is not recorded.
/// </summary>
public delegate void BackwardFunction(BackwardCall call);

/// <summary>One call of an operator's backward.</summary>
public sealed class BackwardCall
{
    private readonly TapeNode _node;

    internal BackwardCall(TapeNode node, Tensor gradient)
    {
        _node = node;
        Gradient = gradient;
    }

    /// <summary>The gradient of the operator's result, of its shape.</summary>
    public Tensor Gradient { get; }

    /// <summary>Whether somebody wants the gradient of an input; what nobody wants need not be computed.</summary>
    public bool Needs(int input) => _node.Inputs[input] is { IsOver: false } or { IsLeaf: false };

    /// <summary>A tensor that was kept for the backward, in the order given to <see cref="Tape.Record"/>.</summary>
    /// <exception cref="InvalidOperationException">It was not kept, or was overwritten since.</exception>
    public Tensor Saved(int index)
        => SavedOrNull(index) ?? throw new InvalidOperationException($"{_node.Operation}: its backward needs a tensor {index} that was not kept");

    /// <summary>As <see cref="Saved"/>; null where null was given.</summary>
    public Tensor? SavedOrNull(int index)
    {
        if (_node.Saved[index] is not { } saved)
        {
            return null;
        }

        return saved.Version == _node.SavedVersions[index]
            ? saved
            : throw new InvalidOperationException(
                $"{_node.Operation}: {saved} was overwritten in place after the forward pass and before the backward one, which needs it as it was");
    }

    /// <summary>Gives an input's gradient. It may be <see cref="Gradient"/> itself, or a view of it. Nothing happens if nobody wants it.</summary>
    /// <param name="input">The input's number, in the order given to <see cref="Tape.Record"/>.</param>
    /// <param name="gradient">As many elements, of the same type, as the input.</param>
    /// <exception cref="InvalidOperationException">The gradient does not fit the input.</exception>
    public void Set(int input, Tensor gradient)
    {
        if (!Needs(input))
        {
            return;
        }

        var variable = _node.Inputs[input]!;
        if (variable.IsOver)
        {
            throw new InvalidOperationException(
                $"{_node.Operation}: the gradient of input {input}, {variable.Type} {variable.Shape}, comes after the tape that made the input went backward");
        }

        if (gradient.Count != variable.Shape.Count || gradient.DType != variable.Type)
        {
            throw new InvalidOperationException(
                $"{_node.Operation}: its backward gave {gradient} for input {input}, which is {variable.Type} {variable.Shape}");
        }

        NonFiniteGuard.Check(_node.Operation, gradient, isBackward: true);
        variable.Accumulate(gradient);
    }
}
