// The tape: operators are written down as they run, and read backwards to find gradients.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

/// <summary>
/// Reverse-mode differentiation (Griewank and Walther 2008, chapter 3). While a tape is the innermost of its thread,
/// operators of <see cref="Functional"/> on tensors that require a gradient are recorded:
/// <code>
/// weight.RequireGradient();
/// using (var tape = Tape.Begin())
/// {
///     using var loss = ...;
///     tape.Backward(loss);
/// }
/// var gradient = weight.Gradient();
/// </code>
/// A tape keeps what backward needs alive, whoever disposes it meanwhile, and frees it as the backward pass goes: after it
/// nothing but the leaves' gradients lives. Differentiation is of first order: the backward pass itself is not recorded.
/// </summary>
public sealed class Tape : IDisposable
{
    [ThreadStatic]
    private static Tape? t_current;

    private readonly Tape? _enclosing = t_current;
    private readonly List<TapeNode> _nodes = [];
    private bool _closed;
    private bool _used;

    private Tape()
    {
    }

    /// <summary>Whether operators on this thread are recorded.</summary>
    public static bool IsRecording => t_current is not null;

    /// <summary>Operators recorded and not yet passed back through.</summary>
    public int Count => _nodes.Count;

    /// <summary>The operator recorded last; null before the first.</summary>
    internal string? LastOperation => _nodes.Count > 0 ? _nodes[^1].Operation : null;

    /// <summary>Starts a tape; it records until it is disposed.</summary>
    public static Tape Begin() => t_current = new Tape();

    /// <summary>Stops recording until the result is disposed.</summary>
    public static IDisposable NoGrad() => new Pause();

    /// <summary>
    /// Records an operator, if a tape is running and an input requires a gradient. Operators call it on their result, as in
    /// <c>Tape.Record("Silu", y, [x], [x], call => call.Set(0, Ops.SiluBackward(call.Saved(0), call.Gradient)))</c>.
    /// </summary>
    /// <param name="operation">The operator's name, for messages.</param>
    /// <param name="result">What it made.</param>
    /// <param name="inputs">What it is a function of; null for inputs left out.</param>
    /// <param name="saved">What its backward needs to see, kept until then; null for what it does not need this time.</param>
    /// <param name="backward">Gives the inputs' gradients. It must not refer to tensors but through the call.</param>
    /// <returns>The result.</returns>
    public static Tensor Record(
        string operation, Tensor result, ReadOnlySpan<Tensor?> inputs, ReadOnlySpan<Tensor?> saved, BackwardFunction backward)
    {
        NonFiniteGuard.Check(operation, result, isBackward: false);
        foreach (var input in inputs)
        {
            if (input?.History is not null)
            {
                return RecordAlways(operation, result, inputs, saved, backward);
            }
        }

        return result;
    }

    /// <summary>Finds the gradients of all leaves that a result depends on, and adds them to what the leaves have.</summary>
    /// <param name="result">What was computed under this tape.</param>
    /// <param name="gradient">The gradient to start with, of the result's shape; null is 1, for a result of one element.</param>
    /// <exception cref="InvalidOperationException">The result depends on no leaf, or this tape was used before.</exception>
    /// <exception cref="ArgumentException">The gradient does not fit the result.</exception>
    public void Backward(Tensor result, Tensor? gradient = null)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        if (_used)
        {
            throw new InvalidOperationException("a tape goes backward once; record the operators again on a new one");
        }

        if (result.History is not Variable variable)
        {
            throw new InvalidOperationException($"{result} does not depend on a tensor that requires a gradient");
        }

        if (variable.Recorder is { } recorder && recorder != this)
        {
            throw new InvalidOperationException($"{result} was computed under another tape, or one that is over");
        }

        if (gradient is null ? result.Count != 1 : gradient.Shape != result.Shape || gradient.DType != result.DType)
        {
            throw new ArgumentException(
                gradient is null ? $"a gradient must be given to start from for {result}, which is not one element" : $"a gradient {gradient} does not fit {result}",
                nameof(gradient));
        }

        _used = true;
        using (NoGrad())
        {
            using (var one = gradient is null ? TensorScope.Detach(Ops.Full(result.Context, result.Shape, 1, result.DType)) : null)
            {
                // A reference of our own, so that not even a leaf takes the caller's tensor for its gradient.
                using var start = TensorScope.Detach((gradient ?? one!).AddReference());
                variable.Accumulate(start);
            }

            while (_nodes.Count > 0)
            {
                using var node = _nodes[^1];
                node.Backward();
                _nodes.RemoveAt(_nodes.Count - 1);
            }
        }
    }

    /// <summary>Stops recording and frees what is still kept.</summary>
    /// <exception cref="InvalidOperationException">A tape or a pause inside it still runs.</exception>
    public void Dispose()
    {
        if (_closed)
        {
            return;
        }

        if (t_current != this)
        {
            throw new InvalidOperationException("a tape closes before one inside it, or on another thread than it was begun on");
        }

        _closed = true;
        t_current = _enclosing;
        for (; _nodes.Count > 0; _nodes.RemoveAt(_nodes.Count - 1))
        {
            _nodes[^1].Dispose();
        }
    }

    /// <summary>As <see cref="Record"/>, whether or not an input requires a gradient: for operators that reach leaves of their own.</summary>
    internal static Tensor RecordAlways(
        string operation, Tensor result, ReadOnlySpan<Tensor?> inputs, ReadOnlySpan<Tensor?> saved, BackwardFunction backward)
    {
        // A result that is its input's memory, as a cast to the same type is, has that history already.
        if (t_current is not { } tape || result.History is not null)
        {
            return result;
        }

        var variables = new Variable?[inputs.Length];
        for (var i = 0; i < inputs.Length; i++)
        {
            variables[i] = inputs[i]?.History as Variable;
            if (variables[i] is { IsOver: true })
            {
                throw new InvalidOperationException(
                    $"{operation}: input {i}, {inputs[i]}, was computed under a tape that is over; Functional.Detach gives a tensor without that past");
            }
        }

        var output = new Variable(result, tape);
        tape._nodes.Add(new TapeNode(operation, variables, output, saved, backward));
        result.History = output;
        return result;
    }

    private sealed class Pause : IDisposable
    {
        private readonly Tape? _paused = t_current;
        private bool _over;

        public Pause() => t_current = null;

        public void Dispose()
        {
            if (!_over)
            {
                _over = true;
                t_current = _paused;
            }
        }
    }
}
