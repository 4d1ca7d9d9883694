// gradcheck when a gradient is wrong, which no operator's is: cases made for it, in a process of their own.
using System.Diagnostics;
using System.Text.Json;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
public sealed class GradcheckTests
{
    [Test]
    public void A_wrong_gradient_is_marked_and_explained_and_the_others_are_checked()
    {
        var result = Run();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(1));
            Assert.That(result.Output, Does.Match("(?m)^Twice +2 +.* +WRONG$").And.Match("(?m)^Fails +1 +.* +WRONG$").And.Match(@"(?m)^Silu +1 +\S+ +\S+ +\S+ +\d\.\d s$"));
            Assert.That(result.Output, Does.Match(@"(?m)^3 operators, 4 cases: 2 wrong; \d+\.\d s on "));
            Assert.That(result.ErrorLines.Where(line => line.StartsWith("error: ", StringComparison.Ordinal)), Is.EqualTo(new[]
            {
                "error: Twice wrong: the float64 gradient of x is NaN at [0]; new memory holds NaN here, so that reading it before it is written shows so",
                "error: Twice wrong: the float32 gradient of x is NaN at [0]; new memory holds NaN here, so that reading it before it is written shows so",
                "error: Fails at once: the float64 pass failed: InvalidOperationException: not today",
            }));
            Assert.That(result.ErrorLines, Has.Exactly(2).StartsWith("seed 4; to see it again: GradCheckOptions { Seed = 4, Mode = Full }"));
        }
    }

    [Test]
    public void Quiet_leaves_the_errors()
    {
        var result = Run("quiet");
        Assert.That(result.Output, Is.Empty);
        Assert.That(result.ErrorLines, Has.Length.EqualTo(5));
    }

    [Test]
    public void Programs_get_a_line_a_case()
    {
        var lines = Run("json").Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement).ToArray();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(lines.Select(line => line.GetProperty("status").GetString()), Is.EqualTo(new[] { "right", "wrong", "wrong", "right" }));
            Assert.That(lines[0].EnumerateObject().Select(m => m.Name), Is.EqualTo(new[]
            {
                "status", "operator", "variant", "mode", "seed", "worst_error", "worst_share_of_allowed", "worst_float32_epsilons", "seconds", "failures",
            }));
            var failure = lines[1].GetProperty("failures")[0];
            Assert.That(failure.GetProperty("kind").GetString(), Is.EqualTo("not_finite"));
            Assert.That(failure.GetProperty("input").GetString(), Is.EqualTo("x"));
            Assert.That(failure.GetProperty("element").GetInt64(), Is.Zero);
            Assert.That(failure.GetProperty("backward").ValueKind, Is.EqualTo(JsonValueKind.Null), "JSON has no NaN");
        }
    }

    private static ProgramResult Run(params string[] options)
    {
        var start = new ProcessStartInfo(BuiltProgram.Host, ["exec", typeof(Probe).Assembly.Location, "gradcheck", .. options])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        return BuiltProgram.Wait(process);
    }
}
