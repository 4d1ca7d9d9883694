// Walks a latent video from noise to a picture in steps: ancestral (DDPM) or implicit (DDIM).
using System.Globalization;
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion;

/// <summary>The samplers by the names that the command line gives them.</summary>
public enum SamplerKind
{
    /// <summary>Ancestral sampling (Ho et al. 2020), the reference's.</summary>
    Ddpm,

    /// <summary>Denoising diffusion implicit models (Song et al. 2021), good in few steps.</summary>
    Ddim,
}

/// <summary>
/// A plan of denoising steps over some of a schedule's timesteps, its tables in device memory. Step 0 is the noisiest one.
/// </summary>
public interface ISampler : IDisposable
{
    /// <summary>The timesteps in the order in which they are taken, falling.</summary>
    IReadOnlyList<int> Timesteps { get; }

    /// <summary>Whether steps take noise.</summary>
    bool NeedsNoise { get; }

    /// <summary>The timestep of a step as the network takes it: [1], float32, in device memory.</summary>
    Tensor NetworkTimestep(int step);

    /// <summary>Takes one step; frame 0 is put back by it.</summary>
    /// <param name="step">The step's number from 0.</param>
    /// <param name="x">The video [b, f, h, w, c].</param>
    /// <param name="predictedNoise">What the network says of it, of x's shape.</param>
    /// <param name="noise">Standard normal, of x's shape; null where <see cref="NeedsNoise"/> is false.</param>
    /// <param name="firstFrame">What frame 0 is, [b, h, w, c]; null leaves it to the step.</param>
    Tensor Step(int step, Tensor x, Tensor predictedNoise, Tensor? noise, Tensor? firstFrame);
}

/// <summary>The timesteps of a plan and what both samplers keep of them in device memory.</summary>
internal sealed class SamplerPlan : IDisposable
{
    private readonly Tensor _networkTimesteps;
    private readonly Tensor _steps;

    public SamplerPlan(DeviceContext context, NoiseSchedule schedule, IReadOnlyList<int> timesteps)
    {
        for (var i = 0; i < timesteps.Count; i++)
        {
            if (timesteps[i] < 0 || timesteps[i] >= schedule.Timesteps || (i > 0 && timesteps[i] >= timesteps[i - 1]))
            {
                throw new ArgumentException($"timesteps must fall from {schedule.Timesteps - 1} at most to 0 at least, but step {i} is {timesteps[i]}");
            }
        }

        Timesteps = [.. timesteps];
        Schedule = schedule;
        _networkTimesteps = Keep<float>(context, [.. Timesteps.Select(t => (float)t)]);

        // Tables have one entry a step, the cleanest first; entry -1 is the clean end.
        _steps = Keep<int>(context, [.. Enumerable.Range(0, Timesteps.Length + 1).Select(i => Timesteps.Length - 1 - i)]);
    }

    public int[] Timesteps { get; }

    public NoiseSchedule Schedule { get; }

    public static Tensor Keep<T>(DeviceContext context, T[] values)
        where T : unmanaged
        => TensorScope.Detach(Tensor.FromArray<T>(context, values, [values.Length]));

    public Tensor NetworkTimestep(int step) => _networkTimesteps.Narrow(step, 1);

    public Tensor TableIndex(int step) => _steps.Narrow(step, 1);

    /// <summary>One value a step from (timestep, the timestep that the step leads to or -1), the cleanest step first.</summary>
    public float[] Table(Func<int, int, float> value)
    {
        var table = new float[Timesteps.Length];
        for (var i = 0; i < table.Length; i++)
        {
            table[table.Length - 1 - i] = value(Timesteps[i], i + 1 < Timesteps.Length ? Timesteps[i + 1] : -1);
        }

        return table;
    }

    public void Dispose()
    {
        _networkTimesteps.Dispose();
        _steps.Dispose();
    }
}

/// <summary>
/// Ancestral sampling. Over all timesteps it is the reference's loop; over a part of them the skipped ones are merged into
/// one step (Nichol and Dhariwal 2021): alpha of a step is the quotient of its two cumulative products.
/// </summary>
public sealed class DdpmSampler : ISampler
{
    private readonly SamplerPlan _plan;
    private readonly DdpmTables _tables;

    /// <summary>A plan over these timesteps, falling.</summary>
    public DdpmSampler(DeviceContext context, NoiseSchedule schedule, IReadOnlyList<int> timesteps)
    {
        _plan = new SamplerPlan(context, schedule, timesteps);

        // A step to the neighbouring timestep takes the schedule's own entries, to the bit.
        _tables = new DdpmTables(
            SamplerPlan.Keep(context, _plan.Table((t, p) => p == t - 1 ? schedule.Betas[t] : (float)MergedBeta(t, p))),
            SamplerPlan.Keep(context, _plan.Table((t, p) => p == t - 1 ? schedule.SqrtReciprocalAlphas[t] : (float)Math.Sqrt(1 / (1 - MergedBeta(t, p))))),
            SamplerPlan.Keep(context, _plan.Table((t, _) => schedule.SqrtOneMinusAlphasCumprod[t])),
            SamplerPlan.Keep(context, _plan.Table((t, p) => p == t - 1
                ? schedule.PosteriorVariance[t]
                : (float)(MergedBeta(t, p) * (1 - Cumulative(p)) / (1 - Cumulative(t))))));
    }

    /// <inheritdoc/>
    public IReadOnlyList<int> Timesteps => _plan.Timesteps;

    /// <inheritdoc/>
    public bool NeedsNoise => true;

    /// <inheritdoc/>
    public Tensor NetworkTimestep(int step) => _plan.NetworkTimestep(step);

    /// <inheritdoc/>
    public Tensor Step(int step, Tensor x, Tensor predictedNoise, Tensor? noise, Tensor? firstFrame)
    {
        using var scope = TensorScope.Begin();
        var added = noise ?? throw new ArgumentException("an ancestral step needs noise", nameof(noise));
        return scope.Keep(Ops.DdpmStep(x, predictedNoise, added, _plan.TableIndex(step), _tables, firstFrame));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _plan.Dispose();
        _tables.Betas.Dispose();
        _tables.SqrtRecipAlphas.Dispose();
        _tables.SqrtOneMinusAlphasCumprod.Dispose();
        _tables.PosteriorVariance.Dispose();
    }

    private double Cumulative(int timestep) => timestep < 0 ? 1 : _plan.Schedule.AlphasCumprod[timestep];

    private double MergedBeta(int timestep, int previous) => 1 - (Cumulative(timestep) / Cumulative(previous));
}

/// <summary>
/// Implicit sampling. eta 0 is deterministic, eta 1 adds as much noise as ancestral sampling.
/// </summary>
public sealed class DdimSampler : ISampler
{
    private readonly SamplerPlan _plan;
    private readonly Tensor _alphasCumprod;
    private readonly double _eta;

    /// <summary>A plan over these timesteps, falling.</summary>
    public DdimSampler(DeviceContext context, NoiseSchedule schedule, IReadOnlyList<int> timesteps, double eta = 0)
    {
        CheckEta(eta);
        _eta = eta;
        _plan = new SamplerPlan(context, schedule, timesteps);
        _alphasCumprod = SamplerPlan.Keep(context, _plan.Table((t, _) => schedule.AlphasCumprod[t]));
    }

    /// <summary>Refuses what is no share of the noise.</summary>
    /// <exception cref="ModelException">It is below 0 or above 1, or no number.</exception>
    public static void CheckEta(double eta)
    {
        if (!(eta is >= 0 and <= 1))
        {
            throw new ModelException(string.Create(CultureInfo.InvariantCulture, $"eta is {eta}; possible are 0 (no noise) to 1 (as much as ddpm)"));
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<int> Timesteps => _plan.Timesteps;

    /// <inheritdoc/>
    public bool NeedsNoise => _eta > 0;

    /// <inheritdoc/>
    public Tensor NetworkTimestep(int step) => _plan.NetworkTimestep(step);

    /// <inheritdoc/>
    public Tensor Step(int step, Tensor x, Tensor predictedNoise, Tensor? noise, Tensor? firstFrame)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(Ops.DdimStep(
            x, predictedNoise, noise, _plan.TableIndex(step), _plan.TableIndex(step + 1), _alphasCumprod, _eta, firstFrame));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _plan.Dispose();
        _alphasCumprod.Dispose();
    }
}
