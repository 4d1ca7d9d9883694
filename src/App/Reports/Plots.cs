// Plots as PNG files: curves over steps, and bars side by side. The font is carried along, so that a plot is the same, and has
// its text, on a machine without any font.
using System.Globalization;
using ScottPlot;
using ScottPlot.TickGenerators;
using SkiaSharp;

namespace FashionFlow.App.Reports;

/// <summary>A curve.</summary>
/// <param name="Name">As the legend names it.</param>
/// <param name="X">Where; as many as <paramref name="Y"/>.</param>
/// <param name="Y">How high.</param>
internal sealed record Curve(string Name, IReadOnlyList<double> X, IReadOnlyList<double> Y);

/// <summary>What a plot says beside its data.</summary>
/// <param name="Title">The title.</param>
/// <param name="XLabel">What is on the horizontal axis.</param>
/// <param name="YLabel">What is on the vertical axis.</param>
internal sealed record PlotText(string Title, string XLabel, string YLabel);

/// <summary>Draws plots with ScottPlot. The same data give the same bytes.</summary>
internal static class Plots
{
    private const string FontName = "DejaVu Sans Plots";
    private const string FontResource = "FashionFlow.App.Reports.DejaVuSansPlots.ttf";

    // Okabe and Ito's colours, which people with any colour vision can tell apart, darkest first.
    private static readonly Color[] Colours = [.. new[] { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000" }.Select(hex => Color.FromHex(hex))];

    private static readonly Lock Gate = new();

    static Plots() => Fonts.FontResolvers.Insert(0, new CarriedFont());

    /// <summary>Curves over a common axis, with a legend if there are several.</summary>
    /// <param name="text">Title and labels.</param>
    /// <param name="curves">The curves. A point that is not finite, or on a logarithmic axis not positive, is left out.</param>
    /// <param name="logarithmic">Whether the vertical axis is logarithmic.</param>
    /// <param name="width">Pixels a row.</param>
    /// <param name="height">Rows.</param>
    /// <returns>A PNG file.</returns>
    /// <exception cref="ArgumentException">A curve has more of the one coordinate than of the other, or no curve has a point.</exception>
    public static byte[] Lines(PlotText text, IReadOnlyList<Curve> curves, bool logarithmic = false, int width = 960, int height = 540) => Draw(text, width, height, plot =>
    {
        var heights = new List<double>();
        foreach (var (curve, colour) in curves.Select((curve, i) => (curve, Colours[i % Colours.Length])))
        {
            if (curve.X.Count != curve.Y.Count)
            {
                throw new ArgumentException($"The curve {curve.Name} has {curve.X.Count} places and {curve.Y.Count} heights.", nameof(curves));
            }

            var points = curve.X.Zip(curve.Y, (x, y) => (X: x, Y: logarithmic ? Math.Log10(y) : y)).Where(p => double.IsFinite(p.X) && double.IsFinite(p.Y)).ToArray();
            if (points.Length == 0)
            {
                continue;
            }

            heights.AddRange(points.Select(p => p.Y));
            var line = plot.Add.Scatter(Array.ConvertAll(points, p => p.X), Array.ConvertAll(points, p => p.Y), colour);
            line.LineWidth = 2;
            // A single point has no line to be seen by.
            line.MarkerSize = points.Length <= 24 ? 6 : 0;
            line.LegendText = curve.Name;
        }

        if (heights.Count == 0)
        {
            throw new ArgumentException("There is no point to plot.", nameof(curves));
        }

        if (curves.Count > 1)
        {
            plot.ShowLegend(Alignment.UpperRight);
        }
        else
        {
            plot.HideLegend();
        }

        if (logarithmic)
        {
            UseDecades(plot, heights.Min(), heights.Max());
        }
    });

    /// <summary>A bar for each value, with the value on it.</summary>
    /// <param name="text">Title and labels.</param>
    /// <param name="bars">What each bar is of, and how high it is.</param>
    /// <param name="format">How values are written on the bars, as <see cref="double.ToString(string)"/> takes it.</param>
    /// <param name="alike">Whether all bars have one colour, as those of one kind should.</param>
    /// <param name="width">Pixels a row.</param>
    /// <param name="height">Rows.</param>
    /// <returns>A PNG file.</returns>
    /// <exception cref="ArgumentException">There is no bar, or a value is not finite.</exception>
    public static byte[] Bars(PlotText text, IReadOnlyList<(string Name, double Value)> bars, string format = "0.###", bool alike = false, int width = 960, int height = 540) => Draw(text, width, height, plot =>
    {
        if (bars.Count == 0 || bars.FirstOrDefault(bar => !double.IsFinite(bar.Value)) is { Name: not null })
        {
            throw new ArgumentException("A bar chart needs a bar, and finite values.", nameof(bars));
        }

        var drawn = plot.Add.Bars((Bar[])[.. bars.Select((bar, i) => new Bar
        {
            Position = i,
            Value = bar.Value,
            FillColor = Colours[alike ? 0 : i % Colours.Length],
            LineWidth = 0,
            Label = bar.Value.ToString(format, CultureInfo.InvariantCulture),
        })]);
        drawn.ValueLabelStyle.FontName = FontName;
        drawn.ValueLabelStyle.FontSize = 15;
        plot.Axes.Bottom.TickGenerator = new NumericManual([.. bars.Select((_, i) => (double)i)], [.. bars.Select(bar => bar.Name)]);
        plot.Axes.Bottom.MajorTickStyle.Length = 0;
        plot.Grid.XAxisStyle.IsVisible = false;
        plot.HideLegend();
        // The bars stand on the axis, and their labels have room.
        var (least, most) = (Math.Min(0, bars.Min(bar => bar.Value)), Math.Max(0, bars.Max(bar => bar.Value)));
        var room = most > least ? 0.12 * (most - least) : 1;
        plot.Axes.SetLimits(-0.6, bars.Count - 0.4, least < 0 ? least - room : 0, most > 0 || least == 0 ? most + room : 0);
    });

    /// <summary>Pictures one above the other, as wide as the widest, on white.</summary>
    /// <param name="pictures">PNG files, at least one, from the top.</param>
    /// <returns>A PNG file.</returns>
    /// <exception cref="ArgumentException">There is none, or one is no picture.</exception>
    public static byte[] Stack(params IReadOnlyList<byte[]> pictures)
    {
        if (pictures.Count == 0)
        {
            throw new ArgumentException("There is nothing to stack.", nameof(pictures));
        }

        var images = new List<SKImage>();
        try
        {
            foreach (var picture in pictures)
            {
                images.Add(SKImage.FromEncodedData(picture) ?? throw new ArgumentException("A picture to stack is none.", nameof(pictures)));
            }

            using var surface = SKSurface.Create(new SKImageInfo(images.Max(i => i.Width), images.Sum(i => i.Height)));
            surface.Canvas.Clear(SKColors.White);
            var top = 0;
            foreach (var image in images)
            {
                surface.Canvas.DrawImage(image, 0, top);
                top += image.Height;
            }

            using var snapshot = surface.Snapshot();
            using var png = snapshot.Encode(SKEncodedImageFormat.Png, 100);
            return png.ToArray();
        }
        finally
        {
            images.ForEach(i => i.Dispose());
        }
    }

    private static byte[] Draw(PlotText text, int width, int height, Action<Plot> fill)
    {
        // ScottPlot's fonts are global.
        lock (Gate)
        {
            using var plot = new Plot();
            plot.FigureBackground.Color = Color.FromHex("#ffffff");
            plot.Title(text.Title, size: 19);
            plot.XLabel(text.XLabel, size: 15);
            plot.YLabel(text.YLabel, size: 15);
            plot.Axes.Title.Label.Bold = plot.Axes.Bottom.Label.Bold = plot.Axes.Left.Label.Bold = false;
            plot.Axes.Bottom.TickLabelStyle.FontSize = plot.Axes.Left.TickLabelStyle.FontSize = 13;
            plot.Legend.FontSize = 14;
            plot.Grid.MajorLineColor = Color.FromHex("#000000").WithAlpha(0.10);
            plot.Axes.Right.FrameLineStyle.Width = plot.Axes.Top.FrameLineStyle.Width = 0;
            plot.Axes.Right.MinimumSize = 24;
            fill(plot);
            plot.Font.Set(FontName);
            return plot.GetImage(width, height).GetImageBytes(ImageFormat.Png);
        }
    }

    // The heights are logarithms. Powers of ten have ticks with labels; where fewer than two are in sight, 2 and 5 of each decade
    // have them too, or all whole multiples. A range narrower still is as good as linear.
    private static void UseDecades(Plot plot, double least, double most)
    {
        var margin = Math.Max(0.05 * (most - least), 0.02);
        var (bottom, top) = (least - margin, most + margin);
        plot.Axes.SetLimitsY(bottom, top);
        var all = Enumerable.Range((int)Math.Floor(bottom), (int)Math.Ceiling(top) - (int)Math.Floor(bottom) + 1)
            .SelectMany(power => Enumerable.Range(1, 9).Select(digit => (Power: power, Digit: digit, At: power + Math.Log10(digit))))
            .Where(tick => tick.At >= bottom && tick.At <= top)
            .ToArray();
        int[][] labelled = [[1], [1, 2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9]];
        if (Array.Find(labelled, digits => all.Count(tick => digits.Contains(tick.Digit)) >= 2) is not { } digits)
        {
            plot.Axes.Left.TickGenerator = new NumericAutomatic { LabelFormatter = at => Math.Pow(10, at).ToString("G3", CultureInfo.InvariantCulture) };
            return;
        }

        var ticks = new NumericManual();
        foreach (var (power, digit, at) in all)
        {
            if (digits.Contains(digit))
            {
                ticks.AddMajor(at, power is > -4 and < 5
                    ? (digit * Math.Pow(10, power)).ToString("0.####", CultureInfo.InvariantCulture)
                    : string.Create(CultureInfo.InvariantCulture, $"{digit}e{power}"));
            }
            else
            {
                ticks.AddMinor(at);
            }
        }

        plot.Axes.Left.TickGenerator = ticks;
        plot.Grid.YAxisStyle.MinorLineStyle.Color = Color.FromHex("#000000").WithAlpha(0.05);
        plot.Grid.YAxisStyle.MinorLineStyle.Width = 1;
    }

    // Whatever is asked for, under whatever weight: there is one font.
    private sealed class CarriedFont : IFontResolver
    {
        public SKTypeface? CreateTypeface(string fontName, FontWeight weight, FontSlant slant, FontSpacing spacing) => Create(fontName);

        public SKTypeface? CreateTypeface(string fontName, bool bold, bool italic) => Create(fontName);

        private static SKTypeface? Create(string fontName)
        {
            if (fontName != FontName)
            {
                return null;
            }

            using var stream = typeof(Plots).Assembly.GetManifestResourceStream(FontResource)!;
            return SKTypeface.FromStream(stream);
        }
    }
}
