// Frames to an mp4 through an ffmpeg pipe, one at a time: memory does not grow with the video's length.
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Media;

/// <summary>Takes a video's frames in order. Nothing of the file is left unless <see cref="Complete"/> was reached.</summary>
internal interface IVideoWriter : IDisposable
{
    /// <summary>Adds a frame; all have one size.</summary>
    /// <exception cref="UserError">The encoder failed.</exception>
    void Write(Rgb8Image frame);

    /// <summary>Ends the video and gives the file its name.</summary>
    /// <exception cref="UserError">The encoder failed, or the file cannot be written.</exception>
    void Complete();
}

/// <summary>
/// H.264 in an mp4, yuv420p, BT.709 and tagged so: plays in a browser with the right colours. Flags are bit-exact and the
/// number of encoder threads is fixed, so that the same frames give the same file.
/// </summary>
internal sealed class Mp4Writer : IVideoWriter
{
    private readonly string _target;
    private readonly double _framesPerSecond;
    private readonly string? _comment;
    private readonly CancellationToken _cancellation;
    private readonly string _ffmpeg;
    private readonly PendingFile _file;
    private Process? _encoder;
    private Task<string>? _errors;
    private (int Width, int Height) _size;
    private bool _completed;

    /// <summary>Makes the temporary file; ffmpeg starts with the first frame.</summary>
    /// <param name="target">The mp4's path.</param>
    /// <param name="framesPerSecond">Frames a second.</param>
    /// <param name="comment">Text for the file's comment tag (the recipe), or null.</param>
    /// <param name="cancellation">What stops the program; then an error of ffmpeg is a part of being stopped.</param>
    /// <exception cref="UserError">ffmpeg is missing, or the target cannot be written.</exception>
    public Mp4Writer(string target, double framesPerSecond, string? comment, CancellationToken cancellation)
    {
        _target = target;
        _framesPerSecond = framesPerSecond;
        _comment = comment;
        _cancellation = cancellation;
        _ffmpeg = Ffmpeg.Require();
        _file = new PendingFile(target);
    }

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
    public void Complete()
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
        _file.Commit();
        _completed = true;
    }

    /// <summary>Stops ffmpeg and deletes the temporary file unless the video is complete.</summary>
    public void Dispose()
    {
        if (_encoder is not null)
        {
            if (!_completed && !_encoder.HasExited)
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
        if (frame.Width % 2 != 0 || frame.Height % 2 != 0)
        {
            // yuv420p has one colour sample for 2 x 2 pixels. The models' pictures are multiples of 8.
            throw new UserError(ExitCode.Output, $"an mp4 needs an even width and height, not {frame.Width} x {frame.Height}");
        }

        List<string> arguments =
        [
            "-hide_banner", "-loglevel", "error", "-nostdin", "-y",
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", $"{frame.Width}x{frame.Height}",
            "-framerate", _framesPerSecond.ToString("R", CultureInfo.InvariantCulture), "-i", "pipe:0",
            "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+bitexact+full_chroma_int",
            "-c:v", "libx264", "-preset", "medium", "-crf", "16", "-pix_fmt", "yuv420p", "-threads", "2",
            "-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709",
            "-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart",
        ];
        if (_comment is not null)
        {
            arguments.AddRange(["-metadata", $"comment={_comment}"]);
        }

        arguments.AddRange(["-f", "mp4", _file.Path]);
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

    private Exception Failure(Exception? cause)
    {
        _encoder!.WaitForExit();
        // Ctrl-C reaches ffmpeg too, perhaps before us: wait a moment for our own notice of it.
        if (_cancellation.WaitHandle.WaitOne(TimeSpan.FromMilliseconds(300)))
        {
            return new OperationCanceledException(_cancellation);
        }

        var lines = _errors!.GetAwaiter().GetResult().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        // The first line has the cause ("No space left on device"); later ones are its consequences.
        var reason = lines.Length > 0 ? lines[0] : $"it ended with code {_encoder.ExitCode} and said nothing";
        return new UserError(ExitCode.Output, $"ffmpeg could not write {_target}: {reason.Replace(_file.Path, _target, StringComparison.Ordinal)}", cause: cause);
    }
}
