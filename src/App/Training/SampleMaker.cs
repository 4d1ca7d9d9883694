// What a denoiser has learned so far, to be looked at: a video of a picture that it was not trained on, now and then.
using System.Globalization;
using FashionFlow.App.Media;
using FashionFlow.App.Training.Events;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Diffusion.Training;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.App.Training;

/// <summary>Samples the same clip's first frame each time, with the same noise, so that progress is what differs.</summary>
internal sealed class SampleMaker : IDisposable
{
    private readonly DeviceContext _context;
    private readonly ModelConfiguration _configuration;
    private readonly TrainingSettings _settings;
    private readonly TrainingOptions _options;
    private readonly DenoisingTask _task;
    private readonly LatentDataset _dataset;
    private readonly RunFolder _run;
    private readonly AutoencoderKl _vae;

    /// <summary>Loads the autoencoder.</summary>
    public SampleMaker(
        DeviceContext context, ModelConfiguration configuration, TrainingSettings settings, TrainingOptions options, DenoisingTask task, LatentDataset dataset, RunFolder run)
    {
        // Found out now, not after a thousand steps.
        Ffmpeg.Require("it writes the sampled videos");
        (_context, _configuration, _settings, _options, _task, _dataset, _run) = (context, configuration, settings, options, task, dataset, run);
        _vae = new AutoencoderKl(configuration.Vae);
        try
        {
            ModelParts.Load(_vae, ModelFiles.Vae, context, configuration, settings.Model);
        }
        catch
        {
            _vae.Dispose();
            throw;
        }
    }

    /// <summary>Puts the picture that is sampled from among the events.</summary>
    public void ShowInput(EventWriter events, long step)
    {
        using var png = new MemoryStream();
        PictureWriter.EncodePng(_dataset.Picture(0), png);
        events.AddPicture("sample/input", png.ToArray(), step);
    }

    /// <summary>Samples, and writes <c>samples/step-00001000.mp4</c> and a GIF among the events.</summary>
    /// <exception cref="UserError">ffmpeg fails, or a file cannot be written.</exception>
    public void Make(EventWriter events, long step, CancellationToken cancellation)
    {
        using var scope = TensorScope.Begin();
        var batch = _dataset.Batch(new LatentWindow(0, 0));
        var conditioning = _task.Adapter.Forward(batch.Tokens, batch.AdapterLatents);
        var s = batch.Latents.Shape;
        var first = batch.Latents.Reshape(s[1], s[2], s[3], s[4]).Narrow(0, 1);
        var options = new GenerationOptions
        {
            Sampler = SamplerKind.Ddim,
            Steps = _settings.SampleSteps,
            Frames = _dataset.Frames,
            Seed = _options.Seed,
            Compatibility = _options.Compatibility,
        };
        var video = new VideoSampler(_context, _configuration, _task.Unet).Sample(first, conditioning, options, progress: null, cancellation);
        var frames = new List<Rgb8Image>();
        VideoDecoder.Decode(_vae, video, progress: null, (_, frame) => frames.Add(Copy(frame)), cancellationToken: cancellation);
        PendingOutput.MakeFolder(_run.Samples);
        var path = Path.Combine(_run.Samples, string.Create(CultureInfo.InvariantCulture, $"step-{step:00000000}"));
        Encode(frames, VideoFormat.Mp4, path + VideoFormat.Mp4.Extension, cancellation);
        var gif = path + VideoFormat.Gif.Extension;
        Encode(frames, VideoFormat.Gif, gif, cancellation);
        events.AddPicture("sample/video", File.ReadAllBytes(gif), step);
    }

    /// <inheritdoc/>
    public void Dispose() => _vae.Dispose();

    private void Encode(List<Rgb8Image> frames, VideoFormat format, string target, CancellationToken cancellation)
    {
        using var writer = new FfmpegWriter(format, target, overwrite: true, _configuration.FrameRate, cancellation);
        foreach (var frame in frames)
        {
            writer.Write(frame);
        }

        writer.Finish();
        writer.Commit();
    }

    private static Rgb8Image Copy(Rgb8Image frame)
    {
        var copy = new Rgb8Image(frame.Width, frame.Height);
        frame.Data.CopyTo(copy.Data, 0);
        return copy;
    }
}
