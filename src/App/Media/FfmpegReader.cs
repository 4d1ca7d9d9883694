// A video file to frames through an ffmpeg pipe, one at a time: memory does not grow with the video's length.
using System.ComponentModel;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Media;

/// <summary>
/// Decodes every frame of a video's first video stream, as often as it was stored: none is dropped or doubled to even out a rate.
/// Damage ends it with an error, where players would go on with what they can guess.
/// </summary>
internal sealed class FfmpegReader : IDisposable
{
    private readonly string _path;
    private readonly CancellationToken _cancellation;
    private readonly Process _decoder;
    private readonly Task<string> _errors;
    private readonly BufferedStream _frames;
    private Rgb8Image? _frame;

    /// <summary>Starts ffmpeg.</summary>
    /// <param name="path">The video, which <see cref="VideoFrameReader.HashVideo"/> takes for one.</param>
    /// <param name="cancellation">What stops the program; then an error of ffmpeg is a part of being stopped.</param>
    /// <exception cref="UserError">ffmpeg is missing or does not run.</exception>
    public FfmpegReader(string path, CancellationToken cancellation)
    {
        (_path, _cancellation) = (path, cancellation);
        var ffmpeg = Ffmpeg.Require("it reads the videos");

        // As PPM pictures, each of which says its size: what ffprobe says of a video's size does not know of rotation. -xerror ends
        // it at the first damaged packet or frame.
        string[] arguments =
        [
            "-hide_banner", "-loglevel", "error", "-nostdin", "-xerror", "-protocol_whitelist", "file,pipe", "-i", $"file:{path}",
            "-map", "0:v:0", "-vf", VideoFrameReader.ToRgb, .. Ffmpeg.EveryFrame(ffmpeg), "-c:v", "ppm", "-f", "image2pipe", "pipe:1",
        ];
        try
        {
            _decoder = Process.Start(new ProcessStartInfo(ffmpeg, arguments)
            {
                UseShellExecute = false,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
        }
        catch (Win32Exception e)
        {
            throw new UserError(ExitCode.Input, $"{path} is a video, and {ffmpeg}, which reads it, cannot be run: {e.Message}", Ffmpeg.InstallAdvice, e);
        }

        _decoder.StandardInput.Close();
        _errors = _decoder.StandardError.ReadToEndAsync(CancellationToken.None);
        _frames = new BufferedStream(_decoder.StandardOutput.BaseStream, 1 << 16);
    }

    /// <summary>Decodes the next frame.</summary>
    /// <param name="frame">The frame. Its memory is used for the next one: copy what is to be kept.</param>
    /// <returns>False after the last one.</returns>
    /// <exception cref="UserError">The video is damaged.</exception>
    public bool TryRead([NotNullWhen(true)] out Rgb8Image? frame)
    {
        _cancellation.ThrowIfCancellationRequested();
        frame = null;
        try
        {
            if (ReadWord() is not { Length: > 0 } magic)
            {
                Finish();
                return false;
            }

            if (magic != "P6"
                || !int.TryParse(ReadWord(), NumberStyles.None, CultureInfo.InvariantCulture, out var width)
                || !int.TryParse(ReadWord(), NumberStyles.None, CultureInfo.InvariantCulture, out var height)
                || ReadWord() != "255"
                || width < 1 || height < 1)
            {
                throw Failure("ffmpeg gave something else than frames");
            }

            if ((long)width * height > PictureReader.MaxPixels)
            {
                throw Failure($"its frames of {width} x {height} pixels are too large");
            }

            _frame = _frame is { } last && (last.Width, last.Height) == (width, height) ? last : new Rgb8Image(width, height);
            _frames.ReadExactly(_frame.Data);
            frame = _frame;
            return true;
        }
        catch (EndOfStreamException)
        {
            Finish();
            throw Failure("its last frame is not whole");
        }
    }

    /// <summary>Stops ffmpeg.</summary>
    public void Dispose()
    {
        if (!_decoder.HasExited)
        {
            _decoder.Kill();
            _decoder.WaitForExit();
        }

        _frames.Dispose();
        _decoder.Dispose();
    }

    // A PPM header's words are short, and one character of white space ends each.
    private string ReadWord()
    {
        var word = new StringBuilder();
        for (int next; word.Length < 12 && (next = _frames.ReadByte()) >= 0 && !char.IsWhiteSpace((char)next);)
        {
            word.Append((char)next);
        }

        return word.ToString();
    }

    private void Finish()
    {
        _decoder.WaitForExit();
        if (_decoder.ExitCode == 0)
        {
            return;
        }

        // Ctrl-C reaches ffmpeg too, perhaps before us: wait a moment for our own notice of it.
        if (_cancellation.WaitHandle.WaitOne(TimeSpan.FromMilliseconds(300)))
        {
            throw new OperationCanceledException(_cancellation);
        }

        throw Failure(Ffmpeg.Reason(_decoder.ExitCode, _errors.GetAwaiter().GetResult()).Replace($"file:{_path}: ", string.Empty, StringComparison.Ordinal));
    }

    private UserError Failure(string reason) => VideoFrameReader.Damaged(_path, reason);
}
