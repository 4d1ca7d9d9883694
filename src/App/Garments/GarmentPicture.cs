// From the parts of a figure to pixels: row by row, the nearest part on each line of sight, lit from fixed lamps.
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Garments;

/// <summary>
/// Draws garments. All of it is computed here in double precision: no font, no file, no drawing library whose version could
/// move a pixel. The same garment, size and time give the same bytes.
/// </summary>
internal static class GarmentPicture
{
    // Metres that must have room: the tallest figure with air above and floor below, the widest skirt with air beside it.
    private const double SceneHeight = 1.93;
    private const double SceneWidth = 1.02;
    private const double Floor = 0.085;

    // A grid of 3 x 3 lines of sight a pixel: smooth edges.
    private const int Samples = 3;

    private static readonly Vector Key = new Vector(-0.46, 0.50, 0.73).Unit();
    private static readonly Vector Fill = new Vector(0.80, 0.10, 0.50).Unit();
    private static readonly Vector Halfway = new Vector(Key.X, Key.Y, Key.Z + 1).Unit();

    /// <summary>Draws a garment at a time.</summary>
    /// <param name="garment">What.</param>
    /// <param name="width">Pixels a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="motion">The pose.</param>
    public static Rgb8Image Draw(Garment garment, int width, int height, Motion motion)
    {
        var parts = Figure.Build(garment, motion);
        var scale = Math.Min(height / SceneHeight, width / SceneWidth);
        var picture = new Rgb8Image(width, height);
        var row = new Row(parts, width * Samples, scale * Samples);
        var sums = new Vector[width];
        var hits = new int[width];
        for (var y = 0; y < height; y++)
        {
            Array.Clear(sums);
            Array.Clear(hits);
            for (var i = 0; i < Samples; i++)
            {
                row.Trace(Above(y + ((i + 0.5) / Samples)), sums, hits);
            }

            var bytes = picture.Row(y);
            for (var x = 0; x < width; x++)
            {
                const int All = Samples * Samples;
                var colour = hits[x] == All ? sums[x] : sums[x] + (Backdrop(garment.Studio, (x + 0.5 - (width / 2.0)) / scale, Above(y + 0.5)) * (All - hits[x]));
                bytes[x * 3] = Vector.ToByte(colour.X / All);
                bytes[(x * 3) + 1] = Vector.ToByte(colour.Y / All);
                bytes[(x * 3) + 2] = Vector.ToByte(colour.Z / All);
            }
        }

        return picture;

        // The floor keeps its place at the bottom; what a picture is taller than the scene is wall.
        double Above(double rows) => ((height - rows) / scale) - Floor;
    }

    // A key light from the upper left, a weak fill from the right, the studio's light from all around, and a highlight.
    private static Vector Lit(Vector colour, Vector normal, double gloss)
    {
        var key = Math.Max(0, normal.Dot(Key));
        var fill = Math.Max(0, normal.Dot(Fill));
        var shine = Math.Max(0, normal.Dot(Halfway));
        shine *= shine;
        shine *= shine;
        shine *= shine;
        shine = gloss * shine * shine * shine;
        return (colour * (0.42 + (0.60 * key) + (0.16 * fill))) + new Vector(shine, shine, shine);
    }

    // Seamless paper: a wall that is brightest at the chest, a floor, a soft bend between, and the figure's shadow.
    private static Vector Backdrop(Vector studio, double x, double y)
    {
        var wall = 1.03 - (0.10 * (y - 1.2) * (y - 1.2)) - (0.16 * x * x);
        var bend = Math.Clamp((0.20 - y) / 0.16, 0, 1);
        var light = wall - (0.055 * bend * bend * (3 - (2 * bend)));
        var (sx, sy) = ((x - 0.03) / 0.30, (y - 0.004) / 0.036);
        var shadow = 0.42 * Math.Exp(-((sx * sx) + (sy * sy)) * 1.4);
        return studio * (light * (1 - shadow));
    }

    // One row of lines of sight.
    private sealed class Row(IReadOnlyList<Stack> parts, int count, double perMetre)
    {
        private const int Nothing = -1;
        private readonly Slice[] _slices = new Slice[parts.Count];
        private readonly Sight[] _sights = new Sight[count];

        // Adds the colours of what is met to each pixel's sum, and how many lines met something to its count.
        public void Trace(double y, Vector[] sums, int[] hits)
        {
            Array.Fill(_sights, new Sight(Nothing, double.NegativeInfinity, IsInside: false));
            for (var part = 0; part < parts.Count; part++)
            {
                if (y > parts[part].Bottom && y < parts[part].Top)
                {
                    _slices[part] = parts[part].At(y);
                    Place(part);
                }
            }

            for (var i = 0; i < count; i++)
            {
                var (part, depth, isInside) = _sights[i];
                if (part != Nothing)
                {
                    ref readonly var slice = ref _slices[part];
                    var point = slice.Point(X(i), depth, isInside);
                    sums[i / Samples] += Lit(slice.Part.Paint(point), slice.Normal(X(i), depth, point), slice.Part.Gloss);
                    hits[i / Samples]++;
                }
            }
        }

        private void Place(int part)
        {
            ref readonly var slice = ref _slices[part];
            var covers = slice.Part.Covers;
            var first = Math.Max(0, (int)Math.Floor(((slice.CentreX - slice.HalfWidth) * perMetre) + (count / 2.0)));
            var last = Math.Min(count - 1, (int)Math.Ceiling(((slice.CentreX + slice.HalfWidth) * perMetre) + (count / 2.0)));
            for (var i = first; i <= last; i++)
            {
                var x = X(i);
                if (!slice.Meets(x, out var near, out var far) || near <= _sights[i].Depth)
                {
                    continue;
                }

                if (covers is null || covers(slice.Point(x, near, isInside: false)))
                {
                    _sights[i] = new Sight(part, near, IsInside: false);
                }
                else if (far > _sights[i].Depth && covers(slice.Point(x, far, isInside: true)))
                {
                    // Where the near side is cut away, the far side's inside is seen.
                    _sights[i] = new Sight(part, far, IsInside: true);
                }
            }
        }

        private double X(int sample) => (sample + 0.5 - (count / 2.0)) / perMetre;
    }

    // What a line of sight meets first.
    private readonly record struct Sight(int Part, double Depth, bool IsInside);
}
