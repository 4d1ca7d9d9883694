// Runs a model on inputs stored in a file and holds what every module gives out to what the file says.
using System.Globalization;
using System.Text.Json;
using FashionFlow.Gpu;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion;

/// <summary>The models that can be compared.</summary>
public enum ComparedModel
{
    /// <summary><see cref="SpaceTimeUnet"/>.</summary>
    Unet,

    /// <summary><see cref="AutoencoderKl"/>.</summary>
    Vae,

    /// <summary><see cref="ClipVisionModel"/>.</summary>
    Clip,

    /// <summary><see cref="EmbeddingAdapter"/>.</summary>
    Adapter,
}

/// <summary>One stored tensor against ours.</summary>
/// <param name="Name">Its name in the reference file.</param>
/// <param name="Error">The largest difference, relative to the largest stored value.</param>
/// <param name="Limit">What the error may be.</param>
/// <param name="IsOutput">Whether it is an output; activations have twice an output's limit.</param>
/// <param name="IsFirstDivergence">Whether it is the first, in the order of execution, beyond its limit.</param>
/// <param name="IsAbsolute">Whether the error is the difference itself: of a gradient that is zero but for rounding.</param>
public sealed record ComparisonRow(
    string Name, double Error, double Limit, bool IsOutput, bool IsFirstDivergence = false, bool IsAbsolute = false)
{
    /// <summary>Whether the error is within the limit.</summary>
    public bool Passed => Error <= Limit;
}

/// <summary>All rows of one case, in the order of execution.</summary>
/// <param name="Case">The case's name; empty in a file without cases.</param>
/// <param name="Rows">The rows.</param>
public sealed record ComparisonResult(string Case, IReadOnlyList<ComparisonRow> Rows)
{
    /// <summary>Whether every row is within its limit.</summary>
    public bool Passed => Rows.All(r => r.Passed);

    /// <summary>The largest error of an output.</summary>
    public double OutputError => Rows.Where(r => r.IsOutput).Max(r => r.Error);

    /// <summary>The largest error of a gradient, of those that are not zero by structure; null where none was compared.</summary>
    public double? GradientError => Rows.Where(r => r is { IsAbsolute: false } && r.Name.StartsWith(GradientComparison.Prefix, StringComparison.Ordinal))
        .Select(r => (double?)r.Error).Max();
}

/// <summary>Compares a model with a reference file, module by module, in the golden files' naming.</summary>
public static class ModelComparison
{
    /// <summary>The limit of outputs if nobody says otherwise; PyTorch's own float32 is 1e-6 from float64.</summary>
    public const double DefaultTolerance = 1e-5;

    /// <summary>Compares.</summary>
    /// <param name="context">The device.</param>
    /// <param name="model">Which model.</param>
    /// <param name="weightsPath">Its weights.</param>
    /// <param name="referencePath">Stored inputs, outputs and, where there are, activations.</param>
    /// <param name="caseName">One case of the file; null for all of them.</param>
    /// <param name="tolerance">Limit of outputs; activations have twice that, gradients five times.</param>
    /// <param name="gradientsPath">
    /// Stored gradients of mean((out - target)^2) by input, context and every parameter of a U-Net, for the case that the
    /// file's metadata names; null to run forward only.
    /// </param>
    /// <param name="plan">A plan of <see cref="Plan"/> to keep to; null for none.</param>
    /// <returns>One result a case.</returns>
    /// <exception cref="ModelException">The reference file lacks what the model needs.</exception>
    /// <exception cref="WeightLoadException">The weights do not fit.</exception>
    public static IReadOnlyList<ComparisonResult> Run(
        DeviceContext context,
        ComparedModel model,
        string weightsPath,
        string referencePath,
        string? caseName = null,
        double tolerance = DefaultTolerance,
        string? gradientsPath = null,
        MemoryPlan? plan = null)
    {
        using var weights = SafetensorsFile.Open(weightsPath);
        using var file = SafetensorsFile.Open(referencePath);
        using var module = Create(model, weightsPath, weights);
        module.Load(context, new FileWeights(weights, weightsPath));
        if (plan is not null)
        {
            Bound(module, plan.Settings.TokensAtATime);
            context.ReleaseCached();
            context.OpenArena(plan.ArenaBytes);
        }

        return RunCases(context, module, model, file, referencePath, caseName, tolerance, gradientsPath);
    }

    /// <summary>Plans a comparison so that weights and activations meet a budget, by running it on a <see cref="MeasuringDevice"/>.</summary>
    /// <param name="device">The device that it will run on.</param>
    /// <param name="model">Which model.</param>
    /// <param name="weightsPath">Its weights.</param>
    /// <param name="referencePath">Stored inputs and outputs.</param>
    /// <param name="budget">Bytes for weights and activations together.</param>
    /// <param name="caseName">One case of the file; null for all of them.</param>
    /// <param name="gradientsPath">Stored gradients; a backward pass needs all activations of the forward pass, whatever the bounds.</param>
    /// <exception cref="MemoryBudgetException">The budget cannot be met.</exception>
    /// <inheritdoc cref="Run"/>
    public static MemoryPlan Plan(
        GpuDevice device, ComparedModel model, string weightsPath, string referencePath, long budget, string? caseName = null, string? gradientsPath = null)
    {
        using var weights = SafetensorsFile.Open(weightsPath);
        using var file = SafetensorsFile.Open(referencePath);
        var plan = Measure(MemorySettings.Unbounded);

        // Of all models the U-Net's attention alone works in parts. Stored videos are [b, c, f, h, w].
        var positions = model != ComparedModel.Unet ? 0 : file.Tensors.Where(t => t.Key.EndsWith('x') && t.Value.Shape.Rank == 5)
            .Select(t => t.Value.Shape.CountBetween(2, 5)).DefaultIfEmpty().Max();
        foreach (var tokens in MemoryPlanner.TokenBounds(positions))
        {
            if (plan.TotalBytes <= budget)
            {
                break;
            }

            var tighter = Measure(new MemorySettings(tokens));
            plan = tighter.ArenaBytes < plan.ArenaBytes ? tighter : plan;
        }

        return plan.TotalBytes <= budget ? plan : throw new MemoryBudgetException(budget, plan.TotalBytes);

        MemoryPlan Measure(MemorySettings settings)
        {
            using var measuring = new MeasuringDevice(device);
            using var context = new DeviceContext(measuring, ownsDevice: false);
            using var module = Create(model, weightsPath, weights);
            module.Reserve(context);
            Bound(module, settings.TokensAtATime);
            var weightBytes = context.ReservedBytes;
            context.OpenArena(MemoryPlanner.EndlessArena);

            // What is compared with zeros does not matter.
            RunCases(context, module, model, file, referencePath, caseName, DefaultTolerance, gradientsPath);
            var used = context.Arena!.Value.HighWater;
            return new MemoryPlan(settings, weightBytes, used, [new MemoryStage("compare", used, measuring.FloatingPointOperations, measuring.Launches)]);
        }
    }

    private static Module Create(ComparedModel model, string weightsPath, SafetensorsFile weights) => model switch
    {
        ComparedModel.Unet => new SpaceTimeUnet(ModelConfiguration.UnetOf(weightsPath, weights)),
        ComparedModel.Vae => new AutoencoderKl(ModelConfiguration.VaeOf(weightsPath, weights)),
        ComparedModel.Clip => new ClipVisionModel(ModelConfiguration.ClipOf(weightsPath, weights)),
        _ => AdapterOf(weightsPath, weights),
    };

    private static void Bound(Module module, int tokens)
    {
        if (module is SpaceTimeUnet unet)
        {
            unet.TokensAtATime = tokens;
        }
    }

    private static IReadOnlyList<ComparisonResult> RunCases(
        DeviceContext context, Module module, ComparedModel model, SafetensorsFile file, string referencePath, string? caseName, double tolerance, string? gradientsPath)
    {
        var reference = new ReferenceFile(file, referencePath);
        var input = model switch
        {
            ComparedModel.Unet => "x",
            ComparedModel.Vae => "image",
            ComparedModel.Clip => "pixel_values",
            _ => "in.clip",
        };
        if (gradientsPath is null)
        {
            return [.. reference.Cases(input, caseName).Select(c => RunCase(context, module, reference, c, tolerance, gradients: null))];
        }

        using var gradientFile = SafetensorsFile.Open(gradientsPath);
        var gradients = new GradientComparison(gradientFile, gradientsPath);
        var names = reference.Cases(input, caseName);
        return module is not SpaceTimeUnet ? throw new ModelException($"{gradientsPath}: gradients are compared for the U-Net alone")
            : caseName is null && names.Contains(gradients.Case ?? "") ? [RunCase(context, module, reference, gradients.Case ?? "", tolerance, gradients)]
            : names.Count == 1 && (gradients.Case is null || gradients.Case == names[0]) ? [RunCase(context, module, reference, names[0], tolerance, gradients)]
            : throw new ModelException($"{gradientsPath}: it holds the gradients of case \"{gradients.Case}\"; {reference.Path} was asked for {string.Join(", ", names)}");
    }

    private static ComparisonResult RunCase(
        DeviceContext context, Module module, ReferenceFile reference, string caseName, double tolerance, GradientComparison? gradients)
    {
        using var scope = TensorScope.Begin();
        var comparison = new CaseComparison(context, reference, caseName, tolerance);
        try
        {
            if (gradients is null)
            {
                RunModel(module, comparison);
            }
            else
            {
                gradients.Run((SpaceTimeUnet)module, comparison);
            }
        }
        catch (ArgumentException e)
        {
            throw new ModelException($"{reference.Path}: {(caseName.Length == 0 ? "" : $"case {caseName}: ")}{e.Message}", e);
        }
        finally
        {
            module.Observer = null;
        }

        return comparison.Result();
    }

    private static void RunModel(Module module, CaseComparison comparison)
    {
        switch (module)
        {
            case SpaceTimeUnet unet:
                RunUnet(unet, comparison);
                break;
            case AutoencoderKl vae:
                RunVae(vae, comparison);
                break;
            case ClipVisionModel clip:
                RunClip(clip, comparison);
                break;
            default:
                comparison.Compare("out", ((EmbeddingAdapter)module).Forward(comparison.Input("in.clip"), comparison.Input("in.vae")), isOutput: true);
                break;
        }
    }

    private static void RunUnet(SpaceTimeUnet unet, CaseComparison comparison)
        => RunUnet(unet, comparison, comparison.Input("x"), comparison.Input("context"));

    internal static Tensor RunUnet(SpaceTimeUnet unet, CaseComparison comparison, Tensor x, Tensor context)
    {
        unet.Observer = (path, activation) => comparison.Compare($"act.{path}", activation);
        var timestep = unet.Options.ConditionOnTimestep ? comparison.Input("timestep") : null;
        var y = unet.Forward(x, timestep, context, comparison.Switch("enable_time", fallback: true));
        comparison.Compare("out", y, isOutput: true);
        return y;
    }

    private static void RunVae(AutoencoderKl vae, CaseComparison comparison)
    {
        vae.Observer = (path, activation) => comparison.Compare($"enc_act.{path}", activation);
        var moments = vae.Encode(comparison.Input("image"));
        comparison.Compare("moments", moments, isOutput: true);
        if (comparison.Has("sample") && comparison.Has("sample_noise"))
        {
            comparison.Compare("sample", Ops.PosteriorSample(moments, comparison.Input("sample_noise"), 1), isOutput: true);
        }

        if (comparison.Has("latent"))
        {
            vae.Observer = (path, activation) => comparison.Compare($"dec_act.{path}", activation);
            var decoded = vae.Decode(comparison.Input("latent"));
            comparison.Compare("decoded", decoded, isOutput: true);
        }

        vae.Observer = null;
        if (comparison.Has("latent_scaled") && comparison.Has("inference_frame"))
        {
            var frame = vae.Decode(Ops.Scale(comparison.Input("latent_scaled"), 1 / vae.Options.ScalingFactor));
            comparison.Compare("inference_frame", Ops.Clamp(frame, 0, 1), isOutput: true);
        }
    }

    private static void RunClip(ClipVisionModel clip, CaseComparison comparison)
    {
        // Hugging Face numbers hidden states: 0 behind the first norm, i behind layer i - 1.
        const string LayerPath = "vision_model.encoder.layers.";
        clip.Observer = (path, activation) =>
        {
            var name = path switch
            {
                "vision_model.embeddings" => "embeddings",
                "vision_model.pre_layrnorm" => "hidden_states.0",
                _ when path.StartsWith(LayerPath, StringComparison.Ordinal)
                    && int.TryParse(path.AsSpan(LayerPath.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var layer)
                    => string.Create(CultureInfo.InvariantCulture, $"hidden_states.{layer + 1}"),
                _ => null,
            };
            if (name is not null)
            {
                comparison.Compare(name, activation);
            }
        };
        var last = clip.Forward(comparison.Input("pixel_values"));
        comparison.Compare("last_hidden_state", last, isOutput: true);
        if (comparison.Has("pooler_output"))
        {
            var pooled = clip.Pool(last);
            comparison.Compare("pooler_output", pooled.Reshape(pooled.Shape[0], pooled.Shape[2]), isOutput: true);
        }
    }

    /// <summary>The adapter's sizes are its weights' shapes: vae2clip is [width, pixels], linear1 [tokens, tokens + channels].</summary>
    private static EmbeddingAdapter AdapterOf(string path, SafetensorsFile file)
    {
        if (file.Tensors.TryGetValue("vae2clip.weight", out var latent) && latent.Shape.Rank == 2
            && file.Tensors.TryGetValue("linear1.weight", out var mix) && mix.Shape.Rank == 2 && mix.Shape[1] > mix.Shape[0])
        {
            return new EmbeddingAdapter(mix.Shape[0], latent.Shape[0], mix.Shape[1] - mix.Shape[0], latent.Shape[1]);
        }

        throw new ModelException($"{path}: not an adapter: it needs the matrices vae2clip.weight and linear1.weight");
    }
}

/// <summary>A safetensors file of inputs and expected results, its names prefixed by a case where it holds several.</summary>
internal sealed class ReferenceFile(SafetensorsFile file, string path)
{
    public string Path => path;

    public bool Has(string name) => file.Tensors.ContainsKey(name);

    public SafetensorsEntry Entry(string name) => file.Tensors[name];

    public float[] Read(string name) => file.ReadFloat32(name);

    /// <summary>The prefixes ("A." or "") under which an input lies.</summary>
    public IReadOnlyList<string> Cases(string input, string? wanted)
    {
        if (wanted is not null)
        {
            return Has($"{wanted}.{input}")
                ? [wanted]
                : throw new ModelException($"{path}: no case \"{wanted}\"; there are: {string.Join(", ", Found(input).DefaultIfEmpty("none"))}");
        }

        var cases = Has(input) ? [""] : Found(input);
        return cases.Count > 0 ? cases : throw new ModelException($"{path}: no input \"{input}\", neither plain nor behind a case's name");
    }

    /// <summary>A switch of a case from the metadata's "cases" entry.</summary>
    public bool? Switch(string caseName, string name)
    {
        try
        {
            if (file.Metadata.TryGetValue("cases", out var text))
            {
                using var document = JsonDocument.Parse(text);
                return document.RootElement.TryGetProperty(caseName, out var entry)
                    && entry.TryGetProperty("kwargs", out var options)
                    && options.TryGetProperty(name, out var value)
                        ? value.GetBoolean()
                        : null;
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ModelException($"{path}: metadata \"cases\" is not as expected: {e.Message}", e);
        }

        return null;
    }

    private List<string> Found(string input)
        => [.. file.Tensors.Keys.Where(k => k.EndsWith("." + input, StringComparison.Ordinal) && (k.Length - input.Length - 1) is > 0)
            .Select(k => k[..^(input.Length + 1)]).Where(k => !k.Contains('.', StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
}

/// <summary>One case being compared.</summary>
internal sealed class CaseComparison(DeviceContext context, ReferenceFile reference, string caseName, double tolerance)
{
    private readonly List<ComparisonRow> _rows = [];

    public bool Has(string name) => reference.Has(Full(name));

    public bool Switch(string name, bool fallback) => reference.Switch(caseName, name) ?? fallback;

    /// <summary>A stored input, channels last where it is a picture or video.</summary>
    public Tensor Input(string name)
    {
        var full = Full(name);
        if (!reference.Has(full))
        {
            throw new ModelException($"{reference.Path}: \"{full}\" is missing");
        }

        var shape = reference.Entry(full).Shape;
        return Tensor.FromArray<float>(context, ChannelOrder.ToLast(reference.Read(full), shape), ChannelOrder.LastShape(shape));
    }

    /// <summary>Compares ours, channels last, with the stored tensor of that name, if there is one; it may hold the first rows only.</summary>
    public void Compare(string name, Tensor ours, bool isOutput = false)
    {
        var full = Full(name);
        if (!reference.Has(full))
        {
            if (isOutput)
            {
                throw new ModelException($"{reference.Path}: \"{full}\" is missing");
            }

            return;
        }

        var shape = reference.Entry(full).Shape;
        var limit = isOutput ? tolerance : 2 * tolerance;
        _rows.Add(new ComparisonRow(full, Error(ours, shape, reference.Read(full)), limit, isOutput));
    }

    public ComparisonResult Result()
    {
        var first = _rows.FindIndex(r => !r.Passed);
        return new ComparisonResult(caseName, [.. _rows.Select((r, i) => i == first ? r with { IsFirstDivergence = true } : r)]);
    }

    /// <summary>Adds a row that was compared elsewhere.</summary>
    public void Add(ComparisonRow row) => _rows.Add(row);

    /// <summary>The limit of outputs.</summary>
    public double Tolerance => tolerance;

    /// <summary>The largest difference of ours, channels last, from what is stored, relative to the largest stored value.</summary>
    public static double Error(Tensor ours, Shape shape, float[] stored)
    {
        var expected = ChannelOrder.LastShape(shape);
        if (ours.Shape.Rank != expected.Rank || !ours.Shape.Lengths[1..].SequenceEqual(expected.Lengths[1..]) || ours.Shape[0] < expected[0])
        {
            return double.PositiveInfinity;
        }

        using var leading = ours.Narrow(0, expected[0]);
        var values = leading.DType == DType.Float64 ? leading.ToArray<double>() : Array.ConvertAll(leading.ToArray<float>(), x => (double)x);
        var wanted = ChannelOrder.ToLast(stored, shape);
        var (difference, largest) = Difference(values, wanted);
        return difference == 0 ? 0 : difference / largest;
    }

    /// <summary>The largest difference, infinite where one is not a number, and the largest wanted value.</summary>
    public static (double Difference, double Largest) Difference(ReadOnlySpan<double> values, ReadOnlySpan<float> wanted)
    {
        var (largest, difference) = (0.0, 0.0);
        for (var i = 0; i < wanted.Length; i++)
        {
            var d = Math.Abs(values[i] - wanted[i]);
            difference = double.IsNaN(d) ? double.PositiveInfinity : Math.Max(difference, d);
            largest = Math.Max(largest, Math.Abs(wanted[i]));
        }

        return (difference, largest);
    }

    private string Full(string name) => caseName.Length == 0 ? name : $"{caseName}.{name}";
}
