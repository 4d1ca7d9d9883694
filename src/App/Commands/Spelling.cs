// The word that a mistyped one was meant to be.
namespace FashionFlow.App.Commands;

/// <summary>Finds near words.</summary>
internal static class Spelling
{
    /// <summary>The known word at the least edit distance, if that is at most a third of the word's length; else null.</summary>
    public static string? Nearest(string word, IEnumerable<string> known) => known
        .Select(k => (Word: k, Distance: Distance(word, k)))
        .Where(k => k.Distance <= Math.Max(1, word.Length / 3))
        .OrderBy(k => k.Distance)
        .Select(k => k.Word)
        .FirstOrDefault();

    // Levenshtein's distance, row by row.
    private static int Distance(string a, string b)
    {
        var row = Enumerable.Range(0, b.Length + 1).ToArray();
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var substituted = diagonal + (char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substituted, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[^1];
    }
}
