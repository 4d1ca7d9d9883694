// What a safetensors header says of one tensor, and the format's names of element types.
using System.Text.Json;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>A tensor in a file.</summary>
/// <param name="Name">Its name, unique in the file.</param>
/// <param name="DType">Its element type.</param>
/// <param name="Shape">Its shape; row-major, little-endian.</param>
/// <param name="Offset">Where its bytes start, counted from the end of the header.</param>
/// <param name="Length">How many bytes it has.</param>
public sealed record SafetensorsEntry(string Name, DType DType, Shape Shape, long Offset, long Length) : WeightEntry(Name, DType, Shape);

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

    /// <summary>Types that the format has and this library does not: floats of 4, 6 and 8 bits, and complex numbers.</summary>
    private static readonly string[] s_unsupported =
        ["F4", "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ", "C64"];

    /// <summary>The type that the reader's string names.</summary>
    public static bool TryParse(ref Utf8JsonReader reader, out DType type)
    {
        foreach (var (name, known) in s_types)
        {
            if (reader.ValueTextEquals(name))
            {
                type = known;
                return true;
            }
        }

        type = default;
        return false;
    }

    /// <summary>Whether the format has a type of this name that this library lacks.</summary>
    public static bool IsUnsupported(string name) => s_unsupported.Contains(name, StringComparer.Ordinal);

    public static string NameOf(DType type) => s_types[RankOf(type)].Name;

    /// <summary>The place in the crate's order: types of larger elements come later.</summary>
    public static int RankOf(DType type) => Array.FindIndex(s_types, entry => entry.Type == type);
}
