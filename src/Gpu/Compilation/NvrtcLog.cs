// Makes the compiler's log readable: every error with file, line, message, the source line and a caret.
using System.Text;
using System.Text.RegularExpressions;

namespace FashionFlow.Gpu;

/// <summary>The reader of NVRTC's log.</summary>
internal static partial class NvrtcLog
{
    private const int MostErrors = 10;

    /// <summary>The message of a failed compilation.</summary>
    public static string Explain(SourceText file, IReadOnlyList<SourceText> headers, string log, string result)
    {
        var texts = headers.Prepend(file).ToDictionary(t => t.Name, t => t.Text.Split('\n'), StringComparer.Ordinal);
        var message = new StringBuilder();
        var errors = 0;
        foreach (Match match in ErrorPattern().Matches(log))
        {
            errors++;
            if (errors > MostErrors)
            {
                continue;
            }

            var name = match.Groups["file"].Value;
            var line = int.Parse(match.Groups["line"].ValueSpan);
            var text = match.Groups["message"].Value;
            message.Append($"\nkernels/{(texts.ContainsKey(name) && name != file.Name ? "include/" : "")}{name}({line}): {text}");
            if (texts.TryGetValue(name, out var lines) && line >= 1 && line <= lines.Length)
            {
                var source = lines[line - 1];
                message.Append($"\n    {source}\n    {new string(' ', CaretColumn(source, text))}^");
            }
        }

        if (errors == 0)
        {
            return $"kernels/{file.Name} does not compile ({result}): {log.Trim()}";
        }

        if (errors > MostErrors)
        {
            message.Append($"\n... and {errors - MostErrors} more");
        }

        return $"kernels/{file.Name} does not compile, {errors} error{(errors == 1 ? "" : "s")}:" + message;
    }

    /// <summary>NVRTC gives no column: the caret stands under the identifier that the message quotes, else under the first word.</summary>
    private static int CaretColumn(string source, string message)
    {
        foreach (Match quoted in QuotedPattern().Matches(message))
        {
            var at = source.IndexOf(quoted.Groups["name"].Value, StringComparison.Ordinal);
            if (at >= 0)
            {
                return at;
            }
        }

        return source.Length - source.AsSpan().TrimStart().Length;
    }

    [GeneratedRegex("""^(?<file>[^\n(]+)\((?<line>\d+)\): (?:catastrophic )?(?<message>error[^\n]*)$""", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex ErrorPattern();

    [GeneratedRegex("\"(?<name>[^\"\\n]+)\"", RegexOptions.ExplicitCapture)]
    private static partial Regex QuotedPattern();
}
