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
    private const int Gap = 4;

    private readonly PendingOutput _file = PendingOutput.File(target, overwrite);
    private readonly int[] _shown = [.. Enumerable.Range(0, Math.Min(frames, MostFrames)).Select(i => (int)((long)i * frames / Math.Min(frames, MostFrames)))];
    private Rgb8Image? _sheet;
    private (int Width, int Height) _cell;
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
        if (_sheet is null)
        {
            var rows = (_shown.Length + columns - 1) / columns;
            _cell = frame.Width <= MostCellWidth
                ? (frame.Width, frame.Height)
                : (MostCellWidth, Math.Max(1, (int)((long)frame.Height * MostCellWidth / frame.Width)));
            _sheet = new Rgb8Image((columns * (_cell.Width + Gap)) - Gap, (rows * (_cell.Height + Gap)) - Gap);
            Array.Fill(_sheet.Data, byte.MaxValue);
        }

        var small = PillowResampler.Resize(frame, _cell.Width, _cell.Height, ResampleFilter.Bilinear);
        var (left, top) = (_placed % columns * (_cell.Width + Gap), _placed / columns * (_cell.Height + Gap));
        for (var y = 0; y < _cell.Height; y++)
        {
            small.Row(y).CopyTo(_sheet.Row(top + y)[(left * 3)..]);
        }

        _placed++;
    }

    /// <inheritdoc/>
    public void Finish() => _file.Fill(stream => PictureWriter.EncodePng(_sheet!, stream));

    /// <inheritdoc/>
    public void Commit() => _file.Commit();

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();
}
