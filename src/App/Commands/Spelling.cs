// The word that a mistyped one was meant to be.
using FashionFlow.Layers;

namespace FashionFlow.App.Commands;

/// <summary>Finds near words.</summary>
internal static class Spelling
{
    /// <summary>The known word at the least edit distance, capitals aside, if that is at most a third of the word's length; else null.</summary>
    public static string? Nearest(string word, IEnumerable<string> known) => known
        .Select(k => (Word: k, Distance: EditDistance.Between(word.ToLowerInvariant(), k.ToLowerInvariant())))
        .Where(k => k.Distance <= Math.Max(1, word.Length / 3))
        .OrderBy(k => k.Distance)
        .Select(k => k.Word)
        .FirstOrDefault();
}
