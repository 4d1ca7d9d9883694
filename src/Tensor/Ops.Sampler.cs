// The sampler's operators: timestep embedding, one step of DDPM, DDIM or a solver with frame 0 put back. Timesteps and tables stay on the device.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    private const int MaxGridY = 65535;

    /// <summary>The sinusoidal embedding of timesteps: sin then cos of t exp(-log(10000) k / (dim / 2 - 1)).</summary>
    /// <param name="t">[b], of floating-point type.</param>
    /// <param name="dim">Width of the embedding, even and at least 4.</param>
    /// <returns>[b, dim].</returns>
    public static Tensor TimestepEmbedding(Tensor t, int dim)
    {
        Require(t.Shape.Rank == 1, $"t must be [b], not {t.Shape}");
        Require(dim >= 4 && dim % 2 == 0, $"dim {dim} is not even and at least 4");
        var y = Tensor.Empty(t.Context, [t.Shape[0], dim], t.DType);
        if (y.Count == 0)
        {
            return y;
        }

        CountInt32(y);
        var shape = Cover(y.Count / 2);
        switch (t.DType)
        {
            case DType.Float32:
                SamplerKernels.TimestepEmbeddingF32(t.Context.Stream, shape, t.Pointer<float>(), y.Pointer<float>(), t.Shape[0], dim / 2);
                return y;
            case DType.Float64:
                SamplerKernels.TimestepEmbeddingF64(t.Context.Stream, shape, t.Pointer<double>(), y.Pointer<double>(), t.Shape[0], dim / 2);
                return y;
            default:
                throw UnsupportedType(t, halves: false);
        }
    }

    /// <summary>
    /// One ancestral step: sqrt(1/alpha_t) (x - beta_t eps / sqrt(1 - abar_t)), plus sqrt(posterior variance_t) noise for t > 0, and
    /// frame 0 put back.
    /// </summary>
    /// <param name="x">The latent video [b, f, h, w, c] at step t.</param>
    /// <param name="eps">The network's prediction of its noise, of x's shape.</param>
    /// <param name="noise">Standard normal noise of x's shape; not read at t = 0.</param>
    /// <param name="timestep">t, as Int32 [1] or [b], or as whole numbers of x's element type, [1] or [b]. Held inside the tables.</param>
    /// <param name="tables">The schedule's tables, of x's element type.</param>
    /// <param name="firstFrame">What frame 0 becomes, [b, h, w, c] or [b, 1, h, w, c]; null leaves the step's own result.</param>
    /// <returns>The video at step t - 1.</returns>
    public static Tensor DdpmStep(Tensor x, Tensor eps, Tensor noise, Tensor timestep, DdpmTables tables, Tensor? firstFrame = null)
    {
        var steps = CheckTables(nameof(DdpmStep), x, tables.Betas, tables.SqrtRecipAlphas, tables.SqrtOneMinusAlphasCumprod, tables.PosteriorVariance);
        var place = CheckStep(x, eps, noise, timestep, firstFrame);
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        if (y.Count == 0)
        {
            return y;
        }

        var stream = x.Context.Stream;
        var (index, value) = StepPointers(timestep);
        if (x.DType == DType.Float32)
        {
            SamplerKernels.DdpmStepF32(
                stream, place.Launch, x.Pointer<float>(), eps.Pointer<float>(), noise.Pointer<float>(), Bytes(firstFrame).Cast<float>(), index,
                value.Cast<float>(), tables.Betas.Pointer<float>(), tables.SqrtRecipAlphas.Pointer<float>(),
                tables.SqrtOneMinusAlphasCumprod.Pointer<float>(), tables.PosteriorVariance.Pointer<float>(), y.Pointer<float>(), place.Frames,
                place.FrameElements, place.StepStride, steps);
        }
        else
        {
            SamplerKernels.DdpmStepF64(
                stream, place.Launch, x.Pointer<double>(), eps.Pointer<double>(), noise.Pointer<double>(), Bytes(firstFrame).Cast<double>(), index,
                value.Cast<double>(), tables.Betas.Pointer<double>(), tables.SqrtRecipAlphas.Pointer<double>(),
                tables.SqrtOneMinusAlphasCumprod.Pointer<double>(), tables.PosteriorVariance.Pointer<double>(), y.Pointer<double>(), place.Frames,
                place.FrameElements, place.StepStride, steps);
        }

        return y;
    }

    /// <summary>
    /// One step of DDIM (Song et al. 2021, equation 12) from t to an earlier step p: with x0 = (x - sqrt(1 - abar_t) eps) / sqrt(abar_t),
    /// sqrt(abar_p) x0 + sqrt(1 - abar_p - sigma^2) eps + sigma noise, where sigma = eta sqrt((1 - abar_p) / (1 - abar_t))
    /// sqrt(1 - abar_t / abar_p), and frame 0 put back.
    /// </summary>
    /// <param name="x">The latent video [b, f, h, w, c] at step t.</param>
    /// <param name="eps">The network's prediction of its noise, of x's shape.</param>
    /// <param name="noise">Standard normal noise of x's shape; may be null when eta is 0.</param>
    /// <param name="timestep">t, as in <see cref="DdpmStep"/>.</param>
    /// <param name="previous">The step to go to, in the form that <paramref name="timestep"/> has; below 0 is the clean end (abar = 1).</param>
    /// <param name="alphasCumprod">abar [T], of x's element type.</param>
    /// <param name="eta">0 is deterministic, 1 as random as DDPM.</param>
    /// <param name="firstFrame">What frame 0 becomes, [b, h, w, c] or [b, 1, h, w, c]; null leaves the step's own result.</param>
    /// <returns>The video at the earlier step.</returns>
    public static Tensor DdimStep(
        Tensor x, Tensor eps, Tensor? noise, Tensor timestep, Tensor previous, Tensor alphasCumprod, double eta = 0, Tensor? firstFrame = null)
    {
        var steps = CheckTables(nameof(DdimStep), x, alphasCumprod);
        Require(eta >= 0, $"eta {eta} is not a number of 0 or more");
        Require(noise is not null || eta == 0, $"eta {eta} needs noise");
        Require(
            previous.DType == timestep.DType && previous.Shape == timestep.Shape,
            $"previous {previous} must be of the timestep's form, {timestep}");
        var place = CheckStep(x, eps, noise, timestep, firstFrame);
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        if (y.Count == 0)
        {
            return y;
        }

        var stream = x.Context.Stream;
        var (index, value) = StepPointers(timestep);
        var (previousIndex, previousValue) = StepPointers(previous);
        var added = eta == 0 ? default : Bytes(noise);
        if (x.DType == DType.Float32)
        {
            SamplerKernels.DdimStepF32(
                stream, place.Launch, x.Pointer<float>(), eps.Pointer<float>(), added.Cast<float>(), Bytes(firstFrame).Cast<float>(), index,
                value.Cast<float>(), previousIndex, previousValue.Cast<float>(), alphasCumprod.Pointer<float>(), y.Pointer<float>(),
                place.Frames, place.FrameElements, place.StepStride, steps, (float)eta);
        }
        else
        {
            SamplerKernels.DdimStepF64(
                stream, place.Launch, x.Pointer<double>(), eps.Pointer<double>(), added.Cast<double>(), Bytes(firstFrame).Cast<double>(), index,
                value.Cast<double>(), previousIndex, previousValue.Cast<double>(), alphasCumprod.Pointer<double>(), y.Pointer<double>(),
                place.Frames, place.FrameElements, place.StepStride, steps, eta);
        }

        return y;
    }

    /// <summary>
    /// What the network predicts, as another quantity of the same step: a x + b prediction, a and b the first two of the step's
    /// coefficients. With 1 / alpha and -sigma / alpha it is the clean video of a prediction of the noise, with sigma and alpha the
    /// noise of a prediction of the velocity (Salimans and Ho 2022, appendix D).
    /// </summary>
    /// <param name="x">The latent video [b, f, h, w, c].</param>
    /// <param name="prediction">The network's prediction, of x's shape.</param>
    /// <param name="step">The step as Int32 [1] or [b], held inside the table.</param>
    /// <param name="coefficients">[steps, 2 or more], of x's element type.</param>
    /// <returns>Of x's shape.</returns>
    public static Tensor Reparametrize(Tensor x, Tensor prediction, Tensor step, Tensor coefficients)
    {
        Require(coefficients.Shape.Rank == 2 && coefficients.Shape[0] > 0 && coefficients.Shape[1] >= 2, $"coefficients must be [steps, 2 or more], not {coefficients.Shape}");
        var (steps, columns) = CheckCoefficients(x, step, coefficients);
        var place = CheckStep(x, prediction, noise: null, step, firstFrame: null);
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        if (y.Count == 0)
        {
            return y;
        }

        if (x.DType == DType.Float32)
        {
            SamplerKernels.ReparametrizeF32(
                x.Context.Stream, place.Launch, x.Pointer<float>(), prediction.Pointer<float>(), step.Pointer<int>(), coefficients.Pointer<float>(),
                y.Pointer<float>(), place.Frames, place.FrameElements, place.StepStride, steps, columns);
        }
        else
        {
            SamplerKernels.ReparametrizeF64(
                x.Context.Stream, place.Launch, x.Pointer<double>(), prediction.Pointer<double>(), step.Pointer<int>(), coefficients.Pointer<double>(),
                y.Pointer<double>(), place.Frames, place.FrameElements, place.StepStride, steps, columns);
        }

        return y;
    }

    /// <summary>
    /// A step of a solver that remembers one step: c x + d clean + e before, c, d and e the last three of the step's coefficients,
    /// and frame 0 put back.
    /// </summary>
    /// <param name="x">The latent video [b, f, h, w, c].</param>
    /// <param name="clean">What <see cref="Reparametrize"/> makes of it, of x's shape.</param>
    /// <param name="before">What it was at the step before; null leaves that out.</param>
    /// <param name="step">The step as Int32 [1] or [b], held inside the table.</param>
    /// <param name="coefficients">[steps, 5], of x's element type.</param>
    /// <param name="firstFrame">What frame 0 becomes, [b, h, w, c] or [b, 1, h, w, c]; null leaves the step's own result.</param>
    /// <returns>The video at the next step.</returns>
    public static Tensor MultistepStep(Tensor x, Tensor clean, Tensor? before, Tensor step, Tensor coefficients, Tensor? firstFrame = null)
    {
        Require(coefficients.Shape.Rank == 2 && coefficients.Shape[0] > 0 && coefficients.Shape[1] == 5, $"coefficients must be [steps, 5], not {coefficients.Shape}");
        var (steps, _) = CheckCoefficients(x, step, coefficients);
        var place = CheckStep(x, clean, before, step, firstFrame);
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        if (y.Count == 0)
        {
            return y;
        }

        if (x.DType == DType.Float32)
        {
            SamplerKernels.MultistepF32(
                x.Context.Stream, place.Launch, x.Pointer<float>(), clean.Pointer<float>(), Bytes(before).Cast<float>(), Bytes(firstFrame).Cast<float>(),
                step.Pointer<int>(), coefficients.Pointer<float>(), y.Pointer<float>(), place.Frames, place.FrameElements, place.StepStride, steps);
        }
        else
        {
            SamplerKernels.MultistepF64(
                x.Context.Stream, place.Launch, x.Pointer<double>(), clean.Pointer<double>(), Bytes(before).Cast<double>(), Bytes(firstFrame).Cast<double>(),
                step.Pointer<int>(), coefficients.Pointer<double>(), y.Pointer<double>(), place.Frames, place.FrameElements, place.StepStride, steps);
        }

        return y;
    }

    /// <summary>Overwrites frame 0 of x [b, f, h, w, c] with a picture [b, h, w, c] or [b, 1, h, w, c], in place: before the first step.</summary>
    public static void PutFirstFrame(Tensor x, Tensor firstFrame)
    {
        Require(x.Shape.Rank == 5 && x.Shape[1] > 0, $"x must be [b, frames, h, w, channels], not {x.Shape}");
        RequireFirstFrame(x, firstFrame);
        x.MarkWritten();
        if (x.Count == 0)
        {
            return;
        }

        var frameElements = CheckedInt32(x.Shape.CountBetween(2, 5), $"elements of a frame of x {x.Shape}");
        Require(x.Shape[0] <= MaxGridY, $"x {x.Shape} has more than {MaxGridY} videos");
        var launch = Cover(frameElements) with { Grid = new Dim3(Cover(frameElements).Grid.X, x.Shape[0]) };
        switch (x.DType)
        {
            case DType.Float32:
                SamplerKernels.FirstFrameF32(x.Context.Stream, launch, firstFrame.Pointer<float>(), x.Pointer<float>(), x.Shape[1], frameElements);
                return;
            case DType.Float64:
                SamplerKernels.FirstFrameF64(x.Context.Stream, launch, firstFrame.Pointer<double>(), x.Pointer<double>(), x.Shape[1], frameElements);
                return;
            default:
                throw UnsupportedType(x, halves: false);
        }
    }

    private static (int Steps, int Columns) CheckCoefficients(Tensor x, Tensor step, Tensor coefficients, [CallerMemberName] string operation = "")
    {
        RequireAlike(x, coefficients, operation);
        Require(step.DType == DType.Int32, $"the step must be Int32, not {step.DType}", operation);
        return (coefficients.Shape[0], coefficients.Shape[1]);
    }

    private static int CheckTables(string operation, Tensor x, params ReadOnlySpan<Tensor> tables)
    {
        foreach (var table in tables)
        {
            Require(
                table.Shape.Rank == 1 && table.Shape == tables[0].Shape && table.Count > 0,
                $"the schedule's tables must be [T], all of one length, not {table.Shape}", operation);
            RequireAlike(x, table, operation);
        }

        return tables[0].Shape[0];
    }

    private static (LaunchShape Launch, int Frames, int FrameElements, int StepStride) CheckStep(
        Tensor x,
        Tensor eps,
        Tensor? noise,
        Tensor timestep,
        Tensor? firstFrame,
        [CallerMemberName] string operation = "")
    {
        RequireFloating(x, operation);
        Require(x.Shape.Rank == 5, $"x must be [b, frames, h, w, channels], not {x.Shape}", operation);
        Require(eps.Shape == x.Shape, $"eps {eps.Shape} is not of the shape of x {x.Shape}", operation);
        RequireAlike(x, eps, operation);
        if (noise is not null)
        {
            Require(noise.Shape == x.Shape, $"noise {noise.Shape} is not of the shape of x {x.Shape}", operation);
            RequireAlike(x, noise, operation);
        }

        if (firstFrame is not null)
        {
            RequireFirstFrame(x, firstFrame, operation);
        }

        var videos = x.Shape[0];
        Require(
            timestep.Shape.Rank <= 1 && (timestep.Count == 1 || timestep.Count == videos),
            $"the timestep must be [1] or [{videos}], not {timestep.Shape}", operation);
        Require(
            timestep.DType == DType.Int32 || timestep.DType == x.DType,
            $"the timestep must be Int32 or {x.DType}, not {timestep.DType}", operation);
        var frames = CheckedInt32((long)videos * x.Shape[1], $"frames of x {x.Shape}");
        Require(frames <= MaxGridY, $"x {x.Shape} has more than {MaxGridY} frames", operation);
        var frameElements = CheckedInt32(x.Shape.CountBetween(2, 5), $"elements of a frame of x {x.Shape}");
        var launch = x.Count == 0 ? default : new LaunchShape(new Dim3(Cover(frameElements).Grid.X, frames), ElementwiseThreads);
        return (launch, x.Shape[1], frameElements, timestep.Count == 1 ? 0 : 1);
    }

    private static void RequireFirstFrame(Tensor x, Tensor firstFrame, [CallerMemberName] string operation = "")
    {
        Shape picture = [x.Shape[0], x.Shape[2], x.Shape[3], x.Shape[4]];
        Require(
            firstFrame.Shape == picture || firstFrame.Shape == x.Shape.With(1, 1),
            $"the first frame must be {picture} for x {x.Shape}, not {firstFrame.Shape}", operation);
        RequireAlike(x, firstFrame, operation);
    }

    private static (DevicePointer<int> Index, DevicePointer<byte> Value) StepPointers(Tensor timestep)
        => timestep.DType == DType.Int32 ? (timestep.Pointer<int>(), default) : (default, timestep.Pointer<byte>());
}
