// What a safetensors header says of one tensor, and the format's names of element types.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>A tensor in a file.</summary>
/// <param name="Name">Its name, unique in the file.</param>
/// <param name="DType">Its element type.</param>
/// <param name="Shape">Its shape; row-major, little-endian.</param>
/// <param name="Offset">Where its bytes start, counted from the end of the header.</param>
/// <param name="Length">How many bytes it has.</param>
public sealed record SafetensorsEntry(string Name, DType DType, Shape Shape, long Offset, long Length);

/// <summary>The format's names of element types.</summary>
internal static class SafetensorsTypes
{
    /// <summary>In the order of the Rust crate's Dtype, by which its writer sorts.</summary>
    private static readonly (string Name, DType Type)[] s_types =
    [
        ("BOOL", DType.Bool), ("U8", DType.UInt8), ("I8", DType.Int8), ("I16", DType.Int16), ("U16", DType.UInt16),
        ("F16", DType.Float16), ("BF16", DType.BFloat16), ("I32", DType.Int32), ("U32", DType.UInt32), ("F32", DType.Float32),
        ("F64", DType.Float64), ("I64", DType.Int64), ("U64", DType.UInt64),
    ];

    public static bool TryParse(string name, out DType type)
    {
        var index = Array.FindIndex(s_types, entry => entry.Name == name);
        type = index < 0 ? default : s_types[index].Type;
        return index >= 0;
    }

    public static string NameOf(DType type) => s_types[RankOf(type)].Name;

    /// <summary>The place in the crate's order: types of larger elements come later.</summary>
    public static int RankOf(DType type) => Array.FindIndex(s_types, entry => entry.Type == type);
}
