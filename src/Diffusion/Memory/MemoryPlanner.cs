// Finds out what a video takes by making it on a device that only counts.
using System.Diagnostics;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion;

/// <summary>
/// Plans by running the pipeline's own code on a <see cref="MeasuringDevice"/>: every allocation is the one that the real run will make,
/// in the same order, so that an arena of the planned size is exactly large enough, and no network is described twice.
/// </summary>
public static class MemoryPlanner
{
    // Larger than any device, so that only what is used of it counts.
    internal const long EndlessArena = 1L << 50;

    // Attention is cut into 2, 4 and so on up to this many parts.
    private const int MostParts = 64;

    /// <summary>The bounds that are tried for rows, from the loosest.</summary>
    private static readonly int[] s_rows = [0, 128, 32, 8];

    /// <summary>The plan with the loosest bounds that meets a budget.</summary>
    /// <param name="configuration">The model.</param>
    /// <param name="options">The choices, resolved.</param>
    /// <param name="device">The device that the video will be made on.</param>
    /// <param name="budget">Bytes for weights and activations together; null for no bound.</param>
    /// <param name="parts">The networks that are used: without conditioning the video is one that goes on, with the autoencoder alone it is only decoded.</param>
    /// <param name="withPreviews">Whether previews are decoded between steps.</param>
    /// <param name="decodeRows">The rows that an earlier part of the same run decoded with; null leaves them to the plan.</param>
    /// <exception cref="MemoryBudgetException">No bounds meet it.</exception>
    public static MemoryPlan Plan(
        ModelConfiguration configuration,
        GenerationOptions options,
        GpuDevice device,
        long? budget,
        PipelineParts parts = PipelineParts.All,
        bool withPreviews = false,
        int? decodeRows = null)
    {
        var rows = decodeRows is { } fixedRows ? [fixedRows] : s_rows;
        var plan = Measure(new MemorySettings(0, rows[0]));
        if (budget is not { } most)
        {
            return plan;
        }

        // Each bound is tightened for the stage that it bounds, and no further than it helps.
        var bounds = TokenBounds((long)options.Frames!.Value * configuration.LatentHeight * configuration.LatentWidth).ToList();
        foreach (var tokens in bounds)
        {
            if (Room(plan, most) >= Of(plan, "step"))
            {
                break;
            }

            var tighter = Measure(plan.Settings with { TokensAtATime = tokens });
            plan = Of(tighter, "step") < Of(plan, "step") ? tighter : plan;
        }

        foreach (var count in rows.Skip(1))
        {
            if (plan.TotalBytes <= most)
            {
                break;
            }

            // The other stages' share is known: where that alone is too much, strips cannot help, and to measure them takes a while.
            if (plan.Stages.Where(s => s.Name != "decode").Any(s => s.ActivationBytes > Room(plan, most)))
            {
                break;
            }

            plan = Measure(plan.Settings with { DecodeRows = count });
        }

        return plan.TotalBytes <= most ? plan : throw new MemoryBudgetException(most, Measure(new MemorySettings(bounds.LastOrDefault(), rows[^1])).TotalBytes);

        MemoryPlan Measure(MemorySettings settings) => MemoryPlanner.Measure(configuration, options, device, settings, parts, withPreviews);
    }

    /// <summary>The bounds on tokens that are tried for a video of so many positions, from the loosest.</summary>
    internal static IEnumerable<int> TokenBounds(long positions)
    {
        for (var parts = 2; parts <= MostParts && parts <= positions; parts *= 2)
        {
            yield return checked((int)((positions + parts - 1) / parts));
        }
    }

    /// <summary>The plan with given bounds.</summary>
    /// <param name="configuration">The model.</param>
    /// <param name="options">The choices, resolved.</param>
    /// <param name="device">The device that the video will be made on.</param>
    /// <param name="settings">The bounds.</param>
    /// <param name="parts">The networks that are used, as in <see cref="Plan"/>.</param>
    /// <param name="withPreviews">Whether previews are decoded between steps.</param>
    public static MemoryPlan Measure(
        ModelConfiguration configuration,
        GenerationOptions options,
        GpuDevice device,
        MemorySettings settings,
        PipelineParts parts = PipelineParts.All,
        bool withPreviews = false)
    {
        // What counts captures nothing, and a run that is held to a plan does not either.
        options = options with { UseGraph = false };
        using var measuring = new MeasuringDevice(device);
        using var context = new DeviceContext(measuring, ownsDevice: false);
        using var pipeline = FashionFlowPipeline.Reserve(context, configuration, parts);
        pipeline.Memory = settings;
        var weights = context.ReservedBytes;
        context.OpenArena(EndlessArena);

        // A second video finds position tables where the first one left them, in the midst of what was freed since; a third finds
        // what the second one found.
        var first = MakeOne();
        var second = MakeOne();
        var stages = first.Zip(second).Select(pair => pair.Second with { ActivationBytes = Math.Max(pair.First.ActivationBytes, pair.Second.ActivationBytes) }).ToList();
        return new MemoryPlan(settings, weights, stages.Max(s => s.ActivationBytes), stages);

        List<MemoryStage> MakeOne()
        {
            var made = new List<MemoryStage>();
            var meter = new Meter(measuring, context);
            using var state = parts.HasFlag(PipelineParts.Conditioning)
                ? pipeline.Begin(new Rgb8Image(configuration.PictureWidth, configuration.PictureHeight), options, hooks: null, progress: null)
                : Blank(context, configuration, options);
            if (parts.HasFlag(PipelineParts.Conditioning))
            {
                made.Add(meter.Read("encode"));
            }

            if (parts.HasFlag(PipelineParts.Unet))
            {
                made.Add(Sample(state, meter));
            }

            meter.Restart();
            pipeline.DecodeFrame(state.Video, 0);
            made.Add(meter.Read("decode"));
            return made;
        }

        // Steps are taken until everything lies where it lay behind an earlier one: from there on they repeat.
        MemoryStage Sample(SamplingState state, Meter meter)
        {
            using var enough = new CancellationTokenSource();
            var seen = new HashSet<ulong>();
            MemoryStage? largest = null;
            meter.Restart();
            var hooks = new SamplingHooks
            {
                ShowClean = withPreviews ? (_, video) => pipeline.DecodeFrame(video, 0) : null,
                AfterStep = _ =>
                {
                    var step = meter.Read("step");
                    largest = step with { ActivationBytes = Math.Max(largest?.ActivationBytes ?? 0, step.ActivationBytes) };
                    if (!seen.Add(context.ArenaLayout))
                    {
                        enough.Cancel();
                    }
                },
            };
            try
            {
                pipeline.Sample(state, options, hooks, progress: null, enough.Token);
            }
            catch (OperationCanceledException) when (enough.IsCancellationRequested)
            {
            }

            return largest!;
        }
    }

    /// <summary>
    /// About how long a stage takes: its networks are run at a small size on the device, without values that mean anything, and the time
    /// is scaled by the work.
    /// </summary>
    /// <param name="configuration">The model.</param>
    /// <param name="options">The choices, resolved.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="context">The device, with room for the networks' weights.</param>
    /// <returns>Seconds of a step and of a frame's decoding, in the plan's stages' order; what cannot be told is left out.</returns>
    public static IReadOnlyDictionary<string, TimeSpan> Estimate(ModelConfiguration configuration, GenerationOptions options, MemoryPlan plan, DeviceContext context)
    {
        // The fewest frames and the smallest picture that the networks take.
        var unit = configuration.Unet.SpaceMultiple;
        var small = configuration with
        {
            Frames = configuration.Unet.FrameMultiple,
            PictureWidth = Math.Min(configuration.PictureWidth, 2 * unit * configuration.Vae.Downscale),
            PictureHeight = Math.Min(configuration.PictureHeight, 2 * unit * configuration.Vae.Downscale),
        };
        var few = options with { Frames = small.Frames, Steps = Math.Min(options.Steps!.Value, 2) };
        const PipelineParts Parts = PipelineParts.Unet | PipelineParts.Autoencoder;
        var work = Measure(small, few, context.Device, MemorySettings.Unbounded, Parts).Stages.ToDictionary(s => s.Name, s => s.FloatingPointOperations);
        var times = new Dictionary<string, TimeSpan>(StringComparer.Ordinal);
        using var pipeline = FashionFlowPipeline.Reserve(context, small, Parts);
        using var state = Blank(context, small, few);
        var clock = Stopwatch.StartNew();

        // The first step and the first frame compile kernels.
        pipeline.Sample(state, few, new SamplingHooks { AfterStep = _ => Told("step") }, progress: null);
        for (var i = 0; i < 2; i++)
        {
            clock.Restart();
            pipeline.DecodeFrame(state.Video, 0);
            Told("decode");
        }

        return times;

        void Told(string stage)
        {
            times[stage] = clock.Elapsed * (Find(plan, stage).FloatingPointOperations / work[stage]);
            clock.Restart();
        }
    }

    private static MemoryStage Find(MemoryPlan plan, string stage) => plan.Stages.First(s => s.Name == stage);

    private static long Of(MemoryPlan plan, string stage) => plan.Stages.FirstOrDefault(s => s.Name == stage)?.ActivationBytes ?? 0;

    private static long Room(MemoryPlan plan, long budget) => budget - plan.WeightBytes;

    // A state as a file of latents gives one.
    private static SamplingState Blank(DeviceContext context, ModelConfiguration configuration, GenerationOptions options)
    {
        Shape picture = [1, configuration.LatentHeight, configuration.LatentWidth, configuration.Unet.Channels];
        using var scope = TensorScope.Begin();
        return new SamplingState(
            0,
            Tensor.Zeros(context, [1, options.Frames!.Value, picture[1], picture[2], picture[3]]),
            Tensor.Zeros(context, picture),
            Tensor.Zeros(context, [1, configuration.Clip.Tokens, configuration.Unet.ContextChannels]));
    }

    private sealed class Meter(MeasuringDevice device, DeviceContext context)
    {
        private (double Work, long Launches) _before = (device.FloatingPointOperations, device.Launches);

        public void Restart()
        {
            _before = (device.FloatingPointOperations, device.Launches);
            context.ResetPeak();
        }

        public MemoryStage Read(string name)
        {
            var stage = new MemoryStage(name, context.Arena!.Value.HighWater, device.FloatingPointOperations - _before.Work, device.Launches - _before.Launches);
            Restart();
            return stage;
        }
    }
}
