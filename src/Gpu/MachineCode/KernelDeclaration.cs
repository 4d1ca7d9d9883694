// What the text of a kernel file says about an entry beside its parameters: its launch bounds, and the bytes that it must move.
using System.Text.RegularExpressions;

namespace FashionFlow.Gpu;

/// <summary>An entry as its kernel file declares it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="LaunchBounds">The arguments of <c>__launch_bounds__</c> as they are written; null where there are none.</param>
/// <param name="Traffic">
/// The sentence of the comment above it (or, where that has none, of the nearest one before) that says what it moves.
/// </param>
public sealed partial record KernelDeclaration(string Name, string? LaunchBounds, string? Traffic)
{
    /// <summary>
    /// Whether launches may have smaller blocks than the bound: by the rule of kernels/include/blocks.cuh the name of such a bound
    /// says MAX.
    /// </summary>
    public bool IsUpperBound => LaunchBounds?.Contains("MAX", StringComparison.Ordinal) ?? true;

    /// <summary>The entries of a kernel file, in its order.</summary>
    public static IReadOnlyList<KernelDeclaration> ReadAll(SourceText file)
    {
        var declarations = new List<KernelDeclaration>();
        string? traffic = null;
        foreach (Match part in PartPattern().Matches(file.Text))
        {
            if (part.Groups["comment"].Success)
            {
                var comment = string.Join(' ', part.Value.Split('\n').Select(line => line.TrimStart('/').Trim()));
                traffic = TrafficPattern().Match(comment) is { Success: true } found ? found.Value : traffic;
            }
            else
            {
                declarations.Add(new(part.Groups["name"].Value, part.Groups["bounds"].Success ? part.Groups["bounds"].Value : null, traffic));
            }
        }

        return declarations;
    }

    // Comments of the file's outermost level, and declarations.
    [GeneratedRegex(
        """^(?:(?<comment>//[^\n]*(?:\n//[^\n]*)*)|extern "C" __global__ void (?:__launch_bounds__\((?<bounds>(?:[^()]|\([^()]*\))*)\) )?(?<name>\w+)\()""",
        RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex PartPattern();

    // Up to what ends the sentence, or explains the number.
    [GeneratedRegex(@"(?<=^|[.:] )(?:Moves|Reads|Writes) [^.:;]+", RegexOptions.ExplicitCapture)]
    private static partial Regex TrafficPattern();
}
