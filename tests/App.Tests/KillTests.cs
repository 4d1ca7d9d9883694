// A training that is killed at any moment goes on to the bits of one that was not, and loses no more than since its last checkpoint.
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
public sealed partial class KillTests
{
    private const int Steps = 14;
    private const int Every = 3;
    private const string Line = "--data latents -m model --steps 14 --checkpoint-every 3 --keep 2 --warmup 2 --sample-every 0 --log-every 1 --json -d virtual";

    // Every file of the last checkpoint, and the finished model's weights, of a run that nobody disturbed.
    private static readonly Lazy<Dictionary<string, byte[]>> Undisturbed = new(() =>
    {
        using var folder = new TemporaryFolder();
        TrainFolder.Prepare(folder);
        var result = BuiltProgram.RunIn(folder.Path, null, $"train -o run {Line}".Split(' '));
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        return Results(folder);
    });

    [TestCase(0)]
    [TestCase(1)]
    [TestCase(2)]
    public void A_killed_run_goes_on_to_the_same_bits(int number) => KillAndGoOn(number);

    [Test]
    [Category("Long")]
    public void Fifty_killed_runs_go_on_to_the_same_bits([Range(3, 52)] int number) => KillAndGoOn(number);

    private static void KillAndGoOn(int number)
    {
        using var folder = new TemporaryFolder();
        TrainFolder.Prepare(folder);

        // Every third run is killed twice; every third before there is a checkpoint.
        var seen = 0L;
        for (var kill = 0; kill <= number % 3 / 2; kill++)
        {
            var (told, started) = RunAndKill(folder, Lines(number, kill), Draw(number, kill, 1));
            AssertWentOn(started, seen);
            seen = Math.Max(told, started);
        }

        var result = BuiltProgram.RunIn(folder.Path, null, $"train -o run {Line} --resume".Split(' '));
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        var from = StartOf(result.Error);
        TestContext.Out.WriteLine($"run {number}: killed after step {seen}, went on after step {from}");
        AssertWentOn(from, seen);
        var ours = Results(folder);
        Assert.That(ours.Keys, Is.EquivalentTo(Undisturbed.Value.Keys));
        Assert.That(ours.Where(f => !Undisturbed.Value[f.Key].SequenceEqual(f.Value)).Select(f => f.Key), Is.Empty);
        Assert.That(Directory.EnumerateFileSystemEntries(folder["run"], "*.part*"), Is.Empty);
        Assert.That(Directory.EnumerateDirectories(folder["run/checkpoints"]).Select(Path.GetFileName).Order(StringComparer.Ordinal), Is.EqualTo(new[] { "step-00000012", "step-00000014" }));
    }

    /// <summary>The line of a step comes before its checkpoint, so that all since the one before may be lost, and no more.</summary>
    private static void AssertWentOn(long from, long seen) => Assert.That(from, Is.GreaterThanOrEqualTo(seen - Every));

    private static (long Told, long Started) RunAndKill(TemporaryFolder folder, int lines, ulong draw)
    {
        using var process = BuiltProgram.Start(folder.Path, null, $"train -o run {Line} --resume".Split(' '));
        var error = process.StandardError.ReadToEndAsync();
        var told = 0L;
        for (var i = 0; i < lines && process.StandardOutput.ReadLine() is { } line; i++)
        {
            told = Math.Max(told, StepOf(line));
        }

        // Up to two steps long; before the first one, up to what a start takes.
        Thread.Sleep((int)(draw % (lines == 0 ? 1500UL : 120UL)));
        process.Kill();
        while (process.StandardOutput.ReadLine() is { } line)
        {
            told = Math.Max(told, StepOf(line));
        }

        process.WaitForExit();
        return (told, StartOf(error.GetAwaiter().GetResult()));
    }

    /// <summary>How many steps are awaited before the kill.</summary>
    private static int Lines(int number, int kill) => number % 3 == 0 ? number % 2 == 0 ? 0 : (int)(Draw(number, kill, 0) % Every) : (int)(Draw(number, kill, 0) % Steps);

    /// <summary>SplitMix64 (Steele et al. 2014) of what the number is for: other moments each run, the same ones each time.</summary>
    private static ulong Draw(int number, int kill, int purpose)
    {
        var z = unchecked((((ulong)number * 16) + ((ulong)kill * 4) + (ulong)purpose + 1) * 0x9E3779B97F4A7C15);
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9);
        z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EB);
        return z ^ (z >> 31);
    }

    private static long StepOf(string line)
    {
        try
        {
            return JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt64();
        }
        catch (JsonException)
        {
            // A line that the kill cut short is not told.
            return 0;
        }
    }

    private static long StartOf(string error) =>
        GoesOn().Match(error) is { Success: true } match ? long.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) : 0;

    private static Dictionary<string, byte[]> Results(TemporaryFolder folder) =>
        new[] { "run/checkpoints/step-00000014", "run/model" }
            .SelectMany(part => Directory.EnumerateFiles(folder[part]))
            .ToDictionary(path => Path.GetRelativePath(folder.Path, path), File.ReadAllBytes);

    [GeneratedRegex(@"goes on after step (\d+) of ")]
    private static partial Regex GoesOn();
}
