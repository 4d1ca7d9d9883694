// What automatic differentiation knows of a tensor: the hook by which it follows values through views.
namespace FashionFlow.Tensors;

/// <summary>
/// Where a tensor's values came from, for automatic differentiation (FashionFlow.Autograd). Views of all elements share
/// it; a view of some elements is an operator of its own.
/// </summary>
public abstract class TensorHistory
{
    /// <summary>A range of a tensor's first axis was taken: its history may be recorded on the view.</summary>
    /// <param name="source">The whole.</param>
    /// <param name="view">Rows [start, start + view.Shape[0]) of it.</param>
    /// <param name="start">The first row.</param>
    protected internal abstract void Narrowed(Tensor source, Tensor view, int start);

    /// <summary>A tensor that has this history was disposed.</summary>
    protected internal virtual void Released(Tensor tensor)
    {
    }
}
