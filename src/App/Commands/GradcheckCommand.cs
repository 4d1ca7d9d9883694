// gradcheck: are the gradients the derivatives? Runs the table of gradient checks, or one operator's part of it.
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using FashionFlow.App.Generation;
using FashionFlow.App.Terminal;
using FashionFlow.Autograd.Checking;
using FashionFlow.Tensors;
using FashionFlow.VirtualGpu;
using Spectre.Console;

namespace FashionFlow.App.Commands;

/// <summary>Prints the worst error of every operator's gradients, and what is wrong with those that are.</summary>
internal static class GradcheckCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        string[] names = [.. GradCheckTable.Cases.Select(c => c.Operator).Distinct(StringComparer.Ordinal)];
        var op = new Option<string?>("--op") { Description = "Check the operator of this name, in all its cases.", HelpName = "NAME" };
        op.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !names.Contains(token.Value, StringComparer.Ordinal))
            {
                var nearest = Spelling.Nearest(token.Value, names) is { } name ? $"; did you mean {name}?" : string.Empty;
                result.AddError($"--op: there is no operator '{token.Value}'{nearest}");
            }
        });
        op.CompletionSources.Add(names);
        var all = new Option<bool>("--all") { Description = "Check every operator." };
        var fast = new Option<bool>("--fast") { Description = "Check products of the Jacobian with random vectors, instead of every element of it." };
        var seed = CommonOptions.Seed("Seed of inputs and random vectors.");
        var device = CommonOptions.Device();
        var json = CommonOptions.Json();
        var quiet = CommonOptions.Quiet();
        var command = new WithExamples(
            "gradcheck",
            "Hold the gradients of operators to central differences.",
            "gradcheck --all",
            "gradcheck --op Silu --seed 7",
            "gradcheck --all --fast --json -d virtual:sm_70")
        {
            op, all, fast, seed, device, json, quiet,
        };
        command.Validators.Add(result =>
        {
            var (one, every) = (result.GetResult(op) is { Implicit: false }, result.GetResult(all) is { Implicit: false });
            if (one == every)
            {
                result.AddError(one ? "--op and --all exclude one another" : "name an operator by --op NAME, or check all of them by --all");
            }
        });
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            var name = parsed.GetValue(op);
            GradCheckCase[] cases = [.. GradCheckTable.Cases.Where(c => name is null || c.Operator == name)];
            var options = new GradCheckOptions
            {
                Mode = parsed.GetValue(fast) ? GradCheckMode.Fast : GradCheckMode.Full,
                Seed = parsed.GetValue(seed),
            };
            return Run(screen, parsed.GetRequiredValue(device), cases, options, parsed.GetValue(json), cancellation);
        });
        return command;
    }

    /// <summary>Checks cases, prints what was found, and says by the exit code whether all gradients are right.</summary>
    internal static int Run(Screen screen, string device, IReadOnlyList<GradCheckCase> cases, GradCheckOptions options, bool asJson, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var reports = new List<GradCheckReport>();
        var context = Open(device);
        var deviceName = VideoMaker.DeviceName(context.Device.Properties);
        try
        {
            ProgressDisplay.Run(screen, progress =>
            {
                progress.Report("gradients", "case", 0, cases.Count, 0);
                foreach (var @case in cases)
                {
                    cancellation.ThrowIfCancellationRequested();
                    var report = GradCheck.Run(context, @case, options);
                    reports.Add(report);
                    if (asJson)
                    {
                        screen.WriteJson(line => Write(line, report));
                    }

                    // A kernel that failed has ended its device; the next operator gets another.
                    if (report.Failures.Any(f => f.Kind is GradCheckFailureKind.Error))
                    {
                        context.Dispose();
                        context = Open(device);
                    }

                    progress.Report("gradients", "case", reports.Count, cases.Count, context.PeakBytes);
                }

                return reports;
            });
        }
        finally
        {
            context.Dispose();
        }

        if (!asJson && !screen.IsQuiet)
        {
            Print(screen, reports, clock.Elapsed, deviceName);
        }

        foreach (var report in reports.Where(r => !r.Passed))
        {
            foreach (var failure in report.Failures)
            {
                screen.WriteError($"{report.Operator} {report.Variant}: {failure.Message}", failure == report.Failures[^1] ? $"seed {report.Seed}; to see it again: {report.Reproduction}" : null);
            }
        }

        return reports.TrueForAll(r => r.Passed) ? ExitCode.Success : ExitCode.Negative;
    }

    // Every tensor has an allocation of its own, so that a device that checks addresses sees an access beside it.
    private static DeviceContext Open(string device) => new(DeviceSelector.Open(device), ownsDevice: true, new DeviceContextOptions { IsolateAllocations = true });

    private static void Print(Screen screen, List<GradCheckReport> reports, TimeSpan elapsed, string device)
    {
        var table = screen.Table("operator", "cases", "worst error", "of allowed", "float32, epsilons", "time", string.Empty);
        foreach (var column in table.Columns.Skip(1).Take(5))
        {
            column.RightAligned().NoWrap();
        }

        var operators = reports.GroupBy(r => r.Operator, StringComparer.Ordinal).ToList();
        foreach (var rows in operators)
        {
            var wrong = rows.Count(r => !r.Passed);
            table.AddRow(
                new Text(rows.Key),
                new Text($"{rows.Count()}"),
                new Text(Number(rows.Max(r => Ordered(r.WorstDifference)))),
                new Text(Number(rows.Max(r => Ordered(r.WorstShare)))),
                new Text(rows.Max(r => r.WorstSingle)?.ToString("0.0", CultureInfo.InvariantCulture) ?? "-"),
                new Text(ProgressDisplay.Duration(TimeSpan.FromTicks(rows.Sum(r => r.Elapsed.Ticks)))),
                new Text(wrong == 0 ? string.Empty : "WRONG", new Style(Color.Red)));
        }

        screen.Write(table);
        var failed = reports.Count(r => !r.Passed);
        screen.WriteLine(
            $"{Plural(operators.Count, "operator")}, {Plural(reports.Count, "case")}: {(failed == 0 ? "all gradients are right" : $"{failed} wrong")}; "
            + $"{ProgressDisplay.Duration(elapsed)} on {device}");
    }

    private static void Write(Utf8JsonWriter line, GradCheckReport report)
    {
        line.WriteString("status", report.Passed ? "right" : "wrong");
        line.WriteString("operator", report.Operator);
        line.WriteString("variant", report.Variant);
        line.WriteString("mode", report.Mode == GradCheckMode.Fast ? "fast" : "full");
        line.WriteNumber("seed", report.Seed);
        WriteNumber("worst_error", report.WorstDifference);
        WriteNumber("worst_share_of_allowed", report.WorstShare);
        WriteNumber("worst_float32_epsilons", report.WorstSingle);
        line.WriteNumber("seconds", Math.Round(report.Elapsed.TotalSeconds, 3));
        line.WriteStartArray("failures");
        foreach (var failure in report.Failures)
        {
            line.WriteStartObject();
            line.WriteString("kind", JsonNamingPolicy.SnakeCaseLower.ConvertName(failure.Kind.ToString()));
            line.WriteString("input", failure.Input);
            WriteNumber("element", failure.Element);
            WriteNumber("backward", failure.Backward);
            WriteNumber("expected", failure.Expected);
            line.WriteString("message", failure.Message);
            line.WriteEndObject();
        }

        line.WriteEndArray();

        // JSON has neither NaN nor infinity.
        void WriteNumber(string name, double? value)
        {
            if (value is { } number && double.IsFinite(number))
            {
                line.WriteNumber(name, number);
            }
            else
            {
                line.WriteNull(name);
            }
        }
    }

    // To Max a NaN is the least; here it is the worst.
    private static double Ordered(double value) => double.IsNaN(value) ? double.PositiveInfinity : value;

    private static string Number(double value) => double.IsFinite(value) ? value.ToString("0.0e+00", CultureInfo.InvariantCulture) : "not a number";

    private static string Plural(int count, string noun) => $"{count} {noun}{(count == 1 ? string.Empty : "s")}";
}
