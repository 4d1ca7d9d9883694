// How a training went, at a glance and without TensorBoard: loss and learning rate as one picture.
using System.Globalization;
using FashionFlow.App.Media;
using FashionFlow.App.Reports;
using FashionFlow.App.Training.Events;

namespace FashionFlow.App.Training;

/// <summary>Draws curves of event files.</summary>
internal static class TrainingCurves
{
    /// <summary>The tag of the loss.</summary>
    public const string Loss = "training/loss";

    /// <summary>The tag of the learning rate.</summary>
    public const string LearningRate = "training/learning_rate";

    /// <summary>The mean is over one of so many parts of the curve: enough of them to see a bend, each of points enough to see through the noise.</summary>
    private const int Windows = 25;

    private const int LossRows = 480;
    private const int RateRows = 240;

    /// <summary>Writes the picture; does nothing where there is no loss to draw.</summary>
    /// <param name="events">The folder of event files.</param>
    /// <param name="target">The PNG file; one that is there is replaced.</param>
    /// <param name="part">What was trained, for the title.</param>
    /// <param name="note">Told of damaged event files.</param>
    /// <returns>Whether it was written.</returns>
    /// <exception cref="UserError">Events cannot be read, or the picture not be written.</exception>
    public static bool Write(string events, string target, string part, Action<string> note)
    {
        var curves = EventReader.ReadScalars(events, note);
        if (!curves.TryGetValue(Loss, out var loss) || !loss.Any(p => double.IsFinite(p.Value)))
        {
            return false;
        }

        // A loss of 0 throughout, as few easy samples give, has no logarithm.
        var logarithmic = loss.Any(p => double.IsFinite(p.Value) && p.Value > 0);
        var panels = new List<byte[]> { Draw(new PlotText($"Training of the {part}", "step", "loss"), [Of("loss", loss), .. WindowOf(loss.Count) > 1 ? [Of(NameOfMean(loss), Mean(loss))] : Array.Empty<Curve>()], logarithmic, LossRows) };
        if (curves.TryGetValue(LearningRate, out var rate) && rate.Any(p => double.IsFinite(p.Value)))
        {
            panels.Add(Draw(new PlotText(string.Empty, "step", "learning rate"), [Of("learning rate", rate)], logarithmic: false, RateRows));
        }

        var png = Plots.Stack(panels);
        PendingOutput.WriteFile(target, overwrite: true, stream => stream.Write(png));
        return true;
    }

    /// <summary>The mean of each point and those before it, as many as <see cref="WindowOf"/> says or as there are.</summary>
    public static IReadOnlyList<ScalarPoint> Mean(IReadOnlyList<ScalarPoint> curve)
    {
        var window = WindowOf(curve.Count);
        return [.. curve.Select((point, i) =>
        {
            var first = Math.Max(0, i + 1 - window);
            return new ScalarPoint(point.Step, Enumerable.Range(first, i + 1 - first).Average(j => curve[j].Value));
        })];
    }

    /// <summary>How many points a mean is over.</summary>
    public static int WindowOf(int points) => Math.Max(1, points / Windows);

    private static string NameOfMean(IReadOnlyList<ScalarPoint> curve)
        => string.Create(CultureInfo.InvariantCulture, $"mean of {WindowOf(curve.Count)} points");

    private static Curve Of(string name, IReadOnlyList<ScalarPoint> points) => new(name, [.. points.Select(p => (double)p.Step)], [.. points.Select(p => p.Value)]);

    private static byte[] Draw(PlotText text, IReadOnlyList<Curve> curves, bool logarithmic, int rows) => Plots.Lines(text, curves, logarithmic, height: rows);
}
