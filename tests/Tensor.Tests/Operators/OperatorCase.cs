// One row of the operator table: an operator, its inputs, what it must give, and how exactly.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

/// <summary>
/// A case of an operator. One declaration drives every check that <see cref="OperatorTests"/> makes: the oracle, leaks,
/// untouched inputs, the same bits by either method of the virtual device, in any order of blocks and from any alignment,
/// for each element type and compute capability.
/// </summary>
/// <remarks>
/// To add an operator: implement <see cref="IOperatorCases"/> in a file of your own (see ElementwiseCases) and yield cases.
/// Take odd sizes (1, 3, 5, 31, 33, 127, 1025), sizes that fill vectors and warps exactly, and one that spans several blocks.
/// Nothing else is needed: classes that implement the interface are found, and a kernel that no case covers fails a test.
/// </remarks>
public sealed record OperatorCase
{
    /// <summary>The operator and what is special here: "Add [3, 5]". Unique in the table; the inputs' seed.</summary>
    public required string Name { get; init; }

    /// <summary>The element types of operators that inference needs.</summary>
    public static DType[] AllTypes { get; } = [DType.Float32, DType.Float64, DType.Float16, DType.BFloat16];

    /// <summary>
    /// The kernels that the case must launch, without the suffix of the element type: "add" stands for add_f32 where the case
    /// runs in float and for add_f64 in double. In a half type it is add_f16 or add_bf16, or _u16 where one kernel moves both. A name
    /// that is an entry as it stands is taken so ("random_bits_u32"). Empty for an operator that goes to the device's library alone.
    /// </summary>
    public required string[] Kernels { get; init; }

    /// <summary>The inputs; their values are drawn from the case's name.</summary>
    public Operand[] Inputs { get; init; } = [];

    /// <summary>Runs the operator. What it returns is compared and disposed; other tensors it makes die with its scope.</summary>
    public required Func<OperatorArguments, Tensor> Run { get; init; }

    /// <summary>
    /// The same in plain double arithmetic, from the formula and not from the kernel's way of computing it. Inputs are
    /// the values that the device gets (floats, or numbers of the half type, widened).
    /// </summary>
    public required Func<HostTensor[], HostTensor> Oracle { get; init; }

    /// <summary>How far from the oracle a result may be, and why.</summary>
    public required Tolerance Tolerance { get; init; }

    /// <summary>The element types that the case runs in: <see cref="AllTypes"/> where there are kernels of half types.</summary>
    public DType[] Types { get; init; } = [DType.Float32, DType.Float64];

    /// <summary>The result's element type, where it is not the one that the case runs in.</summary>
    public DType? ResultType { get; init; }

    /// <summary>The element type of an input where the case runs in <paramref name="type"/>.</summary>
    public DType TypeOf(int input, DType type) => Inputs[input].Type ?? type;

    /// <summary>Which way matrix products and convolutions go.</summary>
    public MatmulBackend Backend { get; init; }

    /// <summary>Whether the operator writes its inputs (an operator in place).</summary>
    public bool WritesInputs { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>What a case's <see cref="OperatorCase.Run"/> gets.</summary>
/// <param name="Context">Where to run.</param>
/// <param name="Type">The element type to run in.</param>
/// <param name="Inputs">The inputs on the device.</param>
public readonly record struct OperatorArguments(DeviceContext Context, DType Type, Tensor[] Inputs)
{
    /// <summary>An input.</summary>
    public Tensor this[int index] => Inputs[index];
}

/// <summary>A family of cases. Implementations are found by reflection.</summary>
public interface IOperatorCases
{
    /// <summary>The family's cases.</summary>
    static abstract IEnumerable<OperatorCase> Cases { get; }
}
