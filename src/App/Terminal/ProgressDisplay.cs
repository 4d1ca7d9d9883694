// How far the work is: a bar with step, speed and time left on a terminal, a line now and then in a pipe or a log.
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace FashionFlow.App.Terminal;

/// <summary>Shows the stages of a long job. Reports come from the thread that works.</summary>
internal abstract class ProgressDisplay
{
    /// <summary>Runs <paramref name="work"/> with a display that fits the screen.</summary>
    public static T Run<T>(Screen screen, Func<ProgressDisplay, T> work)
    {
        if (screen.IsQuiet)
        {
            return work(new Silence());
        }

        if (!screen.IsLive)
        {
            return work(new Lines(screen));
        }

        // What is left of 80 columns beside a stage's name and its figures.
        const int NarrowBar = 12;
        var rates = new RateColumn();
        return screen.Error.Progress()
            .AutoClear(false)
            .HideCompleted(false)
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn { Width = screen.Error.Profile.Width < 110 ? NarrowBar : 32 }, rates)
            .Start(context => work(new Bars(context, rates)));
    }

    /// <summary>
    /// Tells that <paramref name="done"/> of <paramref name="total"/> parts (<paramref name="unit"/>: "step", "frame") of a stage
    /// are done, and that tensors took <paramref name="peakBytes"/> of device memory at most so far. The first report of a
    /// stage, with 0 done, starts its clock. A <paramref name="note"/> says what else is known of the part just done.
    /// </summary>
    public abstract void Report(string stage, string unit, int done, int total, long peakBytes, string? note = null);

    /// <summary>"1.4 s", "35 s", "2 min 05 s", "1 h 12 min".</summary>
    public static string Duration(TimeSpan time) => time.TotalSeconds switch
    {
        < 9.95 => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0.0} s"),
        < 59.5 => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:0} s"),
        < 3599.5 => string.Create(CultureInfo.InvariantCulture, $"{(int)Math.Round(time.TotalSeconds) / 60} min {(int)Math.Round(time.TotalSeconds) % 60:00} s"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours} h {time.Minutes:00} min"),
    };

    /// <summary>"378 MiB", "2.6 GiB".</summary>
    public static string Memory(long bytes) => bytes < 1L << 30
        ? string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 20):0} MiB")
        : string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 30):0.0} GiB");

    /// <summary>Speed and time left of one stage.</summary>
    private sealed class Clock
    {
        private readonly long _start = Stopwatch.GetTimestamp();
        private (int Done, long Time)? _begin;
        private (int Done, long Time)? _first;

        public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_start);

        public string Describe(string unit, int done, int total, long peakBytes, string? note)
        {
            var text = Describe(unit, done, total);
            text = text.Length == 0 || peakBytes == 0 ? text : $"{text}, peak {Memory(peakBytes)}";
            return note is null || text.Length == 0 ? text : $"{text}, {note}";
        }

        private string Describe(string unit, int done, int total)
        {
            // What an earlier run did took no time here.
            var begin = (_begin ??= (done, _start)).Done;
            if (done > begin)
            {
                _first ??= (done, Stopwatch.GetTimestamp());
            }

            if (done >= total)
            {
                return total - begin <= 1 ? Duration(Elapsed) : $"{total - begin} {unit}s in {Duration(Elapsed)}";
            }

            // The first part loads and compiles kernels: from the third on it does not count any more.
            var seconds = done - begin >= 3 && _first is var (first, time)
                ? Stopwatch.GetElapsedTime(time).TotalSeconds / (done - first)
                : Elapsed.TotalSeconds / Math.Max(done - begin, 1);
            return done == begin
                ? (total == 1 ? string.Empty : $"{unit} {done}/{total}")
                : $"{unit} {done}/{total}, {Speed(unit, seconds)}, {Duration(TimeSpan.FromSeconds(seconds * (total - done)))} left";
        }

        private static string Speed(string unit, double secondsEach) => secondsEach < 1
            ? string.Create(CultureInfo.InvariantCulture, $"{1 / Math.Max(secondsEach, 1e-6):0.0} {unit}s/s")
            : string.Create(CultureInfo.InvariantCulture, $"{secondsEach:0.0} s a {unit}");
    }

    private sealed class Silence : ProgressDisplay
    {
        public override void Report(string stage, string unit, int done, int total, long peakBytes, string? note = null)
        {
        }
    }

    private sealed class Bars(ProgressContext context, RateColumn rates) : ProgressDisplay
    {
        private readonly Dictionary<string, (ProgressTask Task, Clock Clock)> _stages = [];

        public override void Report(string stage, string unit, int done, int total, long peakBytes, string? note = null)
        {
            if (!_stages.TryGetValue(stage, out var bar))
            {
                bar = (context.AddTask(Markup.Escape(stage), maxValue: total), new Clock());
                _stages.Add(stage, bar);
            }

            rates.Texts[bar.Task.Id] = bar.Clock.Describe(unit, done, total, peakBytes, note);
            bar.Task.Value = done;
        }
    }

    // Drawn by Spectre's own thread.
    private sealed class RateColumn : ProgressColumn
    {
        public ConcurrentDictionary<int, string> Texts { get; } = [];

        public override IRenderable Render(RenderOptions options, ProgressTask task, TimeSpan deltaTime) =>
            new Text(Texts.GetValueOrDefault(task.Id, string.Empty));
    }

    private sealed class Lines(Screen screen) : ProgressDisplay
    {
        private static readonly TimeSpan Pause = TimeSpan.FromSeconds(10);
        private readonly Dictionary<string, Clock> _stages = [];
        private long _last;
        private int _tenth;

        public override void Report(string stage, string unit, int done, int total, long peakBytes, string? note = null)
        {
            if (!_stages.TryGetValue(stage, out var clock))
            {
                _stages.Add(stage, clock = new Clock());
                (_last, _tenth) = (Stopwatch.GetTimestamp(), 0);
            }

            // A line for every tenth of a slow stage, at most one in ten seconds, and one for its end.
            var text = clock.Describe(unit, done, total, peakBytes, note);
            var tenth = done * 10 / Math.Max(total, 1);
            if (done >= total || (tenth > _tenth && Stopwatch.GetElapsedTime(_last) >= Pause))
            {
                (_last, _tenth) = (Stopwatch.GetTimestamp(), tenth);
                screen.Note($"{stage}: {text}");
            }
        }
    }
}
