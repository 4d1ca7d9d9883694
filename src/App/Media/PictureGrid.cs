// Pictures in rows and columns on white: what contact sheets are made of.
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Media;

/// <summary>A picture with a place for each of many, which are reduced to fit.</summary>
internal sealed class PictureGrid
{
    private const int Gap = 4;
    private readonly int _width;
    private readonly int _height;
    private readonly int _rowsOfGroup;

    /// <summary>An empty grid.</summary>
    /// <param name="columns">Pictures a row.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="width">The pictures' width.</param>
    /// <param name="height">The pictures' height.</param>
    /// <param name="mostWidth">The widest that one is shown; wider ones are reduced.</param>
    /// <param name="rowsOfGroup">Rows that belong together: between groups there is three times the room. All, if not given.</param>
    public PictureGrid(int columns, int rows, int width, int height, int mostWidth, int? rowsOfGroup = null)
    {
        (_width, _height) = width <= mostWidth ? (width, height) : (mostWidth, Math.Max(1, (int)((long)height * mostWidth / width)));
        _rowsOfGroup = rowsOfGroup ?? rows;
        Picture = new Rgb8Image((columns * (_width + Gap)) - Gap, Top(rows - 1) + _height);
        Array.Fill(Picture.Data, byte.MaxValue);
    }

    /// <summary>The whole.</summary>
    public Rgb8Image Picture { get; }

    /// <summary>Shows a picture at a place.</summary>
    public void Put(int column, int row, Rgb8Image picture)
    {
        var small = PillowResampler.Resize(picture, _width, _height, ResampleFilter.Bilinear);
        for (var y = 0; y < _height; y++)
        {
            small.Row(y).CopyTo(Picture.Row(Top(row) + y)[(column * (_width + Gap) * 3)..]);
        }
    }

    private int Top(int row) => (row * (_height + Gap)) + (row / _rowsOfGroup * 2 * Gap);
}
