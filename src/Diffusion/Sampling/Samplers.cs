// Walks a latent video from noise to a picture in steps: ancestral (DDPM), implicit (DDIM), or by solving the reverse equation.
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

    /// <summary>Euler's method on the reverse equation, in the noise level: DDIM without noise, at any times.</summary>
    Euler,

    /// <summary>DPM-Solver++(2M) (Lu et al. 2022), of second order for one evaluation of the network a step.</summary>
    Dpmpp,
}

/// <summary>
/// A plan of denoising steps over some of a schedule's timesteps, its tables in device memory. Step 0 is the noisiest one. Steps
/// are taken in their order: a sampler may remember the one before.
/// </summary>
public interface ISampler : IDisposable
{
    /// <summary>How many steps there are.</summary>
    int Steps { get; }

    /// <summary>Whether steps take noise.</summary>
    bool NeedsNoise { get; }

    /// <summary>What it remembers of the steps taken so far, which the next one depends on, of the video's shape; null where that is nothing. It stays the sampler's.</summary>
    Tensor? Memory => null;

    /// <summary>The timestep of a step as the network takes it: [1], float32, in device memory.</summary>
    Tensor NetworkTimestep(int step);

    /// <summary>Remembers what another sampler of the same plan did: the next step is the one behind those that it took.</summary>
    /// <param name="memory">The other one's <see cref="Memory"/>; it is copied by reference and stays the caller's.</param>
    void Restore(Tensor? memory)
    {
    }

    /// <summary>Takes one step; frame 0 is put back by it.</summary>
    /// <param name="step">The step's number from 0.</param>
    /// <param name="x">The video [b, f, h, w, c].</param>
    /// <param name="predictedNoise">The noise that the network sees in it (to a <see cref="VelocitySampler"/>, the velocity), of x's shape.</param>
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

    /// <summary>The timesteps in the order in which they are taken, falling.</summary>
    public IReadOnlyList<int> Timesteps => _plan.Timesteps;

    /// <inheritdoc/>
    public int Steps => _plan.Timesteps.Length;

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

    /// <summary>The timesteps in the order in which they are taken, falling.</summary>
    public IReadOnlyList<int> Timesteps => _plan.Timesteps;

    /// <inheritdoc/>
    public int Steps => _plan.Timesteps.Length;

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

/// <summary>
/// Solves the equation that leads from noise to a clean video without adding any (Song et al. 2021, "Score-based generative modeling
/// through stochastic differential equations", section 4.3), as a function of the logarithm of signal over noise. With alpha, sigma
/// of a time, h the distance of the next time in log(alpha / sigma) and D the clean video that the network's prediction stands for,
/// a step of first order is x' = (sigma' / sigma) x + alpha' (1 - exp(-h)) D: Euler's method, and DDIM's step. Of second order,
/// D + (D - D_before) h / (2 h_before) takes the place of D (Lu et al. 2022, "DPM-Solver++", algorithm 2); the first step has no
/// step before it, and the last one, whose h is infinite, is of first order.
/// </summary>
public sealed class SolverSampler : ISampler
{
    private const int Columns = 5;

    private readonly Tensor _times;
    private readonly Tensor _steps;
    private readonly Tensor _coefficients;
    private readonly bool _remembers;
    private Tensor? _before;

    /// <summary>A plan over these points, noise falling; behind the last one is the clean end.</summary>
    /// <param name="context">The device.</param>
    /// <param name="points">The points.</param>
    /// <param name="order">1 or 2.</param>
    /// <exception cref="ArgumentException">Noise does not fall, or the order is another.</exception>
    public SolverSampler(DeviceContext context, IReadOnlyList<SchedulePoint> points, int order)
    {
        if (order is not (1 or 2))
        {
            throw new ArgumentException($"order {order} is not 1 or 2", nameof(order));
        }

        if (points.Count == 0 || points.Zip(points.Skip(1)).Any(p => p.Second.AlphaCumprod <= p.First.AlphaCumprod) || points.Any(p => !(p.AlphaCumprod is > 0 and < 1)))
        {
            throw new ArgumentException("the noise of a sampler's points must fall, and all must have some", nameof(points));
        }

        _remembers = order == 2;
        Steps = points.Count;
        _times = SamplerPlan.Keep(context, points.Select(p => (float)p.Timestep).ToArray());
        _steps = SamplerPlan.Keep(context, Enumerable.Range(0, Steps).ToArray());
        _coefficients = TensorScope.Detach(Tensor.FromArray<float>(context, [.. Enumerable.Range(0, Steps).SelectMany(i => Row(points, i, order))], [Steps, Columns]));
    }

    /// <inheritdoc/>
    public int Steps { get; }

    /// <inheritdoc/>
    public bool NeedsNoise => false;

    /// <inheritdoc/>
    public Tensor? Memory => _before;

    /// <inheritdoc/>
    public Tensor NetworkTimestep(int step) => _times.Narrow(step, 1);

    /// <inheritdoc/>
    public void Restore(Tensor? memory)
    {
        _before?.Dispose();
        _before = memory is null || !_remembers ? null : TensorScope.Detach(memory.AddReference());
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The step before was not taken.</exception>
    public Tensor Step(int step, Tensor x, Tensor predictedNoise, Tensor? noise, Tensor? firstFrame)
    {
        using var scope = TensorScope.Begin();
        var index = _steps.Narrow(step, 1);
        var clean = Ops.Reparametrize(x, predictedNoise, index, _coefficients);
        var before = !_remembers || step == 0 ? null : _before ?? throw new InvalidOperationException($"step {step} needs the one before it");
        var next = scope.Keep(Ops.MultistepStep(x, clean, before, index, _coefficients, firstFrame));
        if (_remembers)
        {
            _before?.Dispose();
            _before = TensorScope.Detach(clean);
        }

        return next;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _times.Dispose();
        _steps.Dispose();
        _coefficients.Dispose();
        _before?.Dispose();
    }

    // What makes D of x and eps, then what makes the next x of x, D and the D before.
    private static float[] Row(IReadOnlyList<SchedulePoint> points, int i, int order)
    {
        var (alpha, sigma) = (points[i].Alpha, points[i].Sigma);
        var (clean, noise) = (1 / alpha, -sigma / alpha);
        if (i == points.Count - 1)
        {
            return [(float)clean, (float)noise, 0, 1, 0];
        }

        var (nextAlpha, nextSigma) = (points[i + 1].Alpha, points[i + 1].Sigma);
        var gain = nextAlpha - (alpha * nextSigma / sigma);
        var correction = 0.0;
        if (order == 2 && i > 0)
        {
            var h = LogRatio(points[i + 1]) - LogRatio(points[i]);
            correction = h / (2 * (LogRatio(points[i]) - LogRatio(points[i - 1])));
        }

        return [(float)clean, (float)noise, (float)(nextSigma / sigma), (float)(gain * (1 + correction)), (float)(-gain * correction)];
    }

    private static double LogRatio(SchedulePoint point) => 0.5 * Math.Log(point.AlphaCumprod / (1 - point.AlphaCumprod));
}

/// <summary>
/// A sampler for networks that predict the velocity v = alpha noise - sigma x (Salimans and Ho 2022): it tells another sampler the noise
/// that follows from it, sigma x_t + alpha v.
/// </summary>
public sealed class VelocitySampler : ISampler
{
    private readonly ISampler _sampler;
    private readonly Tensor _steps;
    private readonly Tensor _coefficients;

    /// <summary>Owns the other sampler from now on.</summary>
    /// <param name="context">The device.</param>
    /// <param name="points">The points of the other sampler's plan.</param>
    /// <param name="sampler">The other sampler.</param>
    public VelocitySampler(DeviceContext context, IReadOnlyList<SchedulePoint> points, ISampler sampler)
    {
        _sampler = sampler;
        _steps = SamplerPlan.Keep(context, Enumerable.Range(0, points.Count).ToArray());
        _coefficients = TensorScope.Detach(Tensor.FromArray<float>(
            context, [.. points.SelectMany(p => new[] { (float)p.Sigma, (float)p.Alpha })], [points.Count, 2]));
    }

    /// <inheritdoc/>
    public int Steps => _sampler.Steps;

    /// <inheritdoc/>
    public bool NeedsNoise => _sampler.NeedsNoise;

    /// <inheritdoc/>
    public Tensor? Memory => _sampler.Memory;

    /// <inheritdoc/>
    public Tensor NetworkTimestep(int step) => _sampler.NetworkTimestep(step);

    /// <inheritdoc/>
    public void Restore(Tensor? memory) => _sampler.Restore(memory);

    /// <summary>As the other sampler's, but the prediction is the velocity.</summary>
    /// <inheritdoc/>
    public Tensor Step(int step, Tensor x, Tensor predictedNoise, Tensor? noise, Tensor? firstFrame)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(_sampler.Step(step, x, Ops.Reparametrize(x, predictedNoise, _steps.Narrow(step, 1), _coefficients), noise, firstFrame));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _sampler.Dispose();
        _steps.Dispose();
        _coefficients.Dispose();
    }
}
