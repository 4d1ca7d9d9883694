// Lifetimes by blocks of code: a tensor made while a scope is open dies with it, unless it is kept.
namespace FashionFlow.Tensors;

/// <summary>
/// Owns the tensors made while it is the innermost open scope of its thread, and disposes them when it closes:
/// <code>
/// using var scope = TensorScope.Begin();
/// ...
/// return scope.Keep(y);
/// </code>
/// Scopes are a stack a thread and close in reverse order; they do not follow an <c>await</c> to another thread. Tensors
/// made while no scope is open belong to whoever made them. A tensor may be disposed before its scope ends.
/// </summary>
public sealed class TensorScope : IDisposable
{
    [ThreadStatic]
    private static TensorScope? t_innermost;

    private readonly TensorScope? _enclosing;
    private readonly List<Tensor> _tensors = [];
    private bool _closed;

    private TensorScope(TensorScope? enclosing) => _enclosing = enclosing;

    /// <summary>Opens a scope inside the current one.</summary>
    public static TensorScope Begin() => t_innermost = new TensorScope(t_innermost);

    /// <summary>Moves a tensor to the enclosing scope, or to the caller's ownership if there is none, and returns it.</summary>
    /// <remarks>A tensor that this scope does not own (an input handed through) stays where it is.</remarks>
    public Tensor Keep(Tensor tensor)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        if (tensor.Scope == this)
        {
            Remove(tensor);
            _enclosing?.Add(tensor);
        }

        return tensor;
    }

    /// <summary>Takes a tensor out of whatever scope owns it, to the caller's ownership, and returns it: for parameters and caches.</summary>
    public static Tensor Detach(Tensor tensor)
    {
        tensor.Scope?.Remove(tensor);
        return tensor;
    }

    /// <summary>Disposes the scope's tensors, the last one first.</summary>
    /// <exception cref="InvalidOperationException">A scope inside it is still open, or it was opened by another thread.</exception>
    public void Dispose()
    {
        if (_closed)
        {
            return;
        }

        if (t_innermost != this)
        {
            throw new InvalidOperationException("a tensor scope closes before one inside it, or on another thread than it was opened on");
        }

        t_innermost = _enclosing;
        _closed = true;
        while (_tensors.Count > 0)
        {
            _tensors[^1].Dispose();
        }
    }

    /// <summary>Gives a new tensor to the innermost scope, if one is open.</summary>
    internal static void Adopt(Tensor tensor) => t_innermost?.Add(tensor);

    /// <summary>Forgets a tensor: it was disposed or moved.</summary>
    internal void Remove(Tensor tensor)
    {
        // The last tensor takes the place of the removed one, so that a long loop's early disposals cost nothing.
        var last = _tensors[^1];
        _tensors[tensor.ScopeIndex] = last;
        last.ScopeIndex = tensor.ScopeIndex;
        _tensors.RemoveAt(_tensors.Count - 1);
        tensor.Scope = null;
    }

    private void Add(Tensor tensor)
    {
        tensor.Scope = this;
        tensor.ScopeIndex = _tensors.Count;
        _tensors.Add(tensor);
    }
}
