// How configurations, recipes and the command line spell the values of enumerations.
namespace FashionFlow.Diffusion;

/// <summary>The name of a value in small letters: <c>ddim</c>, <c>karras</c>.</summary>
public static class EnumWord
{
    /// <summary>A value's word.</summary>
    public static string Of<T>(T value)
        where T : struct, Enum => value.ToString().ToLowerInvariant();
}
