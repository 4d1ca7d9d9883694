// What figures do not tell: clips, the true ones above the generated ones, in one picture.
using FashionFlow.App.Media;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Evaluation;

/// <summary>Shows up to ten clips by up to eight of their frames, the first and the last among them.</summary>
/// <param name="clips">How many clips will come.</param>
internal sealed class EvaluationSheet(int clips)
{
    private const int MostClips = 10;
    private const int MostColumns = 8;
    private const int MostCellWidth = 96;

    private readonly int _clips = Math.Min(clips, MostClips);
    private PictureGrid? _grid;
    private int _shown;

    /// <summary>The sheet; null before the first clip.</summary>
    public Rgb8Image? Picture => _grid?.Picture;

    /// <summary>Adds a clip; those after the tenth are passed over.</summary>
    public void Add(IReadOnlyList<Rgb8Image> truth, IReadOnlyList<Rgb8Image> generated)
    {
        if (_shown >= _clips)
        {
            return;
        }

        var columns = Math.Min(truth.Count, MostColumns);
        _grid ??= new PictureGrid(columns, 2 * _clips, truth[0].Width, truth[0].Height, MostCellWidth, rowsOfGroup: 2);
        for (var column = 0; column < columns; column++)
        {
            var frame = column * (truth.Count - 1) / Math.Max(columns - 1, 1);
            _grid.Put(column, 2 * _shown, truth[frame]);
            _grid.Put(column, (2 * _shown) + 1, generated[frame]);
        }

        _shown++;
    }
}
