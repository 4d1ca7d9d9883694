// The learning rate as a function of the step alone, so that a resumed run goes on where it was.
using System.Globalization;

namespace FashionFlow.Autograd.Optimization;

/// <summary>How the rate goes on after its warm-up.</summary>
public enum LearningRateForm
{
    /// <summary>It stays.</summary>
    Constant,

    /// <summary>It falls along half a cosine.</summary>
    Cosine,
}

/// <summary>
/// A learning rate. With s = steps done so far, from 0, and w steps of warm-up:
/// <code>
/// s &lt; w:     peak (s + 1) / w
/// constant:  peak
/// cosine:    floor + (peak - floor) (1 + cos(pi (s - w) / (n - w))) / 2 until step n, then floor
/// </code>
/// (Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts.) As text, for configurations:
/// <c>constant:0.0001,warmup=500</c> or <c>cosine:0.0001,warmup=500,steps=100000,floor=1E-06</c>.
/// </summary>
public sealed record LearningRate
{
    private LearningRate(LearningRateForm form, double peak, long warmUp, long steps, double floor)
    {
        Require(double.IsFinite(peak) && peak >= 0, $"a learning rate of {peak} is not a number from 0 on");
        Require(warmUp >= 0, $"a warm-up of {warmUp} steps is negative");
        Require(form == LearningRateForm.Constant || steps > warmUp, $"a cosine over {steps} steps does not outlast its warm-up of {warmUp}");
        Require(floor >= 0 && floor <= peak, $"a lowest learning rate of {floor} is not between 0 and the highest, {peak}");
        (Form, Peak, WarmUp, Steps, Floor) = (form, peak, warmUp, steps, floor);
    }

    /// <summary>How it goes on after the warm-up.</summary>
    public LearningRateForm Form { get; }

    /// <summary>The highest rate.</summary>
    public double Peak { get; }

    /// <summary>Steps of linear warm-up.</summary>
    public long WarmUp { get; }

    /// <summary>Steps until a cosine reaches its floor, warm-up included; 0 for a constant rate.</summary>
    public long Steps { get; }

    /// <summary>Where a cosine ends; 0 for a constant rate.</summary>
    public double Floor { get; }

    /// <summary>The text that <see cref="Parse"/> reads back.</summary>
    public string Name
        => string.Create(CultureInfo.InvariantCulture, $"{(Form == LearningRateForm.Cosine ? "cosine" : "constant")}:{Peak:R}")
            + (WarmUp > 0 ? string.Create(CultureInfo.InvariantCulture, $",warmup={WarmUp}") : "")
            + (Form == LearningRateForm.Cosine ? string.Create(CultureInfo.InvariantCulture, $",steps={Steps}") : "")
            + (Floor > 0 ? string.Create(CultureInfo.InvariantCulture, $",floor={Floor:R}") : "");

    /// <summary>A rate that stays after its warm-up.</summary>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static LearningRate Constant(double rate, long warmUp = 0) => new(LearningRateForm.Constant, rate, warmUp, steps: 0, floor: 0);

    /// <summary>A rate that falls from its peak to a floor.</summary>
    /// <param name="peak">The highest rate.</param>
    /// <param name="steps">Steps until the floor is reached, warm-up included.</param>
    /// <param name="warmUp">Steps of linear warm-up.</param>
    /// <param name="floor">The rate from then on.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static LearningRate Cosine(double peak, long steps, long warmUp = 0, double floor = 0) => new(LearningRateForm.Cosine, peak, warmUp, steps, floor);

    /// <summary>The rate of the step that follows so many.</summary>
    public double At(long stepsDone)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(stepsDone);
        if (stepsDone < WarmUp)
        {
            return Peak * (stepsDone + 1) / WarmUp;
        }

        if (Form == LearningRateForm.Constant)
        {
            return Peak;
        }

        return stepsDone >= Steps ? Floor : Floor + ((Peak - Floor) * (1 + Math.Cos(Math.PI * (stepsDone - WarmUp) / (Steps - WarmUp))) / 2);
    }

    /// <summary>Reads what <see cref="Name"/> writes.</summary>
    /// <exception cref="FormatException">The text has another form; the message is one line.</exception>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public static LearningRate Parse(string text)
    {
        var parts = text.Split(',', StringSplitOptions.TrimEntries);
        var (form, rate) = parts[0].Split(':', 2, StringSplitOptions.TrimEntries) is [var first, var second] ? (first, second) : ("", "");
        Dictionary<string, string> settings = new(StringComparer.Ordinal);
        foreach (var part in parts[1..])
        {
            if (part.Split('=', 2, StringSplitOptions.TrimEntries) is not [var key, var value] || !settings.TryAdd(key, value))
            {
                throw Unreadable(text);
            }
        }

        var wellFormed = true;
        var peak = Number(rate);
        var warmUp = Whole("warmup");
        var steps = form == "cosine" ? Whole("steps") : 0;
        var floor = form == "cosine" && settings.Remove("floor", out var low) ? Number(low) : 0;
        if (!wellFormed || form is not ("constant" or "cosine") || settings.Count > 0)
        {
            throw Unreadable(text);
        }

        return form == "cosine" ? Cosine(peak, steps, warmUp, floor) : Constant(peak, warmUp);

        double Number(string number)
        {
            wellFormed &= double.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out var value);
            return value;
        }

        long Whole(string key)
        {
            if (!settings.Remove(key, out var number))
            {
                return 0;
            }

            wellFormed &= long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var value);
            return value;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    private static FormatException Unreadable(string text)
        => new($"\"{text}\" is not a learning rate; it reads constant:RATE[,warmup=N] or cosine:RATE,steps=N[,warmup=N][,floor=RATE]");

    private static void Require(bool holds, FormattableString message)
    {
        if (!holds)
        {
            throw new ArgumentException(FormattableString.Invariant(message));
        }
    }
}
