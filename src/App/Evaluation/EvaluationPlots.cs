// An evaluation's figures as pictures: how they fall off along the video, how clips differ, how garments are found again.
using System.Globalization;
using FashionFlow.App.Reports;

namespace FashionFlow.App.Evaluation;

/// <summary>Draws PNG files.</summary>
internal static class EvaluationPlots
{
    private const int MostBars = 16;
    private const int Bins = 10;

    /// <summary>PSNR by frame; null where all frames are equal to the true ones, which have none.</summary>
    public static byte[]? PsnrByFrame(EvaluationReport report)
    {
        var curves = report.Summary.Rows.Select(row => new Curve(row.Name, [.. Enumerable.Range(1, row.Scores.FramePsnr.Count).Select(i => (double)i)], row.Scores.FramePsnr)).ToArray();
        return curves.Any(c => c.Y.Any(double.IsFinite))
            ? Plots.Lines(new PlotText("How near frames are to the true ones", "frame (0 is the given picture)", "PSNR in dB"), curves)
            : null;
    }

    /// <summary>Each clip's gain, or how many clips have which where there are many; null where no clip has one.</summary>
    public static byte[]? GainByClip(EvaluationReport report)
    {
        var clips = report.Clips.Where(c => double.IsFinite(c.GainDb)).ToArray();
        if (clips.Length == 0)
        {
            return null;
        }

        const string Title = "Nearer than the repeated picture by";
        return clips.Length <= MostBars
            ? Plots.Bars(new PlotText(Title, "clip", "gain in dB"), [.. clips.Zip(Short([.. clips.Select(c => Path.GetFileNameWithoutExtension(c.Name))]), (c, name) => (name, c.GainDb))], "+0.0;-0.0;0.0", alike: true)
            : Plots.Bars(new PlotText(Title, "gain in dB", "clips"), Histogram([.. clips.Select(c => c.GainDb)]), "0", alike: true);
    }

    /// <summary>The share of garments that are found first.</summary>
    public static byte[] Identity(EvaluationReport report) => Plots.Bars(
        new PlotText(string.Create(CultureInfo.InvariantCulture, $"Garments found among {report.Gallery.Count} by frames from the second on"), "frames, and what they are compared by", "percent found first"),
        [
            .. report.Summary.Rows.SelectMany(row => new[] { ($"{row.Name}\nencoder", row.Scores.Encoder.TopOne * 100), ($"{row.Name}\ncolours", row.Scores.Colour.TopOne * 100) }),
            ("by chance", report.Summary.Chance * 100),
        ],
        "0.#",
        alike: true);

    /// <summary>Counts of values in bins of one round width.</summary>
    internal static List<(string Name, double Value)> Histogram(double[] values)
    {
        var range = values.Max() - values.Min();
        var power = Math.Pow(10, Math.Floor(Math.Log10(Math.Max(range / Bins, 0.01))));
        var width = new[] { 1.0, 2.0, 5.0, 10.0 }.Select(digit => digit * power).First(w => w * Bins >= range);
        var (first, last) = ((long)Math.Floor(values.Min() / width), (long)Math.Floor(values.Max() / width));
        return
        [
            .. Enumerable.Range(0, (int)(last - first) + 1).Select(i => (
                string.Create(CultureInfo.InvariantCulture, $"{(first + i) * width:0.##} to\n{(first + i + 1) * width:0.##}"),
                (double)values.Count(v => (long)Math.Floor(v / width) == first + i))),
        ];
    }

    /// <summary>Names without what all of them begin with, if something of each is left.</summary>
    internal static string[] Short(string[] names)
    {
        var common = 0;
        while (names.Length > 1 && names.All(n => common + 1 < n.Length && n[common] == names[0][common]))
        {
            common++;
        }

        return Array.ConvertAll(names, n => n[common..]);
    }
}
