// Plots: that they show their data and their text, also where the machine has no font, and are the same every time.
using FashionFlow.App.Reports;
using SkiaSharp;

namespace FashionFlow.App.Tests;

public sealed class PlotTests
{
    private static readonly PlotText Text = new("Loss of the demo's training", "step", "loss");

    private static readonly Curve[] Curves =
    [
        new("training", [.. Enumerable.Range(0, 200).Select(i => i * 50.0)], [.. Enumerable.Range(0, 200).Select(i => 2 * Math.Exp(-i / 30.0) + 0.01 + (0.002 * Math.Sin(i)))]),
        new("held out", [.. Enumerable.Range(0, 20).Select(i => i * 500.0)], [.. Enumerable.Range(0, 20).Select(i => 2 * Math.Exp(-i / 3.2) + 0.02)]),
    ];

    [TestCase(false)]
    [TestCase(true)]
    public void Curves_have_their_colours_and_the_same_bytes_every_time(bool logarithmic)
    {
        var png = Plots.Lines(Text, Curves, logarithmic, 640, 360);
        Assert.That(Plots.Lines(Text, Curves, logarithmic, 640, 360), Is.EqualTo(png));
        using var picture = SKBitmap.Decode(png);
        using (Assert.EnterMultipleScope())
        {
            Assert.That((picture.Width, picture.Height), Is.EqualTo((640, 360)));
            Assert.That(Pixels(picture, 0, 0, 640, 360).Count(p => p == new SKColor(0x00, 0x72, 0xB2)), Is.GreaterThan(300), "the first curve");
            Assert.That(Pixels(picture, 0, 0, 640, 360).Count(p => p == new SKColor(0xD5, 0x5E, 0x00)), Is.GreaterThan(100), "the second one");
        }
    }

    // A font without a text's letters draws boxes, no font draws nothing: another text must give another picture, the same ink
    // wherever it is measured.
    [Test]
    public void Text_is_drawn()
    {
        using var picture = SKBitmap.Decode(Plots.Lines(Text, Curves, width: 640, height: 360));
        using var other = SKBitmap.Decode(Plots.Lines(Text with { Title = "Loss of the demo's trailing" }, Curves, width: 640, height: 360));
        using var dot = SKBitmap.Decode(Plots.Lines(Text with { Title = "." }, Curves, width: 640, height: 360));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Ink(picture), Is.InRange(300, 3000));
            Assert.That(Ink(other), Is.Not.EqualTo(Ink(picture)));
            Assert.That(Ink(dot), Is.LessThan(20));
            Assert.That(Pixels(picture, 0, 330, 640, 30).Count(IsDark), Is.GreaterThan(30), "the horizontal axis's label");
            Assert.That(Pixels(picture, 0, 40, 25, 290).Count(IsDark), Is.GreaterThan(20), "the vertical axis's label");
        }

        static int Ink(SKBitmap picture) => Pixels(picture, 0, 0, 640, 26).Count(IsDark);
    }

    [Test]
    public void Bars_are_as_high_as_their_values()
    {
        using var picture = SKBitmap.Decode(Plots.Bars(new("Top-1 of identity", string.Empty, "share"), [("model", 0.8), ("copy of frame 0", 0.4)], width: 640, height: 360));
        var (first, second) = (Column(new SKColor(0x00, 0x72, 0xB2)), Column(new SKColor(0xD5, 0x5E, 0x00)));
        // Heights in whole pixels, each off by one at most.
        Assert.That(first / (double)second, Is.EqualTo(2).Within(3.0 / second));

        int Column(SKColor colour) => Enumerable.Range(0, 640).Max(x => Enumerable.Range(0, 360).Count(y => picture.GetPixel(x, y) == colour));
    }

    // From many decades to a part of one: there are numbers left of the axis, and lines across.
    [TestCase(1e-9, 1e7)]
    [TestCase(0.02, 3)]
    [TestCase(0.2, 0.9)]
    [TestCase(0.21, 0.27)]
    [TestCase(0.21, 0.21)]
    public void A_logarithmic_axis_always_has_numbers(double least, double most)
    {
        using var picture = SKBitmap.Decode(Plots.Lines(Text with { YLabel = string.Empty }, [new("a", [0, 1], [least, most])], logarithmic: true, 640, 360));
        var axis = Enumerable.Range(0, 200).First(x => Pixels(picture, x, 60, 1, 200).All(IsDark));
        Assert.That(Pixels(picture, 0, 40, axis - 6, 290).Count(IsDark), Is.GreaterThan(40));
    }

    [Test]
    public void Points_that_no_axis_has_are_left_out()
    {
        Curve[] with = [new("a", [0, 1, 2, 3, 4], [1, double.NaN, 10, 0, 100])];
        Curve[] without = [new("a", [0, 2, 4], [1, 10, 100])];
        Assert.That(Plots.Lines(Text, with, logarithmic: true), Is.EqualTo(Plots.Lines(Text, without, logarithmic: true)));
    }

    [Test]
    public void Stacked_pictures_stand_one_above_the_other_on_white()
    {
        var (top, bottom) = (Plots.Lines(Text, Curves, width: 400, height: 200), Plots.Lines(Text, Curves, logarithmic: true, 320, 240));
        var stack = Plots.Stack(top, bottom);
        Assert.That(Plots.Stack(top, bottom), Is.EqualTo(stack));
        using var picture = SKBitmap.Decode(stack);
        using var upper = SKBitmap.Decode(top);
        using var lower = SKBitmap.Decode(bottom);
        using (Assert.EnterMultipleScope())
        {
            Assert.That((picture.Width, picture.Height), Is.EqualTo((400, 440)));
            Assert.That(Pixels(picture, 0, 0, 400, 200), Is.EqualTo(Pixels(upper, 0, 0, 400, 200)));
            Assert.That(Pixels(picture, 0, 200, 320, 240), Is.EqualTo(Pixels(lower, 0, 0, 320, 240)));
            Assert.That(Pixels(picture, 320, 200, 80, 240), Has.All.EqualTo(SKColors.White));
            Assert.That(() => Plots.Stack(), Throws.ArgumentException);
            Assert.That(() => Plots.Stack(top, [1, 2, 3]), Throws.ArgumentException.With.Message.StartsWith("A picture to stack is none."));
        }
    }

    [Test]
    public void What_cannot_be_plotted_is_refused()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => Plots.Lines(Text, []), Throws.ArgumentException.With.Message.StartsWith("There is no point to plot."));
            Assert.That(() => Plots.Lines(Text, [new("a", [1], [-1])], logarithmic: true), Throws.ArgumentException);
            Assert.That(() => Plots.Lines(Text, [new("a", [1, 2], [1])]), Throws.ArgumentException.With.Message.StartsWith("The curve a has 2 places and 1 heights."));
            Assert.That(() => Plots.Bars(Text, []), Throws.ArgumentException);
            Assert.That(() => Plots.Bars(Text, [("a", double.NaN)]), Throws.ArgumentException);
        }
    }

    private static IEnumerable<SKColor> Pixels(SKBitmap picture, int left, int top, int width, int height) =>
        from y in Enumerable.Range(top, height) from x in Enumerable.Range(left, width) select picture.GetPixel(x, y);

    private static bool IsDark(SKColor colour) => colour.Red < 120 && colour.Green < 120 && colour.Blue < 120;
}
