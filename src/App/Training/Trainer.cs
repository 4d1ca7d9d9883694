// A training run from its folder to its finished model: data, steps, checkpoints, curves, samples, and going on after a stop.
using System.Globalization;
using FashionFlow.App.Commands;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.App.Training.Events;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Diffusion.Training;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Training;

/// <summary>Runs a training. Killed at any moment, it goes on from its last checkpoint to the same bits.</summary>
internal sealed class Trainer : IDisposable
{
    /// <summary>Pictures whose latents decide an autoencoder's scaling factor.</summary>
    private const int ScaledPictures = 64;

    private readonly Screen _screen;
    private readonly RunFolder _run;
    private readonly TrainingSettings _settings;
    private readonly TrainingOptions _options;
    private readonly CancellationToken _cancellation;
    private readonly bool _json;
    private readonly ModelConfiguration _configuration;
    private readonly DeviceContext _context;
    private readonly CheckpointStore _checkpoints;
    private readonly TrainingTask _task;
    private readonly TrainingLoop _loop;
    private FrameSet? _frames;
    private SampleMaker? _samples;

    /// <summary>Loads everything.</summary>
    /// <param name="run">The run's folder.</param>
    /// <param name="settings">What is in force, complete.</param>
    /// <param name="device">The device, as <c>--device</c> names it.</param>
    /// <param name="threads">Host threads of a virtual device; 0 takes one a core.</param>
    /// <param name="json">Whether steps are told as lines of JSON.</param>
    /// <param name="screen">Where progress is shown.</param>
    /// <param name="cancellation">Asks to finish the step, save and stop.</param>
    public Trainer(RunFolder run, TrainingSettings settings, string device, int threads, bool json, Screen screen, CancellationToken cancellation)
    {
        (_run, _settings, _json, _screen, _cancellation) = (run, settings, json, screen, cancellation);
        _options = settings.ToOptions();
        _configuration = ModelConfiguration.ForDirectory(settings.Model!);
        _checkpoints = new CheckpointStore(run.Checkpoints, settings.Keep!.Value);
        _context = DeviceContext.Open(device, threads);
        try
        {
            _task = CreateTask();
            _loop = new TrainingLoop(_context, _task, _options);
        }
        catch
        {
            _samples?.Dispose();
            _task?.Dispose();
            _context.Dispose();
            throw;
        }
    }

    /// <summary>Trains to the end, or until asked to stop.</summary>
    /// <exception cref="OperationCanceledException">Asked to stop; the step was finished and saved.</exception>
    public void Run()
    {
        var resumedAt = Resume();

        // A run that was killed before its first checkpoint has curves too.
        var goesOn = resumedAt is not null || Directory.Exists(_run.Events);
        using var events = EventWriter.Create(_run.Events, goesOn ? (resumedAt + 1) ?? 0 : null);
        Announce(resumedAt);
        ProgressDisplay.Run(_screen, display =>
        {
            Train(display, events);
            return true;
        });
        Finish();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _loop.Dispose();
        _samples?.Dispose();
        _task.Dispose();
        _context.Dispose();
    }

    private TrainingTask CreateTask()
    {
        switch (_options.Part)
        {
            case TrainedPart.Vae:
            {
                var vae = new AutoencoderKl(_configuration.Vae);
                return Loaded(vae, ModelFiles.Vae, () => new AutoencoderTask(_context, vae, LoadFrames(), _options));
            }

            case TrainedPart.Encoder:
            {
                var clip = new ClipVisionModel(_configuration.Clip);
                return Loaded(clip, ModelFiles.Clip, () => new EncoderTask(_context, clip, LoadFrames(), _options));
            }

            default:
            {
                var dataset = OpenDataset(LatentIndex.Train);
                var (unet, adapter) = (new SpaceTimeUnet(_configuration.Unet), _configuration.CreateAdapter());
                var task = Loaded(
                    unet, ModelFiles.Unet, () => Loaded(adapter, ModelFiles.Adapter, () => new DenoisingTask(_context, _configuration, unet, adapter, dataset, _options)));
                if (_settings.SampleEvery > 0)
                {
                    _samples = new SampleMaker(_context, _configuration, _settings, _options, task, OpenSampled() ?? dataset, _run);
                }

                return task;
            }
        }

        T Loaded<T>(Module module, string name, Func<T> use)
        {
            try
            {
                ModelParts.Load(module, name, _context, _configuration, _settings.Model);
                return use();
            }
            catch
            {
                module.Dispose();
                throw;
            }
        }
    }

    private FrameSet LoadFrames() => _frames = ClipLoader.Load(
        _settings.Data!, LatentIndex.Train, _configuration, _options.Compatibility.Fit, _screen, _cancellation);

    private LatentDataset OpenDataset(string split) => LatentDataset.Open(_context, _settings.Data!, _configuration, new LatentDatasetOptions
    {
        Split = split,
        Frames = _options.Frames,
        Seed = _options.Seed,
        Randomness = _options.Compatibility.Windows,
    });

    /// <summary>Clips that are not trained on, to sample from; null where the data set has none.</summary>
    private LatentDataset? OpenSampled()
    {
        var index = LatentIndex.TryRead(_settings.Data!);
        return index is not null && index.Clips.Any(c => c.Split == LatentIndex.Test) ? OpenDataset(LatentIndex.Test) : null;
    }

    /// <summary>Takes up the newest whole checkpoint.</summary>
    /// <returns>Its step; null for a run that starts.</returns>
    private long? Resume()
    {
        if (_checkpoints.FindLatest(_screen.Note) is not { } checkpoint)
        {
            return null;
        }

        try
        {
            _loop.Load(checkpoint.Folder);
        }
        catch (TrainingException e)
        {
            throw new UserError(ExitCode.Input, e.Message, "its files are whole: was training.json changed?", e);
        }

        return checkpoint.Step;
    }

    private void Announce(long? resumedAt)
    {
        var parameters = _task.Modules.Sum(m => m.Module.ParameterCount);
        _screen.Note(string.Create(
            CultureInfo.InvariantCulture,
            $"{VideoMaker.DeviceName(_context.Device.Properties)}; {_settings.Part} with {parameters:N0} parameters, batch {_options.Batch}, rate {_options.Rate.Name}, compat {_options.Compatibility.Name}"));
        _screen.Note(resumedAt is { } step
            ? string.Create(CultureInfo.InvariantCulture, $"goes on after step {step} of {_options.Steps}")
            : string.Create(CultureInfo.InvariantCulture, $"starts; {_options.Steps} steps, a checkpoint every {_settings.CheckpointEvery}"));
    }

    private void Train(ProgressDisplay display, EventWriter events)
    {
        var (first, total) = (_loop.Step, checked((int)(_options.Steps - _loop.Step)));
        if (total <= 0)
        {
            return;
        }

        display.Report("train", "step", 0, total, _context.PeakBytes);
        if (first == 0)
        {
            _samples?.ShowInput(events, first);
        }

        while (!_loop.IsDone)
        {
            var step = _loop.Advance();
            Log(step, events);
            var saved = step.Step % _settings.CheckpointEvery == 0 || _loop.IsDone;
            if (saved || _cancellation.IsCancellationRequested)
            {
                events.Flush();
                Save();
            }

            display.Report(
                "train",
                "step",
                (int)(step.Step - first),
                total,
                _context.PeakBytes,
                string.Create(CultureInfo.InvariantCulture, $"loss {step.Loss:0.0000}, rate {step.LearningRate:0.0e+00}, {_options.Batch / step.Time.TotalSeconds:0.0} samples/s"));
            if (_cancellation.IsCancellationRequested)
            {
                _screen.Note(string.Create(CultureInfo.InvariantCulture, $"step {step.Step} is finished and saved; go on with --resume"));
                _cancellation.ThrowIfCancellationRequested();
            }

            if (_samples is not null && (step.Step % _settings.SampleEvery == 0 || _loop.IsDone))
            {
                MakeSample(events);
            }
        }
    }

    private void MakeSample(EventWriter events)
    {
        try
        {
            using var average = _loop.UseAverage();
            _samples!.Make(events, _loop.Step, _cancellation);
        }
        catch (Exception e) when (e is OperationCanceledException or UserError)
        {
            // What was learned is not lost over a video.
            Save();
            throw;
        }
    }

    private void Log(TrainingStep step, EventWriter events)
    {
        if (step.Step % _settings.LogEvery != 0 && step.Step != 1 && !_loop.IsDone)
        {
            return;
        }

        events.AddScalar(TrainingCurves.Loss, step.Loss, step.Step);
        events.AddScalar(TrainingCurves.LearningRate, step.LearningRate, step.Step);
        events.AddScalar("training/gradient_norm", step.GradientNorm, step.Step);
        events.AddScalar("training/epoch", _task.EpochsAfter(step.Step), step.Step);
        events.AddScalar("training/seconds_a_step", step.Time.TotalSeconds, step.Step);
        if (_json)
        {
            _screen.WriteJson(line =>
            {
                line.WriteNumber("step", step.Step);
                line.WriteNumber("loss", step.Loss);
                line.WriteNumber("gradient_norm", step.GradientNorm);
                line.WriteNumber("learning_rate", step.LearningRate);
                line.WriteNumber("seconds", Math.Round(step.Time.TotalSeconds, 4));
                line.WriteNumber("peak_device_bytes", _context.PeakBytes);
            });
        }
    }

    private void Save()
    {
        try
        {
            _checkpoints.Save(_loop.Step, _loop.Save);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SafetensorsException)
        {
            throw new UserError(ExitCode.Output, $"no checkpoint can be written in {_run.Checkpoints}: {e.Message}", "free some space; the last checkpoint is as it was", e);
        }
    }

    private void Finish()
    {
        using (_loop.UseAverage())
        {
            FinishedModel.Write(
                _run.Model,
                _settings.Model!,
                _task.Modules,
                _settings.Dtype == "f16",
                ScalingFactor(),
                _options.Part == TrainedPart.Denoiser ? _options.Compatibility : null);
        }

        var drawn = TrainingCurves.Write(_run.Events, _run.Curves, _settings.Part!, _screen.Note);
        if (_json)
        {
            _screen.WriteJson(line =>
            {
                line.WriteString("status", "finished");
                line.WriteString("model", _run.Model);
                if (drawn)
                {
                    line.WriteString("curves", _run.Curves);
                }

                line.WriteNumber("step", _loop.Step);
            });
        }
        else if (!_screen.IsQuiet)
        {
            _screen.WriteLine($"{_run.Model}: finished after {_loop.Step} steps");
        }
    }

    /// <summary>
    /// What brings a new autoencoder's latents to a standard deviation of 1 (Rombach et al. 2022, arXiv 2112.10752, appendix G): the
    /// noise schedule counts on it. Null for other parts.
    /// </summary>
    private double? ScalingFactor()
    {
        if (_task is not AutoencoderTask { Vae: var vae })
        {
            return null;
        }

        var (sum, squares, count) = (0.0, 0.0, 0L);
        var all = Enumerable.Range(0, _frames!.Count).SelectMany(c => Enumerable.Range(0, _frames.Frames(c)).Select(f => (Clip: c, Frame: f))).ToList();
        for (var i = 0; i < Math.Min(ScaledPictures, all.Count); i++)
        {
            using var scope = TensorScope.Begin();
            var (clip, frame) = all[(int)((long)i * all.Count / Math.Min(ScaledPictures, all.Count))];
            var pixels = new float[_frames.Width * _frames.Height * 3];
            _frames.Crop(clip, frame, 0, 0, _frames.Width, pixels);
            var moments = vae.Encode(Tensor.FromArray<float>(_context, pixels, [1, _frames.Height, _frames.Width, 3]));
            foreach (var value in Ops.PosteriorMean(moments, 1).ToArray<float>())
            {
                sum += value;
                squares += (double)value * value;
                count++;
            }
        }

        var mean = sum / count;
        return Math.Round(1 / Math.Sqrt((squares / count) - (mean * mean)), 5);
    }
}
