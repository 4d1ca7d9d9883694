// Times two ways of doing the same in turns, so that what else the machine does falls on both alike.
using System.Diagnostics;

namespace FashionFlow.Bench;

/// <summary>One line of the report.</summary>
/// <param name="Name">What is computed.</param>
/// <param name="Ours">Median milliseconds of ours.</param>
/// <param name="Theirs">Median milliseconds of libtorch's, NaN where it was not run.</param>
/// <param name="Gflop">Billions of operations, 0 where bytes are what counts.</param>
/// <param name="Gigabytes">Billions of bytes that must be moved at least, where they are what counts.</param>
internal sealed record Row(string Name, double Ours, double Theirs, double Gflop, double Gigabytes)
{
    public static string Header => $"{"",-64} {"ours ms",9} {"torch ms",9} {"ours",8} {"torch",8} {"unit",8} {"speed",6}";

    public override string ToString()
    {
        var (work, unit) = Gflop > 0 ? (Gflop, "GFLOP/s") : (Gigabytes, "GB/s");
        return $"{Name,-64} {Ours,9:F3} {Theirs,9:F3} {work / Ours * 1e3,8:F1} {work / Theirs * 1e3,8:F1} {unit,8} {Theirs / Ours,6:F2}";
    }
}

internal static class Measure
{
    private const int Rounds = 15;

    /// <summary>
    /// Whether to count the process's processor time instead of wall time: with one thread it is what wall time would be on a
    /// machine that does nothing else.
    /// </summary>
    public static bool ProcessorTime { get; set; }

    /// <summary>Medians over rounds, ours and each of theirs in turns; theirs is the best of several ways (memory layouts).</summary>
    public static Row Compare(string name, double gflop, double gigabytes, Action ours, params Action[] theirs)
    {
        Action[] all = [ours, .. theirs];
        var repeats = new int[all.Length];
        for (var i = 0; i < all.Length; i++)
        {
            // Warm up, and let a round be some 20 ms long.
            all[i]();
            var once = Time(all[i], 1);
            all[i]();
            repeats[i] = (int)Math.Clamp(20 / Math.Min(once, Time(all[i], 1)), 1, 2000);
            Time(all[i], repeats[i]);
        }

        var times = Array.ConvertAll(all, _ => new List<double>());
        for (var round = 0; round < Rounds; round++)
        {
            for (var i = 0; i < all.Length; i++)
            {
                times[i].Add(Time(all[i], repeats[i]));
            }
        }

        var medians = Array.ConvertAll(times, Median);
        var row = new Row(name, medians[0], medians.Skip(1).DefaultIfEmpty(double.NaN).Min(), gflop, gigabytes);
        Console.WriteLine(row);
        return row;
    }

    public static double Median(List<double> values)
    {
        values.Sort();
        return values.Count % 2 == 1 ? values[values.Count / 2] : (values[(values.Count / 2) - 1] + values[values.Count / 2]) / 2;
    }

    private static double Time(Action action, int repeats)
    {
        var watch = Stopwatch.StartNew();
        var before = Environment.CpuUsage.TotalTime;
        for (var i = 0; i < repeats; i++)
        {
            action();
        }

        return (ProcessorTime ? Environment.CpuUsage.TotalTime - before : watch.Elapsed).TotalMilliseconds / repeats;
    }
}
