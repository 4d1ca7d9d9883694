// PTX's fundamental types and what the compiler asks about them.
namespace FashionFlow.VirtualGpu.Ptx;

/// <summary>A type suffix of an instruction or declaration (PTX ISA, "Fundamental Types").</summary>
internal enum PtxType : byte
{
    None,
    Pred,
    B8,
    B16,
    B32,
    B64,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    F16X2,
    BF16,
    BF16X2,
    F32,
    F64,
}

/// <summary>Where a memory instruction reaches (PTX ISA, "State Spaces").</summary>
internal enum PtxSpace : byte
{
    Generic,
    Global,
    Shared,
    Local,
    Param,
    Const,
}

internal static class PtxTypes
{
    /// <summary>Bytes of a value in memory; a predicate has none.</summary>
    public static int Size(this PtxType type) => type switch
    {
        PtxType.B8 or PtxType.U8 or PtxType.S8 => 1,
        PtxType.B16 or PtxType.U16 or PtxType.S16 or PtxType.F16 or PtxType.BF16 => 2,
        PtxType.B32 or PtxType.U32 or PtxType.S32 or PtxType.F32 or PtxType.F16X2 or PtxType.BF16X2 => 4,
        PtxType.B64 or PtxType.U64 or PtxType.S64 or PtxType.F64 => 8,
        _ => 0,
    };

    public static bool IsSigned(this PtxType type) => type is PtxType.S8 or PtxType.S16 or PtxType.S32 or PtxType.S64;

    public static bool IsFloat(this PtxType type) => type >= PtxType.F16;

    public static bool IsInteger(this PtxType type) => type is >= PtxType.B8 and <= PtxType.S64;

    /// <summary>The type that a suffix names, without its dot; None where it names none.</summary>
    public static PtxType Parse(ReadOnlySpan<char> suffix) => suffix switch
    {
        "pred" => PtxType.Pred,
        "b8" => PtxType.B8,
        "b16" => PtxType.B16,
        "b32" => PtxType.B32,
        "b64" => PtxType.B64,
        "u8" => PtxType.U8,
        "u16" => PtxType.U16,
        "u32" => PtxType.U32,
        "u64" => PtxType.U64,
        "s8" => PtxType.S8,
        "s16" => PtxType.S16,
        "s32" => PtxType.S32,
        "s64" => PtxType.S64,
        "f16" => PtxType.F16,
        "f16x2" => PtxType.F16X2,
        "bf16" => PtxType.BF16,
        "bf16x2" => PtxType.BF16X2,
        "f32" => PtxType.F32,
        "f64" => PtxType.F64,
        _ => PtxType.None,
    };
}
