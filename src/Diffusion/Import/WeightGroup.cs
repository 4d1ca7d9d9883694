// Where in a file a network's weights are: under which prefix, whatever a training wrapped them in.
using System.Text.RegularExpressions;
using FashionFlow.Layers;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion.Import;

/// <summary>Tensors of a file whose names are a network's parameters behind one prefix.</summary>
/// <param name="Prefix">What their names start with, such as <c>net.module.</c>; often nothing.</param>
/// <param name="Matches">How many of the network's parameters are there.</param>
internal sealed partial record WeightGroup(string Prefix, int Matches)
{
    /// <summary>Whether the prefix says that these are averages over a training and not its last weights.</summary>
    public bool IsAveraged => Averaged().IsMatch(Prefix);

    /// <summary>The groups of a file, the fullest first.</summary>
    public static IReadOnlyList<WeightGroup> Find(WeightFile file, Module module)
    {
        var wanted = module.Parameters.Select(p => p.Name).ToHashSet(StringComparer.Ordinal);
        var matches = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var name in file.Entries.Select(e => e.Name))
        {
            for (var start = 0; start >= 0; start = Next(name, start))
            {
                if (wanted.Contains(module.CurrentName(name[start..])))
                {
                    matches[name[..start]] = matches.GetValueOrDefault(name[..start]) + 1;
                }
            }
        }

        return [.. matches.Select(m => new WeightGroup(m.Key, m.Value)).OrderByDescending(g => g.Matches).ThenBy(g => g.Prefix.Length).ThenBy(g => g.Prefix, StringComparer.Ordinal)];
    }

    private static int Next(string name, int start) => name.IndexOf('.', start) is >= 0 and var dot ? dot + 1 : -1;

    [GeneratedRegex(@"(?<![^._])(?:ema|averaged?|shadow)(?![^._])", RegexOptions.IgnoreCase)]
    private static partial Regex Averaged();
}
