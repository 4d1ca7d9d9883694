// Frames to a video file through an ffmpeg pipe, one at a time: memory does not grow with the video's length.
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Media;

/// <summary>Encodes with ffmpeg, which starts with the first frame.</summary>
internal sealed class FfmpegWriter : IVideoWriter
{
    private readonly VideoFormat _format;
    private readonly double _framesPerSecond;
    private readonly CancellationToken _cancellation;
    private readonly string _ffmpeg;
    private readonly PendingOutput _file;
    private Process? _encoder;
    private Task<string>? _errors;
    private (int Width, int Height) _size;
    private bool _finished;

    /// <summary>Makes the temporary file.</summary>
    /// <param name="format">The form.</param>
    /// <param name="target">The file to write.</param>
    /// <param name="overwrite">Whether what is there may be replaced.</param>
    /// <param name="framesPerSecond">Frames a second.</param>
    /// <param name="cancellation">What stops the program; then an error of ffmpeg is a part of being stopped.</param>
    /// <exception cref="UserError">ffmpeg is missing, or the target cannot be written.</exception>
    public FfmpegWriter(VideoFormat format, string target, bool overwrite, double framesPerSecond, CancellationToken cancellation)
    {
        _format = format;
        _framesPerSecond = framesPerSecond;
        _cancellation = cancellation;
        _ffmpeg = Ffmpeg.Require();
        _file = PendingOutput.File(target, overwrite);
    }

    /// <inheritdoc/>
    public PendingOutput Output => _file;

    /// <inheritdoc/>
    public string? Comment { get; set; }

    /// <inheritdoc/>
    public void Write(Rgb8Image frame)
    {
        _cancellation.ThrowIfCancellationRequested();
        if (_encoder is null)
        {
            Start(frame);
        }
        else if (_size != (frame.Width, frame.Height))
        {
            throw new ArgumentException($"A frame is {frame.Width}x{frame.Height}, those before it {_size.Width}x{_size.Height}.", nameof(frame));
        }

        try
        {
            _encoder!.StandardInput.BaseStream.Write(frame.Data);
        }
        catch (IOException e)
        {
            // The pipe broke: ffmpeg has ended, and says why.
            throw Failure(e);
        }
    }

    /// <inheritdoc/>
    public void Finish()
    {
        if (_encoder is null)
        {
            throw new InvalidOperationException("A video needs a frame.");
        }

        try
        {
            _encoder.StandardInput.Close();
        }
        catch (IOException e)
        {
            throw Failure(e);
        }

        _encoder.WaitForExit();
        if (_encoder.ExitCode != 0)
        {
            throw Failure(cause: null);
        }

        _cancellation.ThrowIfCancellationRequested();
        _finished = true;
        if (_format == VideoFormat.Gif && Comment is not null)
        {
            AddGifComment();
        }
    }

    /// <inheritdoc/>
    public void Commit() => _file.Commit();

    /// <summary>Stops ffmpeg and deletes the temporary file unless it was committed.</summary>
    public void Dispose()
    {
        if (_encoder is not null)
        {
            if (!_finished && !_encoder.HasExited)
            {
                _encoder.Kill();
                _encoder.WaitForExit();
            }

            _encoder.Dispose();
        }

        _file.Dispose();
    }

    private void Start(Rgb8Image frame)
    {
        _size = (frame.Width, frame.Height);
        if (_format.NeedsEvenSize && (frame.Width % 2 != 0 || frame.Height % 2 != 0))
        {
            // yuv420p has one colour sample for 2 x 2 pixels. The models' pictures are multiples of 8.
            throw new UserError(ExitCode.Output, $"{_format.Name} needs an even width and height, not {frame.Width} x {frame.Height}", "--format png takes any size");
        }

        List<string> arguments =
        [
            "-hide_banner", "-loglevel", "error", "-nostdin", "-y",
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", $"{frame.Width}x{frame.Height}",
            "-framerate", _framesPerSecond.ToString("R", CultureInfo.InvariantCulture), "-i", "pipe:0",
            "-fflags", "+bitexact",
            .. _format.Arguments,
        ];
        if (Comment is not null)
        {
            arguments.AddRange(["-metadata", $"comment={Comment}"]);
        }

        // "file:" keeps a name with a colon from being taken for a protocol.
        arguments.Add($"file:{_file.Path}");
        try
        {
            _encoder = Process.Start(new ProcessStartInfo(_ffmpeg, arguments)
            {
                UseShellExecute = false,
                RedirectStandardInput = true,
                RedirectStandardError = true,
            })!;
        }
        catch (Win32Exception e)
        {
            throw new UserError(ExitCode.Output, $"{_ffmpeg} cannot be run: {e.Message}", Ffmpeg.InstallAdvice, e);
        }

        _errors = _encoder.StandardError.ReadToEndAsync(CancellationToken.None);
    }

    // ffmpeg writes no comment into a GIF, but reads one. GIF89a, section 24: an extension of sub-blocks of up to 255 bytes,
    // here before the trailer that ends the file.
    private void AddGifComment()
    {
        try
        {
            using var file = new FileStream(_file.Path, FileMode.Open, FileAccess.ReadWrite);
            file.Seek(-1, SeekOrigin.End);
            file.Write([0x21, 0xFE]);
            foreach (var block in Encoding.UTF8.GetBytes(Comment!).Chunk(byte.MaxValue))
            {
                file.WriteByte((byte)block.Length);
                file.Write(block);
            }

            file.Write([0, 0x3B]);
        }
        catch (Exception e) when (PendingOutput.IsFailure(e))
        {
            throw _file.Failure(e);
        }
    }

    private Exception Failure(Exception? cause)
    {
        _encoder!.WaitForExit();
        // Ctrl-C reaches ffmpeg too, perhaps before us: wait a moment for our own notice of it.
        if (_cancellation.WaitHandle.WaitOne(TimeSpan.FromMilliseconds(300)))
        {
            return new OperationCanceledException(_cancellation);
        }

        var reason = Ffmpeg.Reason(_encoder.ExitCode, _errors!.GetAwaiter().GetResult());
        return new UserError(ExitCode.Output, $"ffmpeg could not write {_file.Target}: {reason.Replace(_file.Path, _file.Target, StringComparison.Ordinal)}", cause: cause);
    }
}
