// The operators on tensors: what layers call. One file a family; this one holds what the families share.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors;

/// <summary>
/// Operators. Each checks its operands, launches kernels on the context's stream and returns a new tensor; none reads device
/// data on the host. All accept float and double, and all operands live in one context. Activations are channels-last.
/// </summary>
/// <remarks>Errors: <see cref="ArgumentException"/> with one line that names the operator, the operand and the shapes.</remarks>
public static partial class Ops
{
    /// <summary>Threads a block of kernels that map elements.</summary>
    private const int ElementwiseThreads = 256;

    /// <summary>Blocks of <paramref name="threads"/> threads that give each of <paramref name="count"/> items (one at least) a thread.</summary>
    private static LaunchShape Cover(long count, int threads = ElementwiseThreads)
        => new(checked((int)((count + threads - 1) / threads)), threads);

    /// <summary>Fails with "operation: message" unless a condition on the operands holds. The message is built only if it does not.</summary>
    private static void Require(
        bool holds,
        [InterpolatedStringHandlerArgument(nameof(holds))] ref RequirementMessage message,
        [CallerMemberName] string operation = "")
    {
        if (!holds)
        {
            throw new ArgumentException($"{operation}: {message.ToStringAndClear()}");
        }
    }

    /// <summary>Fails unless both tensors have one element type and one context.</summary>
    private static void RequireAlike(Tensor a, Tensor b, [CallerMemberName] string operation = "")
    {
        Require(a.DType == b.DType, $"operands of different element types, {a} and {b}", operation);
        Require(a.Context == b.Context, $"operands of different device contexts, {a} and {b}", operation);
    }

    /// <summary>The number of elements as kernels count them.</summary>
    /// <exception cref="ArgumentException">More than 2^31 - 1.</exception>
    private static int CountInt32(Tensor x, [CallerMemberName] string operation = "")
    {
        Require(x.Count <= int.MaxValue, $"{x} holds more than 2^31 - 1 elements", operation);
        return (int)x.Count;
    }

    /// <summary>The error for an element type that an operator has no kernel for.</summary>
    private static ArgumentException UnsupportedType(Tensor x, [CallerMemberName] string operation = "")
        => new($"{operation}: no kernel for elements of type {x.DType}; Float32 and Float64 are supported");

    /// <summary>The message of a requirement: formatted only when the requirement fails.</summary>
    [InterpolatedStringHandler]
    private ref struct RequirementMessage
    {
        private DefaultInterpolatedStringHandler _text;

        public RequirementMessage(int literalLength, int formattedCount, bool holds, out bool format)
        {
            format = !holds;
            _text = format ? new DefaultInterpolatedStringHandler(literalLength, formattedCount) : default;
        }

        public void AppendLiteral(string text) => _text.AppendLiteral(text);

        public void AppendFormatted<T>(T value) => _text.AppendFormatted(value);

        public string ToStringAndClear() => _text.ToStringAndClear();
    }
}
