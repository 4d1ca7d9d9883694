// The picture of a training's curves.
using FashionFlow.App.Training;
using FashionFlow.App.Training.Events;
using SkiaSharp;

namespace FashionFlow.App.Tests.Training;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class TrainingCurvesTests : IDisposable
{
    private static readonly SKColor FirstColour = new(0x00, 0x72, 0xB2);
    private static readonly SKColor SecondColour = new(0xD5, 0x5E, 0x00);

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Test]
    public void Loss_with_its_mean_stands_above_the_learning_rate()
    {
        using (var writer = EventWriter.Create(_folder["events"]))
        {
            for (var step = 1; step <= 200; step++)
            {
                writer.AddScalar(TrainingCurves.Loss, Math.Exp(-step / 40.0) + (0.2 * (step % 2)), step);
                writer.AddScalar(TrainingCurves.LearningRate, 1e-3 * (1 - (step / 200.0)), step);
            }
        }

        Assert.That(TrainingCurves.Write(_folder["events"], _folder["curves.png"], "vae", _ => { }), Is.True);
        using var picture = SKBitmap.Decode(_folder["curves.png"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That((picture.Width, picture.Height), Is.EqualTo((960, 720)));
            Assert.That(Count(FirstColour, 0, 480), Is.GreaterThan(500), "loss");
            Assert.That(Count(SecondColour, 0, 480), Is.GreaterThan(200), "mean");
            Assert.That(Count(FirstColour, 480, 720), Is.GreaterThan(200), "learning rate");
            Assert.That(Count(SecondColour, 480, 720), Is.Zero);
            Assert.That(_folder.Names, Is.EqualTo(new[] { "curves.png", "events" }));
        }

        int Count(SKColor colour, int top, int bottom) =>
            Enumerable.Range(top, bottom - top).Sum(y => Enumerable.Range(0, picture.Width).Count(x => picture.GetPixel(x, y) == colour));
    }

    [TestCase(1, 1)]
    [TestCase(49, 1)]
    [TestCase(50, 2)]
    [TestCase(1000, 40)]
    public void The_mean_is_over_a_twenty_fifth_of_the_points_and_over_those_there_are_at_the_start(int points, int window)
    {
        var curve = Enumerable.Range(0, points).Select(i => new ScalarPoint(10 * i, (i * 37 % 11) + 1.0)).ToArray();
        // Sums of whole numbers are exact, and so is what one division makes of them.
        var expected = curve.Select((p, i) => new ScalarPoint(p.Step, curve[Math.Max(0, i + 1 - window)..(i + 1)].Sum(q => q.Value) / Math.Min(window, i + 1)));
        Assert.That(TrainingCurves.Mean(curve), Is.EqualTo(expected));
    }

    [Test]
    public void A_loss_of_zero_has_a_linear_axis()
    {
        using (var writer = EventWriter.Create(_folder["events"]))
        {
            writer.AddScalar(TrainingCurves.Loss, 0, 1);
            writer.AddScalar(TrainingCurves.Loss, 0, 2);
        }

        Assert.That(TrainingCurves.Write(_folder["events"], _folder["curves.png"], "encoder", _ => { }), Is.True);
        using var picture = SKBitmap.Decode(_folder["curves.png"]);
        Assert.That((picture.Width, picture.Height), Is.EqualTo((960, 480)));
    }

    [Test]
    public void A_run_without_a_loss_gets_no_picture()
    {
        using (var writer = EventWriter.Create(_folder["events"]))
        {
            writer.AddScalar("other", 1, 1);
            writer.AddScalar(TrainingCurves.Loss, double.NaN, 1);
        }

        Assert.That(TrainingCurves.Write(_folder["events"], _folder["curves.png"], "vae", _ => { }), Is.False);
        Assert.That(_folder.Names, Is.EqualTo(new[] { "events" }));
    }
}
