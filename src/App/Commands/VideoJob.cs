// One video, from checks through the pipeline to the file: what generate and demo share.
using System.Diagnostics;
using System.Text.Json;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.App.Commands;

/// <summary>What a video is made with.</summary>
/// <param name="ModelDirectory">The model.</param>
/// <param name="Device">The device, as <c>--device</c> names it.</param>
/// <param name="Options">What the user chose; what is null is the model's.</param>
/// <param name="FramesPerSecond">Null for the model's.</param>
/// <param name="Output">The mp4's path.</param>
internal sealed record VideoJob(string ModelDirectory, string Device, GenerationOptions Options, double? FramesPerSecond, string Output)
{
    /// <summary>Makes the video. What can be checked cheaply is checked first: ffmpeg, paths, options, then device and weights.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="screen">Where progress is shown.</param>
    /// <param name="announce">Told about model and device before the long part.</param>
    /// <param name="cancellation">Stops it; then no file is left.</param>
    public VideoReport Run(Rgb8Image picture, Screen screen, Action<VideoPlan> announce, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        Ffmpeg.Require();
        PendingFile.Check(Output);
        var configuration = ModelConfiguration.ForDirectory(ModelDirectory);
        var options = Resolve(configuration);
        var framesPerSecond = FramesPerSecond ?? configuration.FrameRate;
        using var context = DeviceContext.Open(Device);
        using var pipeline = FashionFlowPipeline.Load(context, ModelDirectory);
        cancellation.ThrowIfCancellationRequested();
        using var writer = new Mp4Writer(Output, framesPerSecond, Recipe(pipeline.Describe(options), framesPerSecond), cancellation);
        announce(new VideoPlan(configuration, options, DeviceName(context.Device.Properties)));

        var size = (Width: 0, Height: 0);
        ProgressDisplay.Run(screen, display =>
        {
            pipeline.Generate(
                picture,
                options,
                new Forward(display),
                (_, frame) =>
                {
                    size = (frame.Width, frame.Height);
                    writer.Write(frame);
                },
                cancellation);
            return true;
        });
        writer.Complete();
        return new VideoReport(size.Width, size.Height, options.Frames!.Value, framesPerSecond, clock.Elapsed, context.PeakBytes);
    }

    /// <summary>The device's name with its architecture.</summary>
    public static string DeviceName(DeviceProperties properties)
    {
        var architecture = properties.ComputeCapability.ToString();
        return properties.Name.Contains(architecture, StringComparison.Ordinal) ? properties.Name : $"{properties.Name} ({architecture})";
    }

    private GenerationOptions Resolve(ModelConfiguration configuration)
    {
        try
        {
            return configuration.Resolve(Options);
        }
        catch (ModelException e)
        {
            throw new UserError(ExitCode.Usage, e.Message, cause: e);
        }
    }

    // Enough to make the video again; it goes into the file's comment tag.
    private static string Recipe(IReadOnlyDictionary<string, string> description, double framesPerSecond)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteString("program", $"{CommandLine.ProgramName} {VersionCommand.Version}");
            foreach (var (key, value) in description)
            {
                json.WriteString(key, value);
            }

            json.WriteNumber("fps", framesPerSecond);
            json.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(stream.ToArray());
    }

    private sealed class Forward(ProgressDisplay display) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value)
        {
            var (stage, unit) = value.Stage switch
            {
                GenerationStage.Encoding => ("encode picture", "part"),
                GenerationStage.Sampling => ("sample video", "step"),
                _ => ("decode frames", "frame"),
            };
            display.Report(stage, unit, value.Done, value.Total);
        }
    }
}

/// <summary>What is about to happen.</summary>
internal sealed record VideoPlan(ModelConfiguration Configuration, GenerationOptions Options, string DeviceName)
{
    /// <summary>What a user must know of the model, or null.</summary>
    public string? Note => Configuration.Note
        ?? (Configuration.IsTrained ? null : "Untrained: the video shows that every stage runs, not a garment that moves.");
}

/// <summary>What happened.</summary>
internal sealed record VideoReport(int Width, int Height, int Frames, double FramesPerSecond, TimeSpan Time, long PeakDeviceBytes);
