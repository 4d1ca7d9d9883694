// One frame of a video file, through ffmpeg.
using System.Globalization;
using System.Text;

namespace FashionFlow.App.Media;

/// <summary>Takes frames out of videos.</summary>
internal static class VideoFrameReader
{
    /// <summary>How many bytes of a file's start <see cref="IsVideo"/> wants to see.</summary>
    public const int HeadBytes = 512;

    private const int TransportPacket = 188;

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
        var select = string.Create(CultureInfo.InvariantCulture, $"select=eq(n\\,{frame}),scale=flags=accurate_rnd+bitexact+full_chroma_int+full_chroma_inp,format=rgb24");
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
        throw new UserError(ExitCode.Input, $"{path} cannot be decoded: {reason}", "fetch or copy the file again");
    }

    private static int? CountFrames(string path)
    {
        var run = Ffmpeg.Run("ffprobe", [
            "-v", "error", "-protocol_whitelist", "file,pipe", "-count_frames", "-select_streams", "v:0", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", $"file:{path}"]);
        // A transport stream's only stream is listed under its program once more.
        return run is (0, var output, _)
            && int.TryParse(Encoding.ASCII.GetString(output).Split('\n')[0].Trim().TrimEnd(','), NumberStyles.None, CultureInfo.InvariantCulture, out var count)
            ? count
            : null;
    }

    private static bool StartsWith(ReadOnlySpan<byte> head, params ReadOnlySpan<byte> start) => head.StartsWith(start);
}
