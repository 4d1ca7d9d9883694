// Steps: forward, back, update; and the state that lets another process go on with the next one.
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using FashionFlow.Autograd;
using FashionFlow.Autograd.Optimization;
using FashionFlow.Gpu;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion.Training;

/// <summary>What is known of a step once it is done.</summary>
/// <param name="Step">Its number, from 1.</param>
/// <param name="Loss">The loss before its update.</param>
/// <param name="GradientNorm">The gradients' global norm, before clipping.</param>
/// <param name="LearningRate">Its learning rate.</param>
/// <param name="Time">How long it took.</param>
public sealed record TrainingStep(long Step, double Loss, double GradientNorm, double LearningRate, TimeSpan Time);

/// <summary>
/// Trains a task by AdamW. A step is a pure function of the state before it and of its number; <see cref="Save"/> and
/// <see cref="Load"/> keep that state bit for bit.
/// </summary>
public sealed class TrainingLoop : IDisposable
{
    private const string OptimizerFile = "optimizer.safetensors";
    private const string AverageFile = "average.safetensors";
    private const string StateFile = "state.json";

    private readonly DeviceContext _context;
    private readonly TrainingTask _task;
    private readonly TrainingOptions _options;
    private readonly GradientBucket _bucket;
    private readonly AdamW _optimizer;
    private readonly ExponentialMovingAverage? _average;

    /// <summary>A loop at step 0. It does not own the task.</summary>
    public TrainingLoop(DeviceContext context, TrainingTask task, TrainingOptions options)
    {
        (_context, _task, _options) = (context, task, options);
        _bucket = new GradientBucket(
            task.Modules.SelectMany(m => m.Module.Parameters.Select(p => ($"{m.Name}.{p.Name}", p.Parameter.Value))));
        _optimizer = new AdamW(_bucket, new AdamWOptions
        {
            WeightDecay = options.WeightDecay,
            MaxNorm = options.MaxNorm ?? double.PositiveInfinity,
        });
        _average = options.AverageDecay is { } decay ? new ExponentialMovingAverage(_optimizer, decay) : null;
    }

    /// <summary>Steps made.</summary>
    public long Step { get; private set; }

    /// <summary>Whether all steps are made.</summary>
    public bool IsDone => Step >= _options.Steps;

    /// <summary>Makes the next step.</summary>
    /// <exception cref="TrainingException">
    /// The loss or a gradient is no number; the message names the step, and the layer and kernel where it arose. Nothing was updated.
    /// </exception>
    public TrainingStep Advance()
    {
        var started = Stopwatch.GetTimestamp();
        var rate = _options.Rate.At(Step);
        _optimizer.LearningRate = rate;
        _bucket.Clear();
        double loss;
        using (TensorScope.Begin())
        {
            Tensor value;
            using (var tape = Tape.Begin())
            {
                value = _task.Loss(Step);
                tape.Backward(value);
            }

            // Before the update: a sum of squares can pass what a float holds while every gradient is finite.
            loss = value.DType == DType.Float64 ? value.ToArray<double>()[0] : value.ToArray<float>()[0];
        }

        if (!double.IsFinite(loss))
        {
            throw new TrainingException(DescribeNonFinite(loss));
        }

        _optimizer.Step();
        _average?.Update();
        var status = _optimizer.ReadStatus();
        if (!status.LastStepCounted)
        {
            throw new TrainingException(DescribeNonFinite(loss));
        }

        Step++;
        return new TrainingStep(Step, loss, status.GradientNorm, rate, Stopwatch.GetElapsedTime(started));
    }

    /// <summary>Puts the moving average in the weights' place until the result is disposed; does nothing where none is kept.</summary>
    public IDisposable? UseAverage() => _average?.Apply();

    /// <summary>Writes weights, optimizer, average and position into a folder, each file flushed.</summary>
    public void Save(string folder)
    {
        foreach (var module in _task.Modules)
        {
            module.Module.Save(Path.Combine(folder, module.FileName));
        }

        SafetensorsWriter.Write(Path.Combine(folder, OptimizerFile), _optimizer.State());
        if (_average is not null)
        {
            SafetensorsWriter.Write(Path.Combine(folder, AverageFile), _average.State());
        }

        // Samples, timesteps and noise are functions of the seed and the number of the step: that is the random state.
        AtomicFile.Write(Path.Combine(folder, StateFile), stream =>
        {
            using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
            json.WriteStartObject();
            json.WriteNumber("step", Step);
            json.WriteNumber("samples", Step * _options.Batch);
            json.WriteNumber("seed", _options.Seed);
            json.WriteEndObject();
        });
    }

    /// <summary>Takes up what <see cref="Save"/> wrote.</summary>
    /// <exception cref="TrainingException">It is of another training.</exception>
    public void Load(string folder)
    {
        try
        {
            foreach (var module in _task.Modules)
            {
                using var weights = SafetensorsFile.Open(Path.Combine(folder, module.FileName));
                LoadValues(module, weights);
            }

            using (var optimizer = SafetensorsFile.Open(Path.Combine(folder, OptimizerFile)))
            {
                _optimizer.Load(optimizer);
            }

            if (_average is not null)
            {
                using var average = SafetensorsFile.Open(Path.Combine(folder, AverageFile));
                _average.Load(average);
            }

            using var state = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, StateFile)));
            Step = state.RootElement.GetProperty("step").GetInt64();
        }
        catch (Exception e) when (e is SafetensorsException or WeightLoadException or JsonException or KeyNotFoundException or InvalidOperationException or InvalidDataException
                                       or FormatException or IOException or UnauthorizedAccessException)
        {
            throw new TrainingException($"{folder} does not fit this training: {e.Message}", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _average?.Dispose();
        _optimizer.Dispose();
        _bucket.Dispose();
    }

    /// <summary>Into the tensors that the optimizer knows: loading the module anew would give it others.</summary>
    private static void LoadValues(TrainedModule module, SafetensorsFile weights)
    {
        foreach (var (name, parameter) in module.Module.Parameters)
        {
            if (!weights.Tensors.TryGetValue(name, out var entry) || entry.Shape != parameter.TorchShape)
            {
                throw new TrainingException($"{module.FileName} has no {name} {parameter.TorchShape}");
            }

            parameter.Overwrite(weights.ReadFloat32(name));
        }
    }

    /// <summary>Runs the step again, with a look at every layer and then at every operator, to name the first that gave no number.</summary>
    private string DescribeNonFinite(double loss)
    {
        var head = string.Create(CultureInfo.InvariantCulture, $"step {Step + 1}: {(double.IsFinite(loss) ? "a gradient is infinite or no number" : $"the loss is {loss}")}");
        try
        {
            var layer = FindNonFiniteLayer();
            var where = layer is null ? "after the last layer" : $"in {layer}";
            return FindNonFiniteOperator() is { } operation ? $"{head}: {where}, {operation}" : $"{head}: {where}; run once more, its operators gave numbers throughout";
        }
        finally
        {
            _bucket.Clear();
        }
    }

    /// <summary>The first layer whose output is no number; with none, the first on the way back whose parameters' gradients are none.</summary>
    private string? FindNonFiniteLayer()
    {
        string? first = null;
        var order = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var module in _task.Modules)
        {
            module.Module.Observer = (path, activation) =>
            {
                var full = path.Length == 0 ? module.Name : $"{module.Name}.{path}";
                order.TryAdd(full, order.Count);
                first ??= NonFiniteGuard.IsFinite(activation) ? null : full;
            };
        }

        try
        {
            _bucket.Clear();
            using var scope = TensorScope.Begin();
            using var tape = Tape.Begin();
            tape.Backward(_task.Loss(Step));
        }
        finally
        {
            foreach (var module in _task.Modules)
            {
                module.Module.Observer = null;
            }
        }

        // A parameter's layer is its name without the last word. The way back meets last what ran first.
        return first ?? _bucket.Names.Where(name => !NonFiniteGuard.IsFinite(_bucket[name]))
            .Select(name => name[..name.LastIndexOf('.')])
            .MaxBy(layer => order.GetValueOrDefault(layer, -1));
    }

    private string? FindNonFiniteOperator()
    {
        try
        {
            using var guard = NonFiniteGuard.Begin();
            using var scope = TensorScope.Begin();
            using var tape = Tape.Begin();
            tape.Backward(_task.Loss(Step));
            return null;
        }
        catch (NonFiniteException e)
        {
            return e.Message;
        }
    }
}
