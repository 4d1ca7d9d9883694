// The one error for weights that do not fit a model: it names every parameter that is wrong.
namespace FashionFlow.Layers;

/// <summary>Weights do not fit the model. Nothing was loaded.</summary>
public sealed class WeightLoadException : Exception
{
    private const int NamedInMessage = 12;

    /// <summary>Makes the error from one sentence a problem.</summary>
    public WeightLoadException(string source, IReadOnlyList<string> problems, string? hint = null)
        : base(Describe(source, problems, hint)) => Problems = problems;

    /// <summary>Every parameter that is missing, surplus or mis-shaped, one sentence each.</summary>
    public IReadOnlyList<string> Problems { get; }

    private static string Describe(string source, IReadOnlyList<string> problems, string? hint)
    {
        var text = $"{source} does not fit the model: {string.Join("; ", problems.Take(NamedInMessage))}";
        var rest = problems.Count - NamedInMessage;
        return (rest > 0 ? $"{text}; and {rest} more" : text) + (hint is null ? "" : Environment.NewLine + hint);
    }
}
