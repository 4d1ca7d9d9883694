// Whether a video still shows its own garment: among the pictures of all garments, is its own the most similar one?
namespace FashionFlow.Diffusion.Evaluation;

/// <summary>The outcome of a retrieval.</summary>
/// <param name="Ranks">For each query the place of its own entry, from 1.</param>
public sealed record RetrievalResult(IReadOnlyList<int> Ranks)
{
    /// <summary>The share of queries whose own entry is the most similar of all.</summary>
    public double TopOne => Ranks.Count(rank => rank == 1) / (double)Ranks.Count;

    /// <summary>The mean of 1 / rank: 1 when all own entries come first.</summary>
    public double MeanReciprocalRank => Ranks.Average(rank => 1.0 / rank);
}

/// <summary>
/// Finds features among features by cosine similarity, as CLIP's are meant to be compared (Radford et al. 2021, "Learning
/// transferable visual models from natural language supervision").
/// </summary>
public static class IdentityRetrieval
{
    /// <summary>Ranks each query's own entry among all.</summary>
    /// <param name="queries">Features of what is judged, such as the mean over a generated clip's frames: n vectors of one length.</param>
    /// <param name="gallery">Features of all that it could show: m vectors of the same length.</param>
    /// <param name="own">For each query the place of its own entry in the gallery.</param>
    /// <returns>
    /// Ranks. An entry that is as similar as the own one counts as before it: features that are all alike retrieve nothing.
    /// </returns>
    /// <exception cref="ArgumentException">Numbers or lengths do not fit, or a vector is zero or not finite and so has no direction.</exception>
    public static RetrievalResult Rank(IReadOnlyList<float[]> queries, IReadOnlyList<float[]> gallery, IReadOnlyList<int> own)
    {
        if (queries.Count == 0 || queries.Count != own.Count)
        {
            throw new ArgumentException($"There are {queries.Count} queries and {own.Count} own entries; there must be as many, and one at least.", nameof(own));
        }

        if (own.Any(entry => entry < 0 || entry >= gallery.Count))
        {
            throw new ArgumentException($"An own entry is not one of the gallery's {gallery.Count}.", nameof(own));
        }

        var length = queries[0].Length;
        var entries = gallery.Select(vector => Unit(vector, length)).ToArray();
        return new RetrievalResult([.. queries.Select((query, i) => RankOf(Unit(query, length), entries, own[i]))]);
    }

    private static int RankOf(double[] query, double[][] gallery, int own)
    {
        var similarities = Array.ConvertAll(gallery, entry => Dot(query, entry));
        return 1 + similarities.Where((similarity, i) => i != own && similarity >= similarities[own]).Count();
    }

    private static double[] Unit(float[] vector, int length)
    {
        if (vector.Length != length)
        {
            throw new ArgumentException($"A vector has {vector.Length} elements, the first one {length}.", nameof(vector));
        }

        var values = Array.ConvertAll(vector, value => (double)value);
        var norm = Math.Sqrt(Dot(values, values));
        return norm is > 0 and < double.PositiveInfinity
            ? Array.ConvertAll(values, value => value / norm)
            : throw new ArgumentException("A vector is zero or not finite: it has no direction.", nameof(vector));
    }

    private static double Dot(double[] a, double[] b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }
}
