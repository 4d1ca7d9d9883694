// A picture as a few coarse fields of colour: enough to tell garments apart, by nothing that a model was trained with.
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Evaluation;

/// <summary>
/// The feature that judges identity beside the model's own encoder, which should not be its own judge: the mean colour of each
/// field of a grid, in the manner of MPEG-7's colour layout descriptor (ISO/IEC 15938-3), without its transform.
/// </summary>
internal static class ColourLayout
{
    private const int Columns = 8;
    private const int Rows = 12;

    // Colours are measured from the middle grey, so that their direction tells dark from light too.
    private const double Middle = 127.5;

    /// <summary>The mean RGB of each field, row by row; fewer fields where the picture has fewer pixels.</summary>
    public static float[] Of(Rgb8Image picture)
    {
        var (columns, rows) = (Math.Min(Columns, picture.Width), Math.Min(Rows, picture.Height));
        var layout = new float[rows * columns * 3];
        for (var row = 0; row < rows; row++)
        {
            var (top, bottom) = (row * picture.Height / rows, (row + 1) * picture.Height / rows);
            for (var column = 0; column < columns; column++)
            {
                var (left, right) = (column * picture.Width / columns, (column + 1) * picture.Width / columns);
                Span<long> sums = [0, 0, 0];
                for (var y = top; y < bottom; y++)
                {
                    var line = picture.Row(y)[(left * 3)..(right * 3)];
                    for (var i = 0; i < line.Length; i++)
                    {
                        sums[i % 3] += line[i];
                    }
                }

                for (var channel = 0; channel < 3; channel++)
                {
                    layout[(((row * columns) + column) * 3) + channel] = (float)((sums[channel] / (double)((bottom - top) * (right - left))) - Middle);
                }
            }
        }

        return layout;
    }
}
