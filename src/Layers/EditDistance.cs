// How far apart two words are: what "did you mean" goes by.
namespace FashionFlow.Layers;

/// <summary>Edit distance.</summary>
public static class EditDistance
{
    /// <summary>
    /// The least number of insertions, deletions, substitutions and swaps of neighbours that make one word the other, no
    /// letter touched twice (optimal string alignment).
    /// </summary>
    public static int Between(string a, string b)
    {
        var (before, above, row) = (new int[b.Length + 1], Enumerable.Range(0, b.Length + 1).ToArray(), new int[b.Length + 1]);
        for (var i = 1; i <= a.Length; i++)
        {
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                row[j] = Math.Min(above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1), Math.Min(above[j], row[j - 1]) + 1);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    row[j] = Math.Min(row[j], before[j - 2] + 1);
                }
            }

            (before, above, row) = (above, row, before);
        }

        return above[^1];
    }
}
