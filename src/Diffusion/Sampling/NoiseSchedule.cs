// How much noise each timestep holds: the reference's half-cosine of betas and what follows from it.
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion;

/// <summary>The arithmetic of a schedule's tables.</summary>
public enum SchedulePrecision
{
    /// <summary>
    /// As the reference's tables have it: beta rounded to float32, alpha in float32, the running product in double with each
    /// element rounded, everything after that in float32.
    /// </summary>
    Reference,

    /// <summary>Everything in double, rounded to float32 at the end.</summary>
    Double,
}

/// <summary>
/// The tables of a forward process of T steps (Ho et al. 2020), entry t for timestep t. beta runs from its start to its end
/// along a half cosine: start + (end - start) / 2 * (1 + cos(pi (T - 1 - t) / (T - 1))).
/// </summary>
public sealed class NoiseSchedule
{
    /// <summary>Computes the tables.</summary>
    public NoiseSchedule(ScheduleOptions options, SchedulePrecision precision = SchedulePrecision.Reference)
    {
        Options = options;
        var steps = options.Timesteps;
        Betas = new float[steps];
        Alphas = new float[steps];
        AlphasCumprod = new float[steps];
        AlphasCumprodPrevious = new float[steps];
        SqrtAlphasCumprod = new float[steps];
        SqrtOneMinusAlphasCumprod = new float[steps];
        SqrtReciprocalAlphas = new float[steps];
        PosteriorVariance = new float[steps];
        var product = 1.0;
        for (var t = 0; t < steps; t++)
        {
            var previous = product;
            var beta = Beta(options, t);
            if (precision == SchedulePrecision.Reference)
            {
                Betas[t] = (float)beta;
                Alphas[t] = 1f - Betas[t];
                product *= Alphas[t];
                AlphasCumprod[t] = (float)product;
                AlphasCumprodPrevious[t] = t == 0 ? 1f : AlphasCumprod[t - 1];
                SqrtAlphasCumprod[t] = MathF.Sqrt(AlphasCumprod[t]);
                SqrtOneMinusAlphasCumprod[t] = MathF.Sqrt(1f - AlphasCumprod[t]);
                SqrtReciprocalAlphas[t] = MathF.Sqrt(1f / Alphas[t]);
                PosteriorVariance[t] = Betas[t] * (1f - AlphasCumprodPrevious[t]) / (1f - AlphasCumprod[t]);
            }
            else
            {
                product *= 1 - beta;
                Betas[t] = (float)beta;
                Alphas[t] = (float)(1 - beta);
                AlphasCumprod[t] = (float)product;
                AlphasCumprodPrevious[t] = (float)previous;
                SqrtAlphasCumprod[t] = (float)Math.Sqrt(product);
                SqrtOneMinusAlphasCumprod[t] = (float)Math.Sqrt(1 - product);
                SqrtReciprocalAlphas[t] = (float)Math.Sqrt(1 / (1 - beta));
                PosteriorVariance[t] = (float)(beta * (1 - previous) / (1 - product));
            }
        }
    }

    /// <summary>The schedule's parameters.</summary>
    public ScheduleOptions Options { get; }

    /// <summary>The number of timesteps T.</summary>
    public int Timesteps => Options.Timesteps;

    /// <summary>beta: the variance of the noise that a step adds.</summary>
    public float[] Betas { get; }

    /// <summary>1 - beta.</summary>
    public float[] Alphas { get; }

    /// <summary>The product of all alphas up to t.</summary>
    public float[] AlphasCumprod { get; }

    /// <summary>The product of all alphas before t; 1 at t = 0.</summary>
    public float[] AlphasCumprodPrevious { get; }

    /// <summary>Square root of <see cref="AlphasCumprod"/>.</summary>
    public float[] SqrtAlphasCumprod { get; }

    /// <summary>Square root of 1 - <see cref="AlphasCumprod"/>.</summary>
    public float[] SqrtOneMinusAlphasCumprod { get; }

    /// <summary>Square root of 1 / alpha.</summary>
    public float[] SqrtReciprocalAlphas { get; }

    /// <summary>Variance of the step back from t to t - 1.</summary>
    public float[] PosteriorVariance { get; }

    /// <summary>beta of a timestep in double.</summary>
    public static double Beta(ScheduleOptions options, int timestep)
    {
        var last = options.Timesteps - 1;
        return options.BetaStart + (0.5 * (options.BetaEnd - options.BetaStart) * (1 + Math.Cos(Math.PI * (last - timestep) / last)));
    }

    /// <summary>
    /// <paramref name="steps"/> timesteps from T - 1 down to 0, evenly spread and rounded; all of them if there are T. One step
    /// is T - 1 alone.
    /// </summary>
    public int[] Spread(int steps)
    {
        if (steps < 1 || steps > Timesteps)
        {
            throw new ModelException($"{steps} steps are not possible; the schedule has 1 to {Timesteps}");
        }

        var last = Timesteps - 1;
        return [.. Enumerable.Range(0, steps).Select(i => steps == 1 ? last : (int)Math.Round((double)last * (steps - 1 - i) / (steps - 1)))];
    }

    /// <summary>The points of a plan of <paramref name="steps"/> steps, the noisiest first; a step leads from each to the next, the last one to the clean end.</summary>
    /// <exception cref="ModelException">There are none with so many steps.</exception>
    public SchedulePoint[] Points(int steps, TimestepSpacing spacing)
    {
        var uniform = Spread(steps);
        return spacing switch
        {
            TimestepSpacing.Uniform => [.. uniform.Select(At)],

            // Every T / steps, counted from T - 1.
            TimestepSpacing.Trailing => [.. Enumerable.Range(0, steps).Select(i => At((int)Math.Round((double)Timesteps * (steps - i) / steps) - 1))],
            _ => Karras(steps),
        };
    }

    private SchedulePoint At(int timestep) => new(timestep, AlphasCumprod[timestep]);

    private SchedulePoint[] Karras(int steps)
    {
        const double Rho = 7;
        var levels = AlphasCumprod.Select(a => Math.Sqrt((1 - (double)a) / a)).ToArray();
        var (most, least) = (Math.Pow(levels[^1], 1 / Rho), Math.Pow(levels[0], 1 / Rho));
        return [.. Enumerable.Range(0, steps).Select(i =>
        {
            var level = steps == 1 || i == 0 ? levels[^1] : i == steps - 1 ? levels[0] : Math.Pow(most + ((least - most) * i / (steps - 1)), Rho);

            // The level's time, between two of the schedule's: linear in the logarithm of the level.
            var above = Array.FindIndex(levels, l => l >= level);
            var time = above <= 0 ? Math.Max(above, 0) : above - 1 + (Math.Log(level / levels[above - 1]) / Math.Log(levels[above] / levels[above - 1]));
            return new SchedulePoint(time, 1 / (1 + (level * level)));
        })];
    }
}

/// <summary>Which of a schedule's times a sampler visits.</summary>
public enum TimestepSpacing
{
    /// <summary>Evenly from T - 1 to 0, both included.</summary>
    Uniform,

    /// <summary>Every T / steps, T - 1 included and 0 not (Lin et al. 2024, "Common diffusion noise schedules and sample steps are flawed", table 2).</summary>
    Trailing,

    /// <summary>Evenly in the seventh root of the noise level (Karras et al. 2022, equation 5), between the schedule's timesteps too.</summary>
    Karras,
}

/// <summary>A time of a sampler's plan.</summary>
/// <param name="Timestep">As the network takes it; not always a whole number.</param>
/// <param name="AlphaCumprod">The share of the clean video in the noisy one's variance.</param>
public readonly record struct SchedulePoint(double Timestep, double AlphaCumprod)
{
    /// <summary>What the clean video is multiplied by.</summary>
    public double Alpha => Math.Sqrt(AlphaCumprod);

    /// <summary>What the noise is multiplied by.</summary>
    public double Sigma => Math.Sqrt(1 - AlphaCumprod);
}
