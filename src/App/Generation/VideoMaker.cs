// One model on one device that makes videos: what generate, demo, verify and evaluate share.
using System.Diagnostics;
using FashionFlow.App.Commands;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.App.Generation;

/// <summary>
/// Makes videos one after the other. Device and weights are loaded for the first one, after all that can be checked without
/// them; the same request gives the same files, whatever was made before.
/// </summary>
internal sealed class VideoMaker : IDisposable
{
    private readonly string _modelDirectory;
    private readonly string _device;
    private readonly int _threads;
    private DeviceContext? _context;
    private FashionFlowPipeline? _pipeline;
    private RecipeModel? _recipeModel;
    private string? _ffmpegVersion;

    /// <summary>Reads the model's configuration.</summary>
    /// <param name="modelDirectory">The model.</param>
    /// <param name="device">The device, as <c>--device</c> names it.</param>
    /// <param name="threads">Host threads of a virtual device; 0 takes one a core.</param>
    /// <exception cref="ModelException">The directory or its configuration is not usable.</exception>
    public VideoMaker(string modelDirectory, string device, int threads)
    {
        (_modelDirectory, _device, _threads) = (modelDirectory, device, threads);
        Configuration = ModelConfiguration.ForDirectory(modelDirectory);
    }

    /// <summary>The model's configuration.</summary>
    public ModelConfiguration Configuration { get; }

    /// <summary>The most device memory that may be taken, in bytes; null for no bound.</summary>
    public long? MemoryBudget { get; init; }

    /// <summary>The plan that meets the budget; null without one, and before the first video.</summary>
    public MemoryPlan? Plan { get; private set; }

    /// <summary>What a user must know of the model, or null.</summary>
    public string? Note => Configuration.Note
        ?? (Configuration.IsTrained ? null : "Untrained: the video shows that every stage runs, not a garment that moves.");

    /// <summary>The device's name with its architecture.</summary>
    public static string DeviceName(DeviceProperties properties)
    {
        var architecture = properties.ComputeCapability.ToString();
        return properties.Name.Contains(architecture, StringComparison.Ordinal) ? properties.Name : $"{properties.Name} ({architecture})";
    }

    /// <summary>Checks options against the model and fills in its choices.</summary>
    /// <exception cref="UserError">They do not fit.</exception>
    public GenerationOptions Resolve(GenerationOptions options)
    {
        try
        {
            return Configuration.Resolve(options);
        }
        catch (ModelException e)
        {
            throw new UserError(ExitCode.Usage, e.Message, cause: e);
        }
    }

    /// <summary>The loaded model.</summary>
    public FashionFlowPipeline Pipeline => _pipeline ?? throw new InvalidOperationException("The model is not loaded.");

    /// <summary>The most device memory that tensors took so far.</summary>
    public long PeakBytes => _context?.PeakBytes ?? 0;

    /// <summary>Opens the device and loads the weights unless that was done.</summary>
    /// <returns>The device's name.</returns>
    /// <param name="parts">The networks; what is loaded first is all that there is.</param>
    public string Load(PipelineParts parts = PipelineParts.All)
    {
        _context ??= DeviceContext.Open(_device, _threads);
        _pipeline ??= FashionFlowPipeline.Load(_context, _modelDirectory, parts);
        return DeviceName(_context.Device.Properties);
    }

    /// <summary>Plans a video and estimates its stages' times, and makes nothing.</summary>
    /// <param name="options">The choices, resolved.</param>
    /// <param name="withPreviews">Whether previews are decoded.</param>
    /// <returns>The plan, and about how long a part of each stage takes.</returns>
    /// <exception cref="UserError">The budget cannot be met.</exception>
    public (MemoryPlan Plan, IReadOnlyDictionary<string, TimeSpan> Times) Estimate(GenerationOptions options, bool withPreviews)
    {
        _context ??= DeviceContext.Open(_device, _threads);
        var plan = PlanFor(options, PipelineParts.All, withPreviews, decodeRows: null);
        return (plan, MemoryPlanner.Estimate(Configuration, options, plan, _context));
    }

    /// <summary>The model as a recipe names it: its files and their hashes.</summary>
    public RecipeModel DescribeModel() => _recipeModel ??= new RecipeModel(
        Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(_modelDirectory))),
        Configuration.IsTrained,
        new SortedDictionary<string, string>(
            ModelFiles.All
                .Select(name => (Name: name, Path: ModelFiles.Find(_modelDirectory, name)))
                .Append((Name: ModelConfiguration.FileName, Path: Path.Combine(_modelDirectory, ModelConfiguration.FileName)))
                .Where(file => File.Exists(file.Path))
                .ToDictionary(file => file.Name, file => FileHash.Compute(file.Path!)),
            StringComparer.Ordinal));

    /// <summary>The device as a recipe names it.</summary>
    public RecipeDevice DescribeDevice()
    {
        var (device, properties) = (_context!.Device, _context.Device.Properties);
        return new RecipeDevice(device.Kind, properties.ComputeCapability.ToString(), properties.Name);
    }

    /// <summary>Makes a video. Its outputs appear together at the end, or not at all.</summary>
    /// <param name="request">What to make.</param>
    /// <param name="screen">Where progress is shown.</param>
    /// <param name="announce">Told the device's name before the long part.</param>
    /// <param name="cancellation">Stops it; then nothing is left but the latents, if the request saves them.</param>
    /// <exception cref="UserError">An output cannot be written.</exception>
    /// <exception cref="Autograd.NonFiniteException">A value is infinite or no number, and the request has them searched for.</exception>
    public VideoReport Make(VideoRequest request, Screen screen, Action<string>? announce, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var options = request.Options;
        using var files = new VideoFiles(request.Output, request.FramesPerSecond, options.Frames!.Value, cancellation);
        request.Saved?.RequireModel(DescribeModel());
        var deviceName = Prepare(request);
        cancellation.ThrowIfCancellationRequested();
        _context!.ResetPeak();
        var recipe = Describe(request);
        var paths = new SidecarPaths(Path.GetFullPath(request.Path), Path.GetFullPath(_modelDirectory));
        files.Comment = request.Comment ?? recipe.ToJson();
        announce?.Invoke(deviceName);
        var keeper = request.SavesLatents ? new LatentsKeeper(request.Latents, recipe, paths, Saved(request), request.Saved?.StepsDone ?? 0) : null;
        SamplingState? state = null;
        try
        {
            ProgressDisplay.Run(screen, display =>
            {
                var (progress, hooks) = (new Forward(display, _context), Hooks(request, keeper));
                state = request.Saved is { } saved
                    ? saved.ToState(_context, Configuration)
                    : _pipeline!.Begin(request.Picture!, options, hooks, progress, cancellation);
                _pipeline!.Sample(state, options, hooks, progress, cancellation);
                _pipeline.Decode(state.Video, progress, (_, frame) => files.Write(frame), request.ChecksFinite, cancellation);
                return true;
            });
            var sidecar = files.Complete(recipe, paths, cancellation);
            keeper?.Finish();
            return new VideoReport(request.Output, sidecar, clock.Elapsed, _context.PeakBytes) { Latents = request.KeepsLatents ? keeper?.Path : null };
        }
        catch (Exception e) when (e is UserError or OperationCanceledException or GpuException && keeper is not null && state is not null)
        {
            // Who stopped it, or whose device failed, is told of the latents at the program's end.
            if (keeper.TrySave(state) && e is UserError user)
            {
                var advice = SavedLatents.HowToGoOn(keeper.Path);
                throw new UserError(user.ExitCode, user.Message, user.Advice is null ? advice : $"{user.Advice}; then {advice}", e);
            }

            throw;
        }
        finally
        {
            state?.Dispose();
        }
    }

    /// <summary>Frees weights and device.</summary>
    public void Dispose()
    {
        _pipeline?.Dispose();
        _context?.Dispose();
    }

    private Recipe Describe(VideoRequest request)
    {
        var (o, c) = (request.Options, Configuration);
        return new Recipe
        {
            Program = VersionCommand.Program,
            Input = request.Input,
            Model = DescribeModel(),
            Options = new RecipeOptions(
                Recipe.Word(o.Sampler!.Value), o.Steps!.Value, o.Eta, o.Seed, o.Frames!.Value, request.FramesPerSecond, Recipe.Word(o.Fit!.Value), c.PictureWidth, c.PictureHeight)
            {
                Spacing = RecipeOptions.WordOf(o.Spacing!.Value),
                DecodeRows = _pipeline!.Memory.DecodeRows is > 0 and var rows ? rows : null,
            },
            Compat = RecipeCompat.Of(o.Compatibility!),
            Device = DescribeDevice(),
            Encoder = new RecipeEncoder(request.Output.Format.Name, request.Output.Format.Encoder is null ? null : _ffmpegVersion ??= Ffmpeg.Version(Ffmpeg.Require())),
        };
    }

    // Loads the networks, and the arena behind them, before the first video.
    private string Prepare(VideoRequest request)
    {
        if (_pipeline is null && MemoryBudget is not null)
        {
            _context ??= DeviceContext.Open(_device, _threads);
            Plan = PlanFor(request.Options, request.Parts, request.PreviewEvery is not null, request.DecodeRows);
        }

        var isFirst = _pipeline is null;
        var name = Load(request.Parts);
        if (isFirst && Plan is not null)
        {
            _context!.ReleaseCached();
            _pipeline!.Memory = Plan.Settings;
            _context.OpenArena(Plan.ArenaBytes);
        }
        else if (isFirst && request.DecodeRows is { } rows)
        {
            _pipeline!.Memory = new MemorySettings(DecodeRows: rows);
        }

        return name;
    }

    // A GPU may have less than the budget to give.
    private MemoryPlan PlanFor(GenerationOptions options, PipelineParts parts, bool withPreviews, int? decodeRows)
    {
        var most = MemoryBudget is { } budget ? Math.Min(budget, _context!.Device.MemoryInfo.Free) : (long?)null;
        try
        {
            return MemoryPlanner.Plan(Configuration, options, _context!.Device, most, parts, withPreviews, decodeRows);
        }
        catch (MemoryBudgetException e)
        {
            throw Commands.MemoryBudget.Refusal(e, MemoryBudget ?? long.MaxValue, "fewer --frames");
        }
    }

    private static SavedOutput Saved(VideoRequest request) => new(
        Path.GetFullPath(request.Output.Target), request.Output.WithContactSheet, request.Output.Overwrite, request.KeepsLatents, request.CheckpointEvery, request.PreviewEvery);

    private SamplingHooks Hooks(VideoRequest request, LatentsKeeper? keeper) => new()
    {
        AfterStep = keeper is null ? null : keeper.AfterStep,
        WantsClean = done => request.PreviewEvery is { } every && done % every == 0,
        ShowClean = request.PreviewEvery is null ? null : (_, video) => PreviewStrip.Write(request.Output.Preview, _pipeline!, video),
        ChecksFinite = request.ChecksFinite,
    };

    private sealed class Forward(ProgressDisplay display, DeviceContext context) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value)
        {
            var (stage, unit) = value.Stage switch
            {
                GenerationStage.Encoding => ("encode picture", "part"),
                GenerationStage.Sampling => ("sample video", "step"),
                _ => ("decode frames", "frame"),
            };
            display.Report(stage, unit, value.Done, value.Total, context.PeakBytes);
        }
    }
}
