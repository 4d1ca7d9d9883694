// --memory-budget and --plan-only: sizes as people write them, and a plan as people read it.
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using Spectre.Console;

namespace FashionFlow.App.Commands;

/// <summary>Reads budgets and describes plans.</summary>
internal static class MemoryBudget
{
    // The longest endings first: "B" ends all of them.
    private static readonly (string Ending, double Bytes)[] s_units =
        [("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12), ("B", 1), ("", 1)];

    /// <summary><c>--memory-budget</c>; what was given is read by <see cref="Parse"/>.</summary>
    public static Option<string?> Option()
    {
        var option = new Option<string?>("--memory-budget")
        {
            Description = "Plan the video so that weights and activations take no more device memory than this: 4GiB, 900MB, or bytes. The plan is printed; what cannot be met is refused with the least that can.",
            HelpName = "SIZE",
        };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && Parse(token.Value) is null)
            {
                result.AddError($"{option.Name} must be a size such as 4GiB, 900MB or 2000000000, not '{token.Value}'");
            }
        });
        return option;
    }

    /// <summary>A size in bytes; null if the text is none.</summary>
    public static long? Parse(string text)
    {
        var (ending, unit) = s_units.First(u => text.EndsWith(u.Ending, StringComparison.OrdinalIgnoreCase));
        return double.TryParse(text.AsSpan(0, text.Length - ending.Length).TrimEnd(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
            && number * unit is >= 1 and < 1e18 and var bytes
                ? (long)bytes
                : null;
    }

    /// <summary>The error for a budget that cannot be met.</summary>
    /// <param name="e">What was found.</param>
    /// <param name="given">What was asked for; the device may have less.</param>
    /// <param name="orElse">What else would help, or null.</param>
    public static UserError Refusal(MemoryBudgetException e, long given, string? orElse) => new(
        ExitCode.Device,
        e.Budget < given
            ? $"the device has {ProgressDisplay.Memory(e.Budget)} free, and {ProgressDisplay.Memory(e.Smallest)} are needed at least"
            : $"--memory-budget {ProgressDisplay.Memory(given)} is too little: {ProgressDisplay.Memory(e.Smallest)} are needed at least",
        string.Create(CultureInfo.InvariantCulture, $"give --memory-budget {Math.Ceiling(e.Smallest / (double)(1 << 20)):0}MiB{(orElse is null ? string.Empty : $", or {orElse}")}"),
        e);

    /// <summary>A plan in two lines.</summary>
    public static IEnumerable<string> Describe(MemoryPlan plan)
    {
        var stages = string.Join(", ", plan.Stages.Select(s => $"{NameOf(s)} {ProgressDisplay.Memory(s.ActivationBytes)}"));
        yield return $"plan: weights {ProgressDisplay.Memory(plan.WeightBytes)}; activations {ProgressDisplay.Memory(plan.ArenaBytes)} in one arena ({stages}); in all {ProgressDisplay.Memory(plan.TotalBytes)}";
        var (tokens, rows) = (plan.Settings.TokensAtATime, plan.Settings.DecodeRows);
        var attention = tokens == 0 ? "all tokens at once" : string.Create(CultureInfo.InvariantCulture, $"{tokens} tokens at a time");
        var decoding = plan.Stages.All(s => s.Name != "decode") ? string.Empty
            : rows == 0 ? ", frames decoded whole"
            : string.Create(CultureInfo.InvariantCulture, $", frames decoded in strips of {rows} rows");
        yield return $"plan: attention over {attention}{decoding}; nothing is computed twice";
    }

    /// <summary>Prints what <c>--plan-only</c> is for.</summary>
    /// <param name="screen">Where.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="times">About how long a part of each stage takes.</param>
    /// <param name="options">The video.</param>
    /// <param name="json">Whether a line of JSON is wanted.</param>
    public static void Print(Screen screen, MemoryPlan plan, IReadOnlyDictionary<string, TimeSpan> times, GenerationOptions options, bool json)
    {
        var total = plan.Stages.Aggregate(TimeSpan.Zero, (sum, s) => sum + (times.GetValueOrDefault(s.Name) * Parts(s, options)));
        if (json)
        {
            screen.WriteJson(line => Write(line, plan, times, options, total));
            return;
        }

        var table = screen.Table("stage", "times", "activations", "GFLOP each", "launches each", "about, each");
        foreach (var stage in plan.Stages)
        {
            table.AddRow(
                NameOf(stage),
                Parts(stage, options).ToString(CultureInfo.InvariantCulture),
                ProgressDisplay.Memory(stage.ActivationBytes),
                string.Create(CultureInfo.InvariantCulture, $"{stage.FloatingPointOperations / 1e9:0.0}"),
                stage.Launches.ToString(CultureInfo.InvariantCulture),
                times.TryGetValue(stage.Name, out var time) ? ProgressDisplay.Duration(time) : "-");
        }

        screen.Write(table);
        foreach (var text in Describe(plan))
        {
            screen.WriteLine(text);
        }

        screen.WriteLine($"sampling and decoding: about {ProgressDisplay.Duration(total)}, estimated from a small run of the same networks on this device");
    }

    private static int Parts(MemoryStage stage, GenerationOptions options) => stage.Name switch
    {
        "step" => options.Steps!.Value,
        "decode" => options.Frames!.Value,
        _ => 1,
    };

    private static string NameOf(MemoryStage stage) => stage.Name switch
    {
        "encode" => "encode the picture",
        "step" => "a step",
        "decode" => "decode a frame",
        var other => other,
    };

    private static void Write(Utf8JsonWriter line, MemoryPlan plan, IReadOnlyDictionary<string, TimeSpan> times, GenerationOptions options, TimeSpan total)
    {
        line.WriteString("status", "planned");
        line.WriteNumber("weight_bytes", plan.WeightBytes);
        line.WriteNumber("arena_bytes", plan.ArenaBytes);
        line.WriteNumber("total_bytes", plan.TotalBytes);
        line.WriteNumber("tokens_at_a_time", plan.Settings.TokensAtATime);
        line.WriteNumber("decode_rows", plan.Settings.DecodeRows);
        line.WriteStartArray("stages");
        foreach (var stage in plan.Stages)
        {
            line.WriteStartObject();
            line.WriteString("name", stage.Name);
            line.WriteNumber("times", Parts(stage, options));
            line.WriteNumber("activation_bytes", stage.ActivationBytes);
            line.WriteNumber("flop", stage.FloatingPointOperations);
            line.WriteNumber("launches", stage.Launches);
            if (times.TryGetValue(stage.Name, out var time))
            {
                line.WriteNumber("estimated_seconds", Math.Round(time.TotalSeconds, 3));
            }

            line.WriteEndObject();
        }

        line.WriteEndArray();
        line.WriteNumber("estimated_seconds", Math.Round(total.TotalSeconds, 3));
    }
}
