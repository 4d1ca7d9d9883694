// What is known of a video file before it is decoded, and one frame of it, through ffmpeg.
using System.Globalization;
using System.Text;
using FashionFlow.App.Generation;

namespace FashionFlow.App.Media;

/// <summary>Tells videos, and takes frames out of them.</summary>
internal static class VideoFrameReader
{
    /// <summary>How many bytes of a file's start <see cref="IsVideo"/> wants to see.</summary>
    public const int HeadBytes = 512;

    /// <summary>The filter to RGB that all frames go through, the same on every machine.</summary>
    public const string ToRgb = "scale=flags=accurate_rnd+bitexact+full_chroma_int+full_chroma_inp,format=rgb24";

    private const int TransportPacket = 188;

    /// <summary>The extensions by which videos are found in a folder.</summary>
    public static IReadOnlyList<string> Extensions { get; } = [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg", ".ts", ".wmv", ".ogv"];

    /// <summary>
    /// Whether a file starts as a video does. Only what has such a start is handed to ffmpeg: among its formats are texts
    /// that name other files.
    /// </summary>
    public static bool IsVideo(ReadOnlySpan<byte> head)
    {
        if (head.Length >= 12 && head[4..8].SequenceEqual("ftyp"u8))
        {
            return !IsStillBrand(head[8..12]);
        }

        return StartsWith(head, 0x1A, 0x45, 0xDF, 0xA3) // Matroska and WebM: EBML
            || (head.StartsWith("RIFF"u8) && head.Length >= 12 && head[8..12].SequenceEqual("AVI "u8))
            || head.StartsWith("FLV"u8)
            || StartsWith(head, 0, 0, 1, 0xBA) // MPEG program stream
            || StartsWith(head, 0x30, 0x26, 0xB2, 0x75) // ASF, WMV
            || head.StartsWith("OggS"u8)
            || (head.Length > TransportPacket && head[0] == 0x47 && head[TransportPacket] == 0x47);
    }

    /// <summary>HEIC and AVIF are stills in the container of mp4.</summary>
    public static bool IsStillBrand(ReadOnlySpan<byte> brand) =>
        brand.SequenceEqual("heic"u8) || brand.SequenceEqual("heix"u8) || brand.SequenceEqual("mif1"u8) || brand.SequenceEqual("avif"u8);

    /// <summary>Decodes a frame, turned as the file's display matrix says.</summary>
    /// <param name="path">The video.</param>
    /// <param name="frame">The frame's number from 0 in the first video stream.</param>
    /// <returns>The frame as a PNG file's bytes.</returns>
    /// <exception cref="UserError">ffmpeg is missing, the file is damaged, or has no such frame.</exception>
    public static byte[] ReadPng(string path, int frame)
    {
        Ffmpeg.Require();
        var select = string.Create(CultureInfo.InvariantCulture, $"select=eq(n\\,{frame}),{ToRgb}");
        var run = Ffmpeg.Run("ffmpeg", [
            "-hide_banner", "-loglevel", "error", "-nostdin", "-protocol_whitelist", "file,pipe", "-i", $"file:{path}",
            "-map", "0:v:0", "-vf", select, "-frames:v", "1", "-c:v", "png", "-f", "image2pipe", "pipe:1"]);
        if (run is not var (exitCode, output, errors))
        {
            throw new UserError(ExitCode.Input, $"{path} is a video, and ffmpeg, which reads it, cannot be run", Ffmpeg.InstallAdvice);
        }

        if (output.Length > 0)
        {
            return output;
        }

        // Nothing came out: the video is damaged, or shorter. Newer versions report a shorter one as an error too.
        if (CountFrames(path) is { } count && count <= frame)
        {
            throw new UserError(
                ExitCode.Input,
                string.Create(CultureInfo.InvariantCulture, $"{path} has no frame {frame}: it has {count}"),
                count > 0 ? string.Create(CultureInfo.InvariantCulture, $"--input-frame takes 0 to {count - 1} here") : null);
        }

        var reason = exitCode == 0 ? "it gave no picture" : Ffmpeg.Reason(exitCode, errors).Replace($"file:{path}: ", string.Empty, StringComparison.Ordinal);
        throw Damaged(path, reason);
    }

    /// <summary>The hash of a video file.</summary>
    /// <exception cref="UserError">It is missing, cannot be read, or does not start as a video does.</exception>
    public static string HashVideo(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 1 << 16);
            var head = new byte[HeadBytes];
            var length = stream.ReadAtLeast(head, head.Length, throwOnEndOfStream: false);
            if (!IsVideo(head.AsSpan(0, length)))
            {
                throw new UserError(ExitCode.Input, length == 0 ? $"{path} is empty" : $"{path} is not a video, whatever its name says");
            }

            stream.Position = 0;
            return FileHash.Compute(stream);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new UserError(ExitCode.Input, $"{path} cannot be read: permission denied", cause: e);
        }
        catch (IOException e)
        {
            throw new UserError(ExitCode.Input, $"{path} cannot be read: {e.Message}", cause: e);
        }
    }

    /// <summary>Frames a second, as the file has them on average; null where it does not tell.</summary>
    public static double? FramesPerSecond(string path) =>
        Ask(path, "stream=avg_frame_rate")?.Split('/') is [var over, var under]
        && double.TryParse(over, NumberStyles.None, CultureInfo.InvariantCulture, out var frames)
        && double.TryParse(under, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
        && frames > 0 && seconds > 0
            ? frames / seconds
            : null;

    /// <summary>The error for a video that ffmpeg does not decode to its end.</summary>
    public static UserError Damaged(string path, string reason) => new(ExitCode.Input, $"{path} cannot be decoded: {reason}", "fetch or copy the file again");

    private static int? CountFrames(string path) =>
        int.TryParse(Ask(path, "stream=nb_read_frames", "-count_frames"), NumberStyles.None, CultureInfo.InvariantCulture, out var count) ? count : null;

    // A transport stream's only stream is listed under its program once more.
    private static string? Ask(string path, string entry, params string[] options)
    {
        var run = Ffmpeg.Run("ffprobe", [
            "-v", "error", "-protocol_whitelist", "file,pipe", .. options, "-select_streams", "v:0", "-show_entries", entry, "-of", "csv=p=0", $"file:{path}"]);
        return run is (0, var output, _) ? Encoding.ASCII.GetString(output).Split('\n')[0].Trim().TrimEnd(',') : null;
    }

    private static bool StartsWith(ReadOnlySpan<byte> head, params ReadOnlySpan<byte> start) => head.StartsWith(start);
}
