// Where the program speaks: results on standard output, everything else on standard error.
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using FashionFlow.Tensors.Weights;
using Spectre.Console;

namespace FashionFlow.App.Terminal;

/// <summary>The two streams, each with or without colour. NO_COLOR is honoured; a pipe gets plain text in long lines.</summary>
internal sealed class Screen
{
    // Tables in a pipe are for grep: no line of theirs is folded.
    private const int PipeWidth = 1024;

    // File names of any script stay readable; the output goes into no web page.
    private static readonly JsonWriterOptions JsonStyle = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Opens the process's streams.</summary>
    public Screen()
    {
        Output = Create(System.Console.Out, System.Console.IsOutputRedirected);
        Error = Create(System.Console.Error, System.Console.IsErrorRedirected);
    }

    /// <summary>Standard output: results.</summary>
    public IAnsiConsole Output { get; }

    /// <summary>Standard error: progress, notes, errors.</summary>
    public IAnsiConsole Error { get; }

    /// <summary>Whether nothing but errors and results for programs is to be said.</summary>
    public bool IsQuiet { get; set; }

    /// <summary>Whether a person watches standard error, so that a line may be redrawn.</summary>
    public bool IsLive => Error.Profile.Capabilities.Interactive && Error.Profile.Capabilities.Ansi;

    /// <summary>An empty table in the program's style.</summary>
    public Table Table(params string[] columns)
    {
        var table = new Table
        {
            Border = Output.Profile.Out.IsTerminal ? TableBorder.Rounded : TableBorder.None,
            ShowHeaders = true,
        };
        var (left, right) = Output.Profile.Out.IsTerminal ? (1, 1) : (0, 2);
        foreach (var column in columns)
        {
            table.AddColumn(new TableColumn(new Text(column, new Style(decoration: Decoration.Bold))).PadLeft(left).PadRight(right));
        }

        return table;
    }

    /// <summary>Writes a table to standard output; in a pipe without the blanks that fill its last column.</summary>
    public void Write(Table table)
    {
        if (Output.Profile.Out.IsTerminal)
        {
            Output.Write(table);
            return;
        }

        using var text = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(text), Ansi = AnsiSupport.No, ColorSystem = ColorSystemSupport.NoColors });
        console.Profile.Width = PipeWidth;
        console.Write(table);
        foreach (var line in text.ToString().TrimEnd().Split('\n'))
        {
            WriteLine(line.TrimEnd());
        }
    }

    /// <summary>A line of result. The text is taken as it is, without markup.</summary>
    /// <exception cref="UserError">Standard output cannot be written. A reader that has gone away is no error.</exception>
    public void WriteLine(string text)
    {
        try
        {
            System.Console.Out.WriteLine(text);
        }
        catch (IOException e)
        {
            throw new UserError(ExitCode.Output, $"standard output cannot be written: {e.Message}", cause: e);
        }
    }

    /// <summary>A result for programs: one JSON object on a line of its own.</summary>
    /// <param name="members">Writes the object's members.</param>
    /// <exception cref="UserError">Standard output cannot be written.</exception>
    public void WriteJson(Action<Utf8JsonWriter> members)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, JsonStyle))
        {
            json.WriteStartObject();
            members(json);
            json.WriteEndObject();
        }

        WriteLine(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
    }

    /// <summary>A line of explanation on standard error, unless it is quiet.</summary>
    public void Note(string text)
    {
        if (!IsQuiet)
        {
            Explain(PrintableText.Of(text));
        }
    }

    /// <summary>What belongs to an error, such as a compiler's words, also when it is quiet.</summary>
    public void Explain(string text)
    {
        try
        {
            System.Console.Error.WriteLine(text);
        }
        catch (IOException)
        {
            // Standard error is full or closed: there is nobody left to tell, and the exit code still tells.
        }
    }

    /// <summary>The error line, and the line of advice, also when it is quiet.</summary>
    public void WriteError(string message, string? advice)
    {
        try
        {
            Error.Write(new Text("error: ", new Style(Color.Red, decoration: Decoration.Bold)));
        }
        catch (IOException)
        {
            // As below.
        }

        Explain(OneLine(message));
        if (advice is not null)
        {
            Explain(OneLine(advice));
        }
    }

    /// <summary>One of several results could not be had: its error and, where results are for programs, a line that says so.</summary>
    /// <param name="error">Why.</param>
    /// <param name="asJson">Whether results are JSON.</param>
    /// <param name="members">Writes what the result would have been of.</param>
    public void WriteFailure(UserError error, bool asJson, Action<Utf8JsonWriter> members)
    {
        if (asJson)
        {
            WriteJson(line =>
            {
                line.WriteString("status", "failed");
                members(line);
                line.WriteNumber("exit_code", error.ExitCode);
                line.WriteString("error", error.Message);
            });
        }

        WriteError(error.Message, error.Advice);
    }

    // A file's name may hold anything: no part of it reaches the terminal as more than letters.
    private static string OneLine(string text) =>
        PrintableText.Of(string.Join(' ', text.Split(['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)));

    private static IAnsiConsole Create(TextWriter writer, bool redirected)
    {
        var plain = !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = redirected ? AnsiSupport.No : AnsiSupport.Detect,
            ColorSystem = redirected || plain ? ColorSystemSupport.NoColors : ColorSystemSupport.Detect,
            Interactive = redirected ? InteractionSupport.No : InteractionSupport.Detect,
        });
        if (redirected)
        {
            console.Profile.Width = PipeWidth;
        }

        return console;
    }
}
