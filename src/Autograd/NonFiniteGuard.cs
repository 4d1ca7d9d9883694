// The debug mode that stops at the first number that is none, and says where it arose.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

/// <summary>A result or a gradient is infinite or no number.</summary>
public sealed class NonFiniteException : Exception
{
    /// <summary>The error.</summary>
    /// <param name="operation">The operator that gave it.</param>
    /// <param name="isBackward">Whether its backward did.</param>
    /// <param name="call">The kernel or library that ran last.</param>
    public NonFiniteException(string operation, bool isBackward, object? call)
        : base($"{(isBackward ? "the backward pass of " : "")}{operation} gave a value that is infinite or no number; it came from {call ?? "the host"}")
        => (Operation, IsBackward, Call) = (operation, isBackward, call?.ToString());

    /// <summary>The error at its place in a larger piece of work.</summary>
    /// <param name="where">The place.</param>
    /// <param name="error">What was found there.</param>
    public NonFiniteException(string where, NonFiniteException error)
        : base($"{where}: {error.Message}", error)
        => (Operation, IsBackward, Call) = (error.Operation, error.IsBackward, error.Call);

    /// <summary>An error whose operator is not known.</summary>
    public NonFiniteException(string message)
        : base(message)
    {
    }

    /// <summary>The operator; null where it is not known.</summary>
    public string? Operation { get; }

    /// <summary>Whether its backward gave the value.</summary>
    public bool IsBackward { get; }

    /// <summary>The kernel or library that ran last; null if none did.</summary>
    public string? Call { get; }
}

/// <summary>
/// While one lives, every operator of <see cref="Functional"/> on its thread is followed by a look at its result, and every
/// backward by one at the gradients that it gave. Each look waits for the device: this is for finding a fault, not for use.
/// </summary>
public sealed class NonFiniteGuard : IDisposable
{
    [ThreadStatic]
    private static NonFiniteGuard? t_current;

    private readonly NonFiniteGuard? _enclosing = t_current;

    private NonFiniteGuard()
    {
    }

    /// <summary>Starts to look.</summary>
    public static NonFiniteGuard Begin() => t_current = new NonFiniteGuard();

    /// <summary>Stops looking.</summary>
    public void Dispose() => t_current = _enclosing;

    /// <summary>Whether every value of a floating-point tensor is a finite number. It waits for the device.</summary>
    public static bool IsFinite(Tensor tensor)
    {
        using var found = TensorScope.Detach(Tensor.Zeros(tensor.Context, [1], Gpu.DType.Int32));
        Ops.FindNonFinite(tensor, found);
        return found.ToArray<int>()[0] == 0;
    }

    /// <summary>Looks at a tensor, if somebody asked for it.</summary>
    /// <exception cref="NonFiniteException">It holds a number that is none.</exception>
    internal static void Check(string operation, Tensor tensor, bool isBackward)
    {
        if (t_current is null || tensor.DType is not (Gpu.DType.Float32 or Gpu.DType.Float64))
        {
            return;
        }

        var call = tensor.Context.Device.Kernels.LastCall;
        if (!IsFinite(tensor))
        {
            throw new NonFiniteException(operation, isBackward, call);
        }
    }
}
