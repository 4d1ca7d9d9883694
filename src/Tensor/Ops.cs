// The operators on tensors: what layers call. One file a family; this one holds what the families share.
using System.Numerics;
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors;

/// <summary>
/// Operators. Each checks its operands, launches kernels on the context's stream and returns a new tensor; none reads device
/// data on the host. All accept float and double, those that inference needs the half types too; all operands live in one context.
/// Activations are channels-last. Half types are computed with in float, and each result is rounded once.
/// </summary>
/// <remarks>Errors: <see cref="ArgumentException"/> with one line that names the operator, the operand and the shapes.</remarks>
public static partial class Ops
{
    /// <summary>Most elements of a tensor that kernels take: their 32-bit indices may run a block past the end.</summary>
    private const int MaxCount = int.MaxValue - 8191;

    /// <summary>Threads a block of kernels that map elements.</summary>
    private const int ElementwiseThreads = 256;

    /// <summary>Blocks of <paramref name="threads"/> threads that give each of <paramref name="count"/> items (one at least) a thread.</summary>
    private static LaunchShape Cover(long count, int threads = ElementwiseThreads) => new(checked((int)((count - 1) / threads)) + 1, threads);

    /// <summary>
    /// The launch of a kernel built on <c>row_tile</c> (kernels/include/rows.cuh). Threads along x are a power of two that
    /// divides the row's 16-byte vectors (elements, where there are none): 32 if it can be, and rows too odd for 8 leave lanes idle.
    /// </summary>
    /// <param name="rows">Rows, one at least.</param>
    /// <param name="columns">Columns of a row, one at least.</param>
    /// <param name="parts">The lengths, or-ed, of the parts that a row is looped over in; their common power of two is what counts.</param>
    private static LaunchShape CoverRows(int rows, int columns, int? parts = null)
    {
        const int Threads = 256;
        const int ColumnsPerTile = 1024;
        var lanes = Lanes(parts ?? columns);
        var x = Math.Min(lanes & -lanes, 32);
        if (x < 8)
        {
            x = Math.Min((int)BitOperations.RoundUpToPowerOf2((uint)Lanes(columns)), 32);
        }

        return new(CeilingDivide(rows, Threads / x) * CeilingDivide(columns, ColumnsPerTile), new Dim3(x, Threads / x));

        static int Lanes(int width) => width % 4 == 0 ? width / 4 : width;
    }

    private static int CeilingDivide(int count, int size) => (int)(((long)count + size - 1) / size);

    /// <summary>A count as kernels take it; <paramref name="what"/> names it in the error.</summary>
    private static int CheckedInt32(long value, string what)
        => value <= int.MaxValue ? (int)value : throw new ArgumentException($"{what}: {value} is more than 2^31 - 1");

    /// <summary>A tensor of undefined contents with the element type and context of <paramref name="x"/>.</summary>
    private static Tensor Like(Tensor x, Shape shape) => Tensor.Empty(x.Context, shape, x.DType);

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

    /// <summary>
    /// Fails unless an operand's elements are float or double and few enough for a kernel's indices: for operators without kernels
    /// of half types, which are the gradients, training, sampling and random numbers.
    /// </summary>
    private static void RequireFloating(Tensor x, [CallerMemberName] string operation = "")
        => RequireFloating(x.Shape, x.DType, halves: false, operation);

    /// <summary>The same for operators with kernels of half types.</summary>
    private static void RequireFloatingOrHalf(Tensor x, [CallerMemberName] string operation = "")
        => RequireFloating(x.Shape, x.DType, halves: true, operation);

    private static void RequireFloating(Shape shape, DType type, bool halves, string operation)
    {
        if (!(type is DType.Float32 or DType.Float64 || (halves && type.IsHalf())))
        {
            throw UnsupportedType(type, halves, operation);
        }

        Require(shape.Count <= MaxCount, $"shape {shape} holds more than {MaxCount} elements", operation);
    }

    /// <summary>A tensor of undefined contents that a kernel can fill.</summary>
    private static Tensor NewFloating(
        DeviceContext context, Shape shape, DType type, bool halves = false, [CallerMemberName] string operation = "")
    {
        RequireFloating(shape, type, halves, operation);
        return Tensor.Empty(context, shape, type);
    }

    /// <summary>The number of elements as kernels count them.</summary>
    private static int CountInt32(Tensor x, [CallerMemberName] string operation = "")
    {
        Require(x.Count <= MaxCount, $"{x} holds more than {MaxCount} elements", operation);
        return (int)x.Count;
    }

    /// <summary>The error for an element type that an operator has no kernel for; <paramref name="halves"/>: it has them for half types.</summary>
    private static ArgumentException UnsupportedType(DType type, bool halves, [CallerMemberName] string operation = "")
        => new($"{operation}: no kernel for elements of type {type}; {(halves ? "Float32, Float64, Float16 and BFloat16" : "Float32 and Float64")} are supported");

    /// <inheritdoc cref="UnsupportedType(DType, bool, string)"/>
    private static ArgumentException UnsupportedType(Tensor x, bool halves, [CallerMemberName] string operation = "")
        => UnsupportedType(x.DType, halves, operation);

    /// <summary>Elements of two bytes as kernels take them that only move them.</summary>
    private static DevicePointer<ushort> Words(Tensor x) => Bytes(x).Cast<ushort>();

    /// <summary>Fails unless an operand has so many axes; <paramref name="layout"/> says which, such as "[n, h, w, c]".</summary>
    private static void RequireRank(Tensor x, int rank, string layout, [CallerMemberName] string operation = "")
        => Require(x.Shape.Rank == rank, $"x is {x.Shape}, expected {layout}", operation);

    /// <summary>Fails unless both operands have one floating-point type, which may be a half type, and one context.</summary>
    private static void RequireAlike(Tensor a, Tensor b, [CallerMemberName] string operation = "")
    {
        RequireFloatingOrHalf(a, operation);
        RequireFloatingOrHalf(b, operation);
        Require(a.DType == b.DType, $"operands of different element types, {a} and {b}", operation);
        Require(a.Context == b.Context, $"operands of different device contexts, {a} and {b}", operation);
    }

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
