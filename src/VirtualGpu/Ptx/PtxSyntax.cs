// What the parser makes of PTX text: functions with registers, variables and statements, before any meaning is given to opcodes.
namespace FashionFlow.VirtualGpu.Ptx;

/// <summary>What an operand is written as.</summary>
internal enum PtxOperandKind : byte
{
    /// <summary>A register: <see cref="PtxOperand.Register"/>, an index into <see cref="PtxFunction.Registers"/>.</summary>
    Register,

    /// <summary>A special register, e.g. <c>%tid.x</c>, by name.</summary>
    Special,

    /// <summary>An integer literal.</summary>
    Integer,

    /// <summary>A literal of 32 bits, <c>0f3F800000</c>.</summary>
    Float32,

    /// <summary>A literal of 64 bits, <c>0d3FF0000000000000</c> or decimal.</summary>
    Float64,

    /// <summary>The name of a variable, function or label, with an offset.</summary>
    Symbol,

    /// <summary><c>[base+offset]</c>; the base is the operand in <see cref="PtxOperand.Elements"/>, absent for an absolute address.</summary>
    Address,

    /// <summary><c>{a, b, ...}</c> or the parenthesised list of a call.</summary>
    List,

    /// <summary><c>_</c>: a result that is thrown away.</summary>
    Sink,
}

/// <summary>An operand as written.</summary>
internal sealed class PtxOperand
{
    public required PtxOperandKind Kind { get; init; }

    public int Register { get; init; } = -1;

    /// <summary><c>!p</c> or <c>-x</c> in front of a register.</summary>
    public bool Negated { get; init; }

    public string Name { get; init; } = "";

    /// <summary>The bits of a literal, or the offset of an address or symbol.</summary>
    public long Value { get; init; }

    public IReadOnlyList<PtxOperand> Elements { get; init; } = [];

    /// <summary>The second destination of <c>p|q</c>.</summary>
    public PtxOperand? Second { get; set; }
}

/// <summary>One instruction, or a label where <see cref="Opcode"/> is empty.</summary>
internal sealed class PtxStatement
{
    public required int Line { get; init; }

    /// <summary>The opcode with all modifiers, e.g. <c>ld.global.nc.v4.f32</c>; empty for a label.</summary>
    public required string Opcode { get; init; }

    public string Label { get; init; } = "";

    /// <summary>The guard's predicate register, or -1.</summary>
    public int Guard { get; init; } = -1;

    public bool GuardNegated { get; init; }

    public IReadOnlyList<PtxOperand> Operands { get; init; } = [];
}

/// <summary>A register of a function.</summary>
internal readonly record struct PtxRegister(string Name, PtxType Type);

/// <summary>A parameter of a function, or a variable of its body.</summary>
internal sealed class PtxDeclaration
{
    public required string Name { get; init; }

    public required PtxSpace Space { get; init; }

    public required PtxType Type { get; init; }

    public required int Alignment { get; init; }

    public required long Bytes { get; init; }

    /// <summary>Declared with brackets.</summary>
    public required bool IsArray { get; init; }

    /// <summary><c>name[]</c>: dynamic shared memory.</summary>
    public bool IsUnsized { get; init; }

    public int Line { get; init; }
}

/// <summary>An entry or a device function.</summary>
internal sealed class PtxFunction
{
    public required string Name { get; init; }

    public required bool IsEntry { get; init; }

    public required int Line { get; init; }

    public List<PtxDeclaration> Results { get; } = [];

    public List<PtxDeclaration> Parameters { get; } = [];

    public List<PtxRegister> Registers { get; } = [];

    /// <summary>Variables in shared, local and param space that the body declares.</summary>
    public List<PtxDeclaration> Variables { get; } = [];

    public List<PtxStatement> Statements { get; } = [];

    /// <summary>Whether the text gives a body; a declaration alone is an extern function.</summary>
    public bool HasBody { get; set; }

    /// <summary>Most threads a block by <c>.maxntid</c>; 0 where it does not say.</summary>
    public int MaxThreads { get; set; }

    public Gpu.Dim3? RequiredThreads { get; set; }
}
