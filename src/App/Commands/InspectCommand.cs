// inspect: what is in a weights file, without a model to load it into. The first thing to look at when weights do not fit.
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using FashionFlow.App.Terminal;
using FashionFlow.Tensors.Weights;
using Spectre.Console;

namespace FashionFlow.App.Commands;

/// <summary>Lists tensors, metadata and, if asked, statistics of safetensors and PyTorch files.</summary>
internal static class InspectCommand
{
    private static readonly string[] s_extensions = [".safetensors", ".pth", ".pt", ".bin", ".ckpt"];

    private const int MostNotes = 50;

    // Names and shapes that are longer are cut in tables; JSON has them whole.
    private const int LongestCell = 200;

    // The columns of a terminal in which all of a tensor's numbers have room beside a name of twenty letters.
    private const int RoomForAll = 110;

    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var files = new Argument<string[]>("FILE")
        {
            Description = "A safetensors or PyTorch file, an index of several, or a model's folder: all such files in it and in its folders.",
            Arity = ArgumentArity.OneOrMore,
            HelpName = "FILE...",
        };
        var stats = new Option<bool>("--stats")
        {
            Description = "Also least and greatest element, mean and standard deviation, all of the finite elements alone (a dash, in JSON null, "
                + "where there are none), and how many are NaN, infinite, zero. Reads the whole file. A narrow terminal shows these alone.",
        };
        var filter = new Option<string?>("--filter") { Description = "Show only tensors whose name contains this text.", HelpName = "TEXT" };
        var json = CommonOptions.Json();
        var command = new WithExamples(
            "inspect",
            "Show what safetensors and PyTorch files hold: tensors, totals, metadata. Nothing in them is run.",
            "inspect model/unet.safetensors",
            "inspect FashionFlow_checkpoint.pth --filter conv_in",
            "inspect model --stats --filter attn",
            "inspect model --json")
        {
            files, stats, filter, json,
        };
        command.SetAction(parsed =>
        {
            var code = ExitCode.Success;
            List<string> paths = [.. parsed.GetRequiredValue(files).SelectMany(Expand)];
            foreach (var path in paths)
            {
                try
                {
                    using var file = Open(path);
                    var view = View.Of(path, file, parsed.GetValue(filter), parsed.GetValue(stats), cancellation);
                    if (parsed.GetValue(json))
                    {
                        screen.WriteJson(view.Write);
                    }
                    else
                    {
                        Print(screen, view, withPath: paths.Count > 1);
                    }
                }
                catch (Exception e) when (e is WeightFileException or UserError { ExitCode: ExitCode.Input })
                {
                    screen.WriteError(e.Message, advice: null);
                    code = ExitCode.Input;
                }
            }

            return code;
        });
        return command;
    }

    // A folder stands for the files in it and, as diffusers lays a model out, in the folders in it; for itself if it has none.
    private static IEnumerable<string> Expand(string path) => !Directory.Exists(path)
        ? [path]
        : Directory.EnumerateFiles(path, "*", new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 1 })
            .Where(file => s_extensions.Contains(Path.GetExtension(file), StringComparer.Ordinal))
            .Order(StringComparer.Ordinal)
            .DefaultIfEmpty(path);

    private static WeightFile Open(string path) => Directory.Exists(path)
        ? throw new UserError(ExitCode.Input, $"{PrintableText.Of(path)} holds no file of weights ({string.Join(", ", s_extensions)})")
        : WeightFile.Open(path);

    private static void Print(Screen screen, View view, bool withPath)
    {
        if (withPath)
        {
            screen.WriteLine(PrintableText.Of(view.Path));
        }

        if (view.Rows.Count > 0)
        {
            screen.Write(Table(screen, view));
        }

        // A line of its own for each, since a table would fold a value; it is cut only where a line has an end. An optimizer's state
        // lists every parameter by its number.
        var width = screen.Output.Profile.Out.IsTerminal ? screen.Output.Profile.Width - 1 : int.MaxValue;
        var notes = view.File.Notes.ToList();
        foreach (var (name, value) in notes.Take(MostNotes))
        {
            screen.WriteLine(PrintableText.Of($"metadata {PrintableText.Of(name, LongestCell)}: {value}", width));
        }

        if (notes.Count > MostNotes)
        {
            screen.WriteLine($"and {notes.Count - MostNotes} more metadata, which --json shows");
        }

        var misaligned = view.Rows.Count(row => row.IsAligned is false);
        if (misaligned > 0)
        {
            screen.WriteLine($"{Plural(misaligned, "tensor")} not aligned to {(misaligned == 1 ? "its" : "their")} elements, which is read all the same");
        }

        var of = view.Rows.Count == view.TensorsInFile ? string.Empty : $" (of {view.TensorsInFile})";
        screen.WriteLine($"{Plural(view.Rows.Count, "tensor")}{of}, {Plural(view.Parameters, "parameter")}, {Plural(view.Bytes, "byte")}");
    }

    private static Table Table(Screen screen, View view)
    {
        // Where there is no room for all, statistics are what was asked for.
        var isNarrow = screen.Output.Profile.Out.IsTerminal && screen.Output.Profile.Width < RoomForAll;
        string[] description = view.HasStatistics && isNarrow ? [] : ["type", "shape", "bytes"];
        string[] statistics = view.HasStatistics ? ["min", "max", "mean", "std", "NaN", "inf", "zeros"] : [];
        var table = screen.Table(["tensor", .. description, .. statistics]);
        foreach (var column in table.Columns.Skip(description.Length > 0 ? 3 : 1))
        {
            // Names and shapes are folded at need, numbers are not.
            column.RightAligned().NoWrap();
        }

        foreach (var row in view.Rows)
        {
            List<string> cells = [PrintableText.Of(row.Entry.Name, LongestCell)];
            if (description.Length > 0)
            {
                cells.AddRange([row.Entry.TypeName, PrintableText.Of(row.Entry.Shape.ToString(), LongestCell), $"{row.Entry.Bytes}"]);
            }

            if (row.Statistics is { } numbers)
            {
                cells.AddRange(
                [
                    Number(numbers.Minimum), Number(numbers.Maximum), Number(numbers.Mean), Number(numbers.Deviation),
                    $"{numbers.NaNs}", $"{numbers.Infinities}", $"{numbers.Zeros}",
                ]);
            }

            table.AddRow(cells.Select(cell => new Text(cell)));
        }

        return table;
    }

    private static string Number(double? value) => value?.ToString("G4", CultureInfo.InvariantCulture) ?? "-";

    private static string Plural(long count, string noun) => string.Create(CultureInfo.InvariantCulture, $"{count:N0} {noun}{(count == 1 ? "" : "s")}");

    /// <summary>A tensor that is shown.</summary>
    private sealed record Row(WeightEntry Entry, bool? IsAligned, TensorStatistics? Statistics);

    /// <summary>What is shown of a file: its tensors as they lie in it, or those that the filter lets through.</summary>
    private sealed record View(string Path, WeightFile File, int TensorsInFile, bool HasStatistics, IReadOnlyList<Row> Rows)
    {
        public long Parameters => Rows.Sum(row => row.Entry.Shape.Count);

        public long Bytes => Rows.Sum(row => row.Entry.Bytes);

        public static View Of(string path, WeightFile file, string? filter, bool statistics, CancellationToken cancellation)
        {
            var entries = file.Entries.ToList();
            return new View(path, file, entries.Count, statistics,
            [
                .. entries
                    .Where(entry => filter is null || entry.Name.Contains(filter, StringComparison.Ordinal))
                    .Select(entry => new Row(
                        entry, (file as SafetensorsFile)?.IsAligned(entry.Name), statistics ? TensorStatistics.Of(file, entry.Name, cancellation) : null)),
            ]);
        }

        /// <summary>The members of the file's JSON object.</summary>
        public void Write(Utf8JsonWriter json)
        {
            json.WriteString("file", Path);
            json.WriteString("format", File.Format);
            json.WriteStartArray("tensors");
            foreach (var row in Rows)
            {
                json.WriteStartObject();
                json.WriteString("name", row.Entry.Name);
                json.WriteString("dtype", row.Entry.TypeName);
                json.WriteStartArray("shape");
                foreach (var length in row.Entry.Shape)
                {
                    json.WriteNumberValue(length);
                }

                json.WriteEndArray();
                json.WriteNumber("bytes", row.Entry.Bytes);
                if (row.IsAligned is { } aligned)
                {
                    json.WriteBoolean("aligned", aligned);
                }

                if (row.Statistics is { } statistics)
                {
                    Write(json, statistics);
                }

                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartObject("totals");
            json.WriteNumber("tensors", Rows.Count);
            json.WriteNumber("tensors_in_file", TensorsInFile);
            json.WriteNumber("parameters", Parameters);
            json.WriteNumber("bytes", Bytes);
            json.WriteEndObject();
            json.WriteStartObject("metadata");
            foreach (var (name, value) in File.Notes)
            {
                json.WriteString(name, value);
            }

            json.WriteEndObject();
        }

        private static void Write(Utf8JsonWriter json, TensorStatistics statistics)
        {
            json.WriteStartObject("stats");
            foreach (var (name, value) in new[]
            {
                ("min", statistics.Minimum), ("max", statistics.Maximum), ("mean", statistics.Mean), ("std", statistics.Deviation),
            })
            {
                // JSON has no infinity; a mean may be one where the elements are near the end of the range of doubles.
                if (value is { } number && double.IsFinite(number))
                {
                    json.WriteNumber(name, number);
                }
                else
                {
                    json.WriteNull(name);
                }
            }

            json.WriteNumber("nan", statistics.NaNs);
            json.WriteNumber("inf", statistics.Infinities);
            json.WriteNumber("zeros", statistics.Zeros);
            json.WriteEndObject();
        }
    }
}
