// Reads the entries of a kernel file. Entries are written out plainly (no macro makes one), so a lexer and the grammar of one
// declaration are enough; whatever is not that plain is refused with its line.
using System.Collections.Immutable;
using System.Text;

namespace FashionFlow.Gpu.Generator;

/// <summary>The reader of kernel files.</summary>
public static class KernelParser
{
    /// <summary>Scalars by their spelling in CUDA C++, with the C# type of the same size.</summary>
    private static readonly Dictionary<string, (string Managed, int Size)> Scalars = new(StringComparer.Ordinal)
    {
        ["float"] = ("float", 4),
        ["double"] = ("double", 8),
        ["int"] = ("int", 4),
        ["signed int"] = ("int", 4),
        ["unsigned"] = ("uint", 4),
        ["unsigned int"] = ("uint", 4),
        ["long long"] = ("long", 8),
        ["long long int"] = ("long", 8),
        ["unsigned long long"] = ("ulong", 8),
        ["unsigned long long int"] = ("ulong", 8),
        ["size_t"] = ("ulong", 8),
        ["short"] = ("short", 2),
        ["unsigned short"] = ("ushort", 2),
        ["signed char"] = ("sbyte", 1),
        ["unsigned char"] = ("byte", 1),
    };

    /// <summary>The half types of kernels/include/half.cuh, with the C# type of the same layout. They are stored, never passed.</summary>
    private static readonly Dictionary<string, string> HalfTypes = new(StringComparer.Ordinal)
    {
        ["half"] = "global::System.Half",
        ["bfloat16"] = "global::FashionFlow.Gpu.BFloat16",
    };

    private static readonly HashSet<string> TypeWords = new(StringComparer.Ordinal)
    {
        "float", "double", "int", "signed", "unsigned", "long", "size_t", "short", "char", "void", "bool", "half", "bfloat16",
    };

    private static readonly HashSet<string> Keywords = new(StringComparer.Ordinal)
    {
        "abstract", "as", "base", "bool", "break", "byte", "case", "catch", "char", "checked", "class", "const", "continue", "decimal",
        "default", "delegate", "do", "double", "else", "enum", "event", "explicit", "extern", "false", "finally", "fixed", "float", "for",
        "foreach", "goto", "if", "implicit", "in", "int", "interface", "internal", "is", "lock", "long", "namespace", "new", "null",
        "object", "operator", "out", "override", "params", "private", "protected", "public", "readonly", "ref", "return", "sbyte",
        "sealed", "short", "sizeof", "stackalloc", "static", "string", "struct", "switch", "this", "throw", "true", "try", "typeof",
        "uint", "ulong", "unchecked", "unsafe", "ushort", "using", "virtual", "void", "volatile", "while",
    };

    /// <summary>Reads the entries of a kernel file.</summary>
    /// <param name="path">The path for diagnostics.</param>
    /// <param name="name">The path below <c>kernels/</c>.</param>
    /// <param name="text">The file's text.</param>
    public static KernelFileModel Parse(string path, string name, string text)
    {
        var problems = ImmutableArray.CreateBuilder<KernelProblem>();
        var lines = text.Replace("\r\n", "\n").Split('\n');
        var tokens = Tokenize(string.Join("\n", lines), problems);
        var entries = ImmutableArray.CreateBuilder<KernelEntryModel>();
        for (var i = 0; i < tokens.Count; i++)
        {
            if (tokens[i].Text == "__global__")
            {
                var entry = ParseEntry(tokens, i, lines, problems);
                if (entry is not null)
                {
                    CheckDuplicate(entry, entries, problems);
                    entries.Add(entry);
                }
            }
        }

        var stem = System.IO.Path.GetFileNameWithoutExtension(name);
        if (problems.Count == 0 && entries.Count == 0)
        {
            problems.Add(new(1, "the file has no entry; a kernel file holds at least one `extern \"C\" __global__ void name(...)`"));
        }

        return new(path, name, ToPascal(stem) + "Kernels", CommentAt(lines, 0, down: true), new(entries.ToImmutable()), new(problems.ToImmutable()));
    }

    /// <summary><c>group_norm_f32</c> as <c>GroupNormF32</c>.</summary>
    public static string ToPascal(string snake)
    {
        var result = new StringBuilder();
        foreach (var word in snake.Split(new[] { '_', '-', '.', ' ' }, StringSplitOptions.RemoveEmptyEntries))
        {
            result.Append(char.ToUpperInvariant(word[0])).Append(word, 1, word.Length - 1);
        }

        return result.ToString();
    }

    private static string ToCamel(string snake)
    {
        var pascal = ToPascal(snake);
        var leadingCapitals = pascal.TakeWhile(char.IsUpper).Count();
        // A name of capitals alone (N, HW) becomes lower case as a whole.
        return leadingCapitals == pascal.Length ? pascal.ToLowerInvariant() : char.ToLowerInvariant(pascal[0]) + pascal.Substring(1);
    }

    private static void CheckDuplicate(
        KernelEntryModel entry,
        ImmutableArray<KernelEntryModel>.Builder entries,
        ImmutableArray<KernelProblem>.Builder problems)
    {
        foreach (var other in entries)
        {
            if (other.Name == entry.Name)
            {
                problems.Add(new(entry.Line, $"entry '{entry.Name}' is already defined in line {other.Line}"));
            }
            else if (other.MethodName == entry.MethodName)
            {
                problems.Add(new(entry.Line, $"entry '{entry.Name}' would give the same method {entry.MethodName} as '{other.Name}' in line {other.Line}; rename one"));
            }
        }
    }

    private static KernelEntryModel? ParseEntry(List<Token> tokens, int global, string[] lines, ImmutableArray<KernelProblem>.Builder problems)
    {
        var line = tokens[global].Line;
        if (global >= 1 && tokens[global - 1].Text == ">")
        {
            problems.Add(new(line, "a template cannot be an entry; write out `extern \"C\" __global__ void name_f32(...)` that calls a __device__ template"));
            return null;
        }

        if (global < 2 || tokens[global - 1].Text != "\"C\"" || tokens[global - 2].Text != "extern")
        {
            problems.Add(new(line, "an entry must read `extern \"C\" __global__ void name(...)`, in this order on each entry"));
            return null;
        }

        var i = global + 1;
        SkipLaunchBounds(tokens, ref i);
        if (Text(tokens, i) != "void")
        {
            problems.Add(new(line, $"'void' is expected after `extern \"C\" __global__`, not '{Text(tokens, i)}'"));
            return null;
        }

        i++;
        SkipLaunchBounds(tokens, ref i);
        var name = Text(tokens, i);
        if (!IsIdentifier(name) || Text(tokens, i + 1) != "(")
        {
            problems.Add(new(line, $"a name and '(' are expected after 'void', not '{name} {Text(tokens, i + 1)}'; no macro may make an entry"));
            return null;
        }

        var first = i + 2;
        var close = MatchingParenthesis(tokens, i + 1);
        if (close < 0)
        {
            problems.Add(new(line, $"entry '{name}': the parameter list is not closed"));
            return null;
        }

        if (Text(tokens, close + 1) == ";")
        {
            return null; // a declaration; its definition is elsewhere in the file
        }

        if (Text(tokens, close + 1) != "{")
        {
            problems.Add(new(tokens[close].Line, $"entry '{name}': '{{' is expected after the parameter list, not '{Text(tokens, close + 1)}'"));
            return null;
        }

        var startLine = tokens[global - 2].Line;
        var parameters = ParseParameters(tokens.GetRange(first, close - first), name, problems);
        return parameters is null
            ? null
            : new(name, ToPascal(name), startLine, CommentAt(lines, startLine - 2, down: false), new(parameters.Value));
    }

    private static void SkipLaunchBounds(List<Token> tokens, ref int i)
    {
        if (Text(tokens, i) == "__launch_bounds__" && Text(tokens, i + 1) == "(")
        {
            var close = MatchingParenthesis(tokens, i + 1);
            i = close < 0 ? i : close + 1;
        }
    }

    private static ImmutableArray<KernelParameterModel>? ParseParameters(
        List<Token> tokens,
        string entry,
        ImmutableArray<KernelProblem>.Builder problems)
    {
        var result = ImmutableArray.CreateBuilder<KernelParameterModel>();
        if (tokens.Count == 0 || (tokens.Count == 1 && tokens[0].Text == "void"))
        {
            return result.ToImmutable();
        }

        var before = problems.Count;
        var offset = 0;
        foreach (var part in SplitAtCommas(tokens))
        {
            var line = part.Count > 0 ? part[0].Line : tokens[0].Line;
            var problem = ParseParameter(part, ref offset, out var parameter);
            if (problem is not null)
            {
                problems.Add(new(line, $"entry '{entry}': {problem}"));
            }
            else if (result.Any(p => p.Name == parameter!.Name))
            {
                problems.Add(new(line, $"entry '{entry}': two parameters would be called '{parameter!.Name}' in C#; rename one"));
            }
            else
            {
                result.Add(parameter!);
            }
        }

        return problems.Count == before ? result.ToImmutable() : null;
    }

    private static IEnumerable<List<Token>> SplitAtCommas(List<Token> tokens)
    {
        var part = new List<Token>();
        var depth = 0;
        foreach (var token in tokens)
        {
            depth += token.Text is "(" or "<" or "[" ? 1 : token.Text is ")" or ">" or "]" ? -1 : 0;
            if (token.Text == "," && depth == 0)
            {
                yield return part;
                part = [];
            }
            else
            {
                part.Add(token);
            }
        }

        yield return part;
    }

    private static string? ParseParameter(List<Token> tokens, ref int offset, out KernelParameterModel? parameter)
    {
        parameter = null;
        var spelled = string.Join(" ", tokens.Select(t => t.Text));
        const string Rule = "parameters are scalars (int, unsigned, long long, float, double, ...) or pointers to them, by name";
        var name = tokens[tokens.Count - 1].Text;

        // Outside the files of half types, half is a name like any other.
        if (tokens.Count < 2 || !IsIdentifier(name) || (TypeWords.Contains(name) && !HalfTypes.ContainsKey(name)))
        {
            return $"'{spelled}' is not a parameter that can be bound; {Rule}";
        }

        var words = tokens.Take(tokens.Count - 1).Select(t => t.Text).ToList();
        var isConstant = false;
        var stars = 0;
        var type = new List<string>();
        foreach (var word in words)
        {
            switch (word)
            {
                case "const":
                    isConstant |= stars == 0;
                    break;
                case "__restrict__" or "volatile":
                    break;
                case "*":
                    stars++;
                    break;
                default:
                    if (stars > 0 || !TypeWords.Contains(word))
                    {
                        return word is "struct" or "&" or "::" or "<" || IsIdentifier(word)
                            ? $"the type of '{spelled}' cannot be bound ('{word}'); {Rule}; structs, references, typedefs and macros are not"
                            : $"'{spelled}' cannot be bound ('{word}'); {Rule}";
                    }

                    type.Add(word);
                    break;
            }
        }

        var typeName = string.Join(" ", type);
        if (stars > 1)
        {
            return $"'{spelled}' is a pointer to a pointer; {Rule}";
        }

        (string Managed, int Size) managed;
        if (stars == 1 && typeName == "void")
        {
            managed = ("byte", 1);
        }
        else if (HalfTypes.TryGetValue(typeName, out var halfType))
        {
            if (stars == 0)
            {
                return $"'{spelled}' would be passed as a half type; pass float, which kernels compute in";
            }

            managed = (halfType, 2);
        }
        else if (!Scalars.TryGetValue(typeName, out managed))
        {
            return typeName.StartsWith("long", StringComparison.Ordinal) || typeName.StartsWith("unsigned long", StringComparison.Ordinal)
                ? $"the size of '{typeName}' depends on the compiler; write long long or int"
                : typeName is "char" or "bool"
                    ? $"'{typeName}' has no portable layout; write signed char or unsigned char"
                    : $"the type of '{spelled}' cannot be bound; {Rule}";
        }

        var nameInCSharp = ToCamel(name);
        if (nameInCSharp is "stream" or "shape")
        {
            return $"the name '{nameInCSharp}' is taken by the launch method's own parameters; rename the kernel's";
        }

        var size = stars == 1 ? 8 : managed.Size;
        offset = (offset + size - 1) / size * size;
        parameter = new(
            Keywords.Contains(nameInCSharp) ? "@" + nameInCSharp : nameInCSharp,
            (isConstant && stars == 1 ? "const " : "") + typeName + (stars == 1 ? "*" : ""),
            managed.Managed,
            stars == 1,
            offset,
            size);
        offset += size;
        return null;
    }

    private static string Text(List<Token> tokens, int i) => i >= 0 && i < tokens.Count ? tokens[i].Text : "end of file";

    private static bool IsIdentifier(string text) => text.Length > 0 && (char.IsLetter(text[0]) || text[0] == '_') && !text.Contains(' ');

    private static int MatchingParenthesis(List<Token> tokens, int open)
    {
        var depth = 0;
        for (var i = open; i < tokens.Count; i++)
        {
            depth += tokens[i].Text == "(" ? 1 : tokens[i].Text == ")" ? -1 : 0;
            if (depth == 0)
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>The block of <c>//</c> lines that ends (or, downwards, starts) at a line given from 0.</summary>
    private static EquatableList<string> CommentAt(string[] lines, int at, bool down)
    {
        var result = new List<string>();
        for (var i = at; i >= 0 && i < lines.Length && lines[i].TrimStart().StartsWith("//", StringComparison.Ordinal); i += down ? 1 : -1)
        {
            result.Add(lines[i].TrimStart().TrimStart('/').Trim());
        }

        if (!down)
        {
            result.Reverse();
        }

        return new(result.ToImmutableArray());
    }

    /// <summary>Splits the text into tokens; comments vanish, and so do directives, which may not define an entry.</summary>
    private static List<Token> Tokenize(string text, ImmutableArray<KernelProblem>.Builder problems)
    {
        var tokens = new List<Token>();
        var line = 1;
        var atLineStart = true;
        var i = 0;
        while (i < text.Length)
        {
            var c = text[i];
            if (c == '\n')
            {
                line++;
                i++;
                atLineStart = true;
            }
            else if (char.IsWhiteSpace(c))
            {
                i++;
            }
            else if (c == '/' && i + 1 < text.Length && text[i + 1] == '/')
            {
                i = EndOfLine(text, i);
            }
            else if (c == '/' && i + 1 < text.Length && text[i + 1] == '*')
            {
                var end = text.IndexOf("*/", i + 2, StringComparison.Ordinal);
                end = end < 0 ? text.Length : end + 2;
                line += CountLines(text, i, end);
                i = end;
            }
            else if (c == '#' && atLineStart)
            {
                var end = EndOfDirective(text, i);
                if (text.IndexOf("__global__", i, end - i, StringComparison.Ordinal) >= 0)
                {
                    problems.Add(new(line, "a macro may not make an entry; write out each `extern \"C\" __global__ void name(...)`"));
                }

                line += CountLines(text, i, end);
                i = end;
            }
            else
            {
                var end = EndOfToken(text, i);
                tokens.Add(new(text.Substring(i, end - i), line));
                line += CountLines(text, i, end);
                i = end;
                atLineStart = false;
            }
        }

        return tokens;
    }

    private static int EndOfToken(string text, int i)
    {
        var c = text[i];
        if (char.IsLetterOrDigit(c) || c == '_')
        {
            while (i < text.Length && (char.IsLetterOrDigit(text[i]) || text[i] == '_'))
            {
                i++;
            }

            return i;
        }

        if (c is '"' or '\'')
        {
            i++;
            while (i < text.Length && text[i] != c)
            {
                i += text[i] == '\\' ? 2 : 1;
            }

            return Math.Min(i + 1, text.Length);
        }

        return i + 1;
    }

    private static int EndOfLine(string text, int i)
    {
        var end = text.IndexOf('\n', i);
        return end < 0 ? text.Length : end;
    }

    private static int EndOfDirective(string text, int i)
    {
        var end = EndOfLine(text, i);
        while (end < text.Length && text[end - 1] == '\\')
        {
            end = EndOfLine(text, end + 1);
        }

        return end;
    }

    private static int CountLines(string text, int start, int end)
    {
        var count = 0;
        for (var i = start; i < end; i++)
        {
            count += text[i] == '\n' ? 1 : 0;
        }

        return count;
    }

    private readonly record struct Token(string Text, int Line);
}
