// The forms in which a video is written, and what ffmpeg is told for each.
namespace FashionFlow.App.Media;

/// <summary>
/// A form of output. Everything that could make two runs differ is pinned: flags are bit-exact and the number of encoder
/// threads is fixed, so that the same frames and the same ffmpeg give the same file.
/// </summary>
/// <param name="Name">As <c>--format</c> names it.</param>
/// <param name="Extension">The file's extension with its dot; empty for a folder.</param>
/// <param name="Encoder">The ffmpeg encoder that must be there; null where ffmpeg is not needed.</param>
/// <param name="MostFramesPerSecond">The highest rate that the form can show.</param>
/// <param name="Arguments">ffmpeg's arguments between input and output.</param>
internal sealed record VideoFormat(string Name, string Extension, string? Encoder, double MostFramesPerSecond, IReadOnlyList<string> Arguments)
{
    // yuv420p halves the colour's resolution: full_chroma_int and accurate_rnd make that halving exact to rounding.
    private const string ToBt709 = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+bitexact+full_chroma_int";

    private static readonly string[] Bt709 = ["-pix_fmt", "yuv420p", "-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"];

    /// <summary>H.264 in an mp4, yuv420p, BT.709 and tagged so: plays in a browser with the right colours.</summary>
    public static VideoFormat Mp4 { get; } = new("mp4", ".mp4", "libx264", 1000, [
        "-vf", ToBt709, "-c:v", "libx264", "-preset", "medium", "-crf", "16", "-threads", "2", .. Bt709, "-flags:v", "+bitexact", "-movflags", "+faststart", "-f", "mp4"]);

    /// <summary>
    /// An endless animated GIF. Each frame has a palette of its own: one for all of them would hold every frame in memory.
    /// GIF counts in hundredths of a second, and browsers slow down what is shorter than two of them.
    /// </summary>
    public static VideoFormat Gif { get; } = new("gif", ".gif", "gif", 50, [
        "-filter_complex", "[0:v]split[a][b];[a]palettegen=stats_mode=single:reserve_transparent=0[p];[b][p]paletteuse=new=1:dither=sierra2_4a",
        "-threads", "1", "-flags:v", "+bitexact", "-loop", "0", "-f", "gif"]);

    /// <summary>VP9 in a WebM at constant quality.</summary>
    public static VideoFormat WebM { get; } = new("webm", ".webm", "libvpx-vp9", 1000, [
        "-vf", ToBt709, "-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "24", "-deadline", "good", "-cpu-used", "4", "-row-mt", "0", "-threads", "2", .. Bt709,
        "-flags:v", "+bitexact", "-f", "webm"]);

    /// <summary>
    /// H.264 without loss in RGB: what is read is what was drawn, to the bit. For data sets, which are read by programs; few
    /// browsers play it, and <c>--format</c> does not offer it.
    /// </summary>
    public static VideoFormat Lossless { get; } = new("mp4", ".mp4", "libx264rgb", 1000, [
        "-c:v", "libx264rgb", "-preset", "medium", "-crf", "0", "-threads", "1", "-pix_fmt", "rgb24", "-flags:v", "+bitexact", "-movflags", "+faststart", "-f", "mp4"]);

    /// <summary>A folder of PNG files, the frames to the bit.</summary>
    public static VideoFormat Png { get; } = new("png", string.Empty, Encoder: null, double.PositiveInfinity, []);

    /// <summary>All forms that <c>--format</c> offers.</summary>
    public static IReadOnlyList<VideoFormat> All { get; } = [Mp4, Gif, WebM, Png];

    /// <summary>Whether the output is a folder.</summary>
    public bool IsFolder => Extension.Length == 0;

    /// <summary>Whether the pixels are halved in colour, so that sizes must be even.</summary>
    public bool NeedsEvenSize => Arguments.Contains("yuv420p");

    /// <summary>The form that a file's extension names, or null.</summary>
    public static VideoFormat? ForPath(string path) =>
        All.FirstOrDefault(f => !f.IsFolder && path.EndsWith(f.Extension, StringComparison.OrdinalIgnoreCase));

    /// <summary>The form of that name.</summary>
    public static VideoFormat Named(string name) => All.First(f => f.Name == name);

    /// <summary>Checks that ffmpeg is there and has the encoder, once for all videos of this form.</summary>
    /// <exception cref="UserError">It is not there or has not.</exception>
    public void Require()
    {
        if (Encoder is null)
        {
            return;
        }

        var ffmpeg = Ffmpeg.Require();
        // libx264 is in practically every build; asking costs a start of ffmpeg, and its own error says the same.
        if (this != Mp4 && !Ffmpeg.HasEncoder(ffmpeg, Encoder))
        {
            throw new UserError(ExitCode.Output, $"{ffmpeg} has no encoder {Encoder}, which {Name} needs", "install a full build of ffmpeg, or choose another format");
        }
    }
}
