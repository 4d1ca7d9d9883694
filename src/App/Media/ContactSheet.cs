// A video at a glance: some of its frames, evenly spread, in one picture.
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Media;

/// <summary>
/// Writes up to sixteen frames, row by row, as a PNG. A frame is reduced when it arrives, so that memory does not grow with
/// the video's length.
/// </summary>
/// <param name="target">The PNG's path.</param>
/// <param name="overwrite">Whether what is there may be replaced.</param>
/// <param name="frames">How many frames will come.</param>
internal sealed class ContactSheet(string target, bool overwrite, int frames) : IFrameWriter
{
    private const int MostFrames = 16;
    private const int MostColumns = 4;
    private const int MostCellWidth = 256;

    private readonly PendingOutput _file = PendingOutput.File(target, overwrite);
    private readonly int[] _shown = [.. Enumerable.Range(0, Math.Min(frames, MostFrames)).Select(i => (int)((long)i * frames / Math.Min(frames, MostFrames)))];
    private PictureGrid? _sheet;
    private int _seen;
    private int _placed;

    /// <inheritdoc/>
    public void Write(Rgb8Image frame)
    {
        if (_placed >= _shown.Length || _shown[_placed] != _seen++)
        {
            return;
        }

        var columns = Math.Min(_shown.Length, MostColumns);
        _sheet ??= new PictureGrid(columns, (_shown.Length + columns - 1) / columns, frame.Width, frame.Height, MostCellWidth);
        _sheet.Put(_placed % columns, _placed / columns, frame);
        _placed++;
    }

    /// <inheritdoc/>
    public void Finish() => _file.Fill(stream => PictureWriter.EncodePng(_sheet!.Picture, stream));

    /// <inheritdoc/>
    public void Commit() => _file.Commit();

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
