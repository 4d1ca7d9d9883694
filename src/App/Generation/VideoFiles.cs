// The files of one video while they are made: the video, its sidecar, its contact sheet. They appear together or not at all.
using FashionFlow.App.Media;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Generation;

/// <summary>Hands each frame to all outputs, and keeps nothing of it but its hash.</summary>
internal sealed class VideoFiles : IDisposable
{
    private readonly VideoOutput _output;
    private readonly IVideoWriter _video;
    private readonly ContactSheet? _sheet;
    private readonly PendingOutput? _sidecar;
    private readonly List<string> _hashes = [];
    private (int Width, int Height) _size;

    /// <summary>Makes the temporary files.</summary>
    /// <param name="output">What is written.</param>
    /// <param name="framesPerSecond">The video's rate.</param>
    /// <param name="frames">How many frames will come.</param>
    /// <param name="cancellation">What stops the program.</param>
    /// <exception cref="UserError">One of them cannot be written, or exists and is to be kept.</exception>
    public VideoFiles(VideoOutput output, double framesPerSecond, int frames, CancellationToken cancellation)
    {
        _output = output;
        output.Check();
        try
        {
            _video = output.Format.IsFolder
                ? new FrameFolderWriter(output.Target, output.Overwrite, cancellation)
                : new FfmpegWriter(output.Format, output.Target, output.Overwrite, framesPerSecond, cancellation);
            _sidecar = output.Format.IsFolder ? null : PendingOutput.File(output.Sidecar, output.Overwrite);
            _sheet = output.WithContactSheet ? new ContactSheet(output.ContactSheet, output.Overwrite, frames) : null;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The recipe's text for the file's metadata. To be set before the first frame.</summary>
    public string? Comment
    {
        set => _video.Comment = value;
    }

    /// <summary>Adds a frame.</summary>
    /// <exception cref="UserError">An output cannot be written.</exception>
    public void Write(Rgb8Image frame)
    {
        _size = (frame.Width, frame.Height);
        _hashes.Add(FileHash.Compute(frame.Data));
        _video.Write(frame);
        _sheet?.Write(frame);

        // Left alone, the collector lets small garbage pile up to the size of the processor's last cache, tens of megabytes,
        // before it looks. To collect what is young costs little beside a frame.
        GC.Collect(0);
    }

    /// <summary>Ends all outputs, then gives them their names; the video comes last, so that it never stands without its sidecar.</summary>
    /// <exception cref="UserError">An output cannot be written.</exception>
    public Sidecar Complete(Recipe recipe, SidecarPaths paths, CancellationToken cancellation)
    {
        _video.Finish();
        _sheet?.Finish();
        var made = _video.Output.Path;
        var sidecar = new Sidecar
        {
            Recipe = recipe,
            Paths = paths,
            File = _output.Format.IsFolder ? null : new SidecarFile(Path.GetFileName(_output.Target), new FileInfo(made).Length, FileHash.Compute(made)),
            Frames = new SidecarFrames(_size.Width, _size.Height, _hashes),
        };
        if (_sidecar is not null)
        {
            _sidecar.Fill(sidecar.WriteTo);
        }
        else
        {
            _video.Output.FillMember(Sidecar.NameInFolder, sidecar.WriteTo);
        }

        cancellation.ThrowIfCancellationRequested();

        // Before the first gets its name: none of the others may have come into being meanwhile.
        _output.Check();
        _sheet?.Commit();
        _sidecar?.Commit();
        _video.Commit();
        return sidecar;
    }

    /// <summary>Deletes what was not completed.</summary>
    public void Dispose()
    {
        _video?.Dispose();
        _sidecar?.Dispose();
        _sheet?.Dispose();
    }
}
