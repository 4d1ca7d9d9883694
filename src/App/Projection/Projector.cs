// One frozen encoder on one device that turns videos into clips of latents, and keeps what is finished.
using System.Diagnostics;
using System.Globalization;
using FashionFlow.App.Commands;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Diffusion.Training;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Projection;

/// <summary>
/// Projects videos one after the other. Device and weights are loaded for the first one that needs them, so that a run which
/// finds everything done takes no longer than reading the videos' hashes.
/// </summary>
internal sealed class Projector : IDisposable
{
    private readonly string _modelDirectory;
    private readonly ModelConfiguration _configuration;
    private readonly CompatibilityOptions _compatibility;
    private readonly PictureFit? _fit;
    private readonly string _device;
    private readonly int _threads;
    private readonly string _wanted;
    private DeviceContext? _context;
    private LatentEncoder? _encoder;

    /// <summary>Reads the model's configuration, and hashes what its latents depend on.</summary>
    /// <param name="modelDirectory">The model.</param>
    /// <param name="compatibility">The mode.</param>
    /// <param name="fit">How frames are fitted; null for the mode's own way.</param>
    /// <param name="device">The device, as <c>--device</c> names it.</param>
    /// <param name="threads">Host threads of a virtual device; 0 takes one a core.</param>
    /// <exception cref="ModelException">The directory or its configuration is not usable.</exception>
    public Projector(string modelDirectory, CompatibilityOptions compatibility, PictureFit? fit, string device, int threads)
    {
        (_modelDirectory, _compatibility, _fit, _device, _threads) = (modelDirectory, compatibility, fit, device, threads);
        _configuration = ModelConfiguration.ForDirectory(modelDirectory);
        Recipe = ProjectionRecipe.Of(_configuration, modelDirectory, compatibility, fit);
        _wanted = Recipe.ToJson();
    }

    /// <summary>How clips are made.</summary>
    public ProjectionRecipe Recipe { get; }

    /// <summary>Frames of the model's videos, and so of a window.</summary>
    public int ModelFrames => _configuration.Frames;

    /// <summary>Whether a folder's index is of another recipe, so that what is in it would not go together with new clips.</summary>
    /// <exception cref="UserError">There is an index that cannot be understood.</exception>
    public bool Conflicts(string folder)
    {
        try
        {
            return LatentIndex.TryRead(folder) is { } index && index.Recipe.ToJson() != _wanted;
        }
        catch (DatasetException e)
        {
            throw new UserError(ExitCode.Output, e.Message, "name another folder, or make the index anew with --overwrite", e);
        }
    }

    /// <summary>Decodes a video to its end before any other work is done.</summary>
    /// <param name="path">The video.</param>
    /// <param name="leastFrames">The frames that it must have.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <exception cref="UserError">It is not a video, is damaged, or is too short.</exception>
    public static SourceClip Check(string path, int leastFrames, CancellationToken cancellation)
    {
        var hash = VideoFrameReader.HashVideo(path);
        var frames = 0;
        using (var reader = new FfmpegReader(path, cancellation))
        {
            while (reader.TryRead(out _))
            {
                frames++;
            }
        }

        return frames >= leastFrames
            ? new SourceClip(path, hash, frames, VideoFrameReader.FramesPerSecond(path))
            : throw new UserError(
                ExitCode.Input,
                string.Create(CultureInfo.InvariantCulture, $"{path} has {frames} frame{(frames == 1 ? string.Empty : "s")}, fewer than {leastFrames}"),
                "--min-frames sets how many a clip must have");
    }

    /// <summary>What is at a clip's place: the clip itself, or null where there is none.</summary>
    /// <param name="target">The place.</param>
    /// <param name="sourceSha256">The hash of the video that it must be of.</param>
    /// <exception cref="UserError">Something else is there.</exception>
    public LatentClipInfo? Finished(string target, string sourceSha256)
    {
        if (!Path.Exists(target))
        {
            return null;
        }

        var found = Describe(target);
        return found is not null && found.SourceSha256 == sourceSha256 && found.Recipe == _wanted
            ? found
            : throw new UserError(
                ExitCode.Output,
                $"{target} exists and is kept, though it {(found is null ? "is no clip that can be read" : found.Recipe == _wanted ? "was made of another video" : "was made with another model or other options")}",
                "name another folder, or make it anew with --overwrite");
    }

    /// <summary>Encodes a clip. Its file appears whole or not at all.</summary>
    /// <param name="source">The checked video.</param>
    /// <param name="target">The file, which is replaced if it is there; its folder is made if it is not there.</param>
    /// <param name="screen">Where progress is shown.</param>
    /// <param name="announce">Told the device's name before the long part.</param>
    /// <param name="cancellation">Stops it; then no file is left.</param>
    /// <exception cref="UserError">The file cannot be written, or the video has changed since it was checked.</exception>
    public ProjectedClip Project(SourceClip source, string target, Screen screen, Action<string> announce, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        _context ??= DeviceContext.Open(_device, _threads);
        _encoder ??= LatentEncoder.Load(_context, _configuration, _modelDirectory, _compatibility, _fit);
        PendingOutput.MakeFolder(Path.GetDirectoryName(Path.GetFullPath(target))!);
        using var output = PendingOutput.File(target, overwrite: true);
        _context.ResetPeak();
        try
        {
            using var clip = new LatentClipWriter(Path.GetDirectoryName(output.Path)!, Recipe);
            announce(VideoMaker.DeviceName(_context.Device.Properties));
            ProgressDisplay.Run(screen, display =>
            {
                Encode(source, clip, display, cancellation);
                return true;
            });
            LatentClipInfo? info = null;
            output.Fill(stream => info = clip.WriteTo(stream, target, Path.GetFileName(source.Path), source.Sha256, source.FramesPerSecond, Notes()));
            cancellation.ThrowIfCancellationRequested();
            output.Commit();
            return new ProjectedClip(info!, clock.Elapsed, _context.PeakBytes);
        }
        catch (Exception e) when (PendingOutput.IsFailure(e))
        {
            throw output.Failure(e);
        }
    }

    /// <summary>Encodes all frames of a video, in memory that does not depend on how many there are.</summary>
    /// <param name="path">The video.</param>
    /// <param name="encoder">The encoders.</param>
    /// <param name="clip">What gets the frames.</param>
    /// <param name="report">Told the frames that are done, from 0 on.</param>
    /// <param name="cancellation">Stops it.</param>
    /// <exception cref="UserError">The video is damaged.</exception>
    public static void Encode(string path, LatentEncoder encoder, LatentClipWriter clip, Action<int> report, CancellationToken cancellation)
    {
        using var reader = new FfmpegReader(path, cancellation);
        report(0);
        while (reader.TryRead(out var frame))
        {
            clip.Add(encoder.Encode(frame));
            report(clip.Count);

            // As in VideoFiles: left alone, young garbage piles up to the size of the processor's last cache.
            GC.Collect(0);
        }
    }

    /// <summary>Frees weights and device.</summary>
    public void Dispose()
    {
        _encoder?.Dispose();
        _context?.Dispose();
    }

    private void Encode(SourceClip source, LatentClipWriter clip, ProgressDisplay display, CancellationToken cancellation)
    {
        Encode(source.Path, _encoder!, clip, Report, cancellation);
        if (clip.Count != source.Frames)
        {
            throw new UserError(ExitCode.Input, string.Create(CultureInfo.InvariantCulture, $"{source.Path} had {source.Frames} frames and now has {clip.Count}: it was changed meanwhile"), "run it again");
        }

        void Report(int done) => display.Report("encode frames", "frame", Math.Min(done, source.Frames), source.Frames, _context!.PeakBytes);
    }

    // What made it, for people: no part of what clips are compared by.
    private Dictionary<string, string> Notes() => new(StringComparer.Ordinal)
    {
        ["program"] = VersionCommand.Program,
        ["device"] = $"{_context!.Device.Kind} {_context.Device.Properties.ComputeCapability}",
    };

    private static LatentClipInfo? Describe(string path)
    {
        try
        {
            return LatentClip.TryDescribe(path);
        }
        catch (Exception e) when (e is SafetensorsException or DatasetException)
        {
            return null;
        }
    }
}

/// <summary>A video that was decoded to its end.</summary>
/// <param name="Path">Its path.</param>
/// <param name="Sha256">Its hash.</param>
/// <param name="Frames">The frames that came out.</param>
/// <param name="FramesPerSecond">Its rate; null where it does not tell.</param>
internal sealed record SourceClip(string Path, string Sha256, int Frames, double? FramesPerSecond);

/// <summary>A clip that was made.</summary>
/// <param name="Clip">What its file says.</param>
/// <param name="Time">How long it took.</param>
/// <param name="PeakDeviceBytes">The most device memory that tensors took.</param>
internal sealed record ProjectedClip(LatentClipInfo Clip, TimeSpan Time, long PeakDeviceBytes);
