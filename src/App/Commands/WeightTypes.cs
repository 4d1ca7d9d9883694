// The element types that weights are written in.
using System.CommandLine;
using FashionFlow.Gpu;

namespace FashionFlow.App.Commands;

/// <summary><c>--dtype</c> of what writes weights.</summary>
internal static class WeightTypes
{
    private static readonly (string Word, DType Type)[] s_types = [("f32", DType.Float32), ("f16", DType.Float16), ("bf16", DType.BFloat16)];

    /// <summary>The option.</summary>
    public static Option<string?> Option(string description) => CommonOptions.Choice("--dtype", description, [.. s_types.Select(t => t.Word)]);

    /// <summary>The type of a word; null for none.</summary>
    public static DType? Of(string? word) => word is null ? null : s_types.First(t => t.Word == word).Type;
}
