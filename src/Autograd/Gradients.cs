// Leaves: the tensors whose gradient is asked for, and where to find it.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

/// <summary>What differentiation adds to a tensor.</summary>
public static class Gradients
{
    /// <summary>Whether operators on this tensor are recorded: it is a leaf, or was computed from one.</summary>
    public static bool RequiresGradient(this Tensor tensor) => tensor.History is not null;

    /// <summary>Makes a tensor a leaf: backward passes gather its gradient, which lives until it is cleared or the tensor is disposed.</summary>
    /// <param name="tensor">Float32 or Float64.</param>
    /// <param name="buffer">Memory of the tensor's shape and type in which the gradient gathers on top of what is there; null for none.</param>
    /// <returns>The tensor itself.</returns>
    /// <exception cref="InvalidOperationException">The tensor was computed from leaves, or is one already.</exception>
    /// <exception cref="ArgumentException">The elements are of another type, or the buffer does not fit.</exception>
    public static Tensor RequireGradient(this Tensor tensor, Tensor? buffer = null)
    {
        if (tensor.History is not null)
        {
            throw new InvalidOperationException($"{tensor} is a leaf or computed from one already; Functional.Detach gives a tensor that is not");
        }

        if (tensor.DType is not (DType.Float32 or DType.Float64))
        {
            throw new ArgumentException($"{tensor} has no gradient: Float32 and Float64 are supported", nameof(tensor));
        }

        if (buffer is not null && (buffer.Shape != tensor.Shape || buffer.DType != tensor.DType || buffer.Context != tensor.Context))
        {
            throw new ArgumentException($"a gradient buffer {buffer} does not fit {tensor}", nameof(buffer));
        }

        tensor.History = Variable.OfLeaf(tensor, buffer);
        return tensor;
    }

    /// <summary>The gradient that has gathered for a leaf; null if none has, and for tensors that are no leaves. It belongs to the leaf.</summary>
    public static Tensor? Gradient(this Tensor tensor) => tensor.History is Variable { IsLeaf: true } leaf ? leaf.Gradient : null;

    /// <summary>Forgets a leaf's gradient; one that gathers in a buffer becomes zero.</summary>
    public static void ClearGradient(this Tensor tensor)
    {
        if (tensor.History is Variable { IsLeaf: true } leaf)
        {
            leaf.Clear();
        }
    }
}
