// The project's own picture of a garment: a dotted dress on a dress form in a studio, computed, not photographed.
// Skia draws the room and the stand; form and dress are height fields that are lit pixel by pixel, so that folds look like folds.
using FashionFlow.Diffusion.Preprocessing;
using SkiaSharp;

namespace FashionFlow.App.Media;

/// <summary>Draws the demo's input. The same bytes every time on one machine; no font, no file, no random number.</summary>
internal static class DemoPicture
{
    /// <summary>The size of the model's videos.</summary>
    public const int Width = 512;

    /// <summary>The size of the model's videos.</summary>
    public const int Height = 640;

    // All of the scene is in pixels of the 512 x 640 picture, x to the right of the figure's axis, y down.
    private const double Axis = 256;
    private const double WaistTop = 285;
    private const double WaistBottom = 301;
    private const int SamplesPerSide = 3;

    // Half widths of the outlines at given heights; a monotone curve runs between.
    private static readonly Outline Form = new(
        (70, 15), (78, 23), (96, 25), (116, 27), (130, 36), (141, 60), (149, 79), (160, 87), (176, 84), (200, 76), (218, 77), (255, 66), (290, 51), (330, 66));

    private static readonly Outline Dress = new(
        (134, 70), (150, 70), (170, 66), (188, 68), (204, 76), (220, 78), (255, 67), (286, 53), (300, 54), (330, 82), (390, 112), (460, 137), (545, 160));

    private static readonly Vector Light = new Vector(-0.48, -0.52, 0.71).Unit();
    private static readonly Vector Fill = new Vector(0.75, -0.1, 0.55).Unit();
    private static readonly Vector Halfway = new Vector(Light.X, Light.Y, Light.Z + 1).Unit();

    private static readonly Vector Linen = new(0.83, 0.785, 0.72);
    private static readonly Vector Cloth = new(0.055, 0.235, 0.36);
    private static readonly Vector Dot = new(0.95, 0.90, 0.80);
    private static readonly Vector Leather = new(0.46, 0.235, 0.115);
    private static readonly Vector Brass = new(0.93, 0.74, 0.38);
    private static readonly Vector Wood = new(0.42, 0.25, 0.15);

    /// <summary>Draws the picture.</summary>
    public static Rgb8Image Render()
    {
        using var bitmap = new SKBitmap(new SKImageInfo(Width, Height, SKColorType.Rgba8888, SKAlphaType.Premul));
        using (var canvas = new SKCanvas(bitmap))
        {
            DrawRoom(canvas);
            DrawStand(canvas);
        }

        var picture = new Rgb8Image(Width, Height);
        Parallel.For(0, Height, y =>
        {
            var room = bitmap.GetPixelSpan();
            var row = picture.Row(y);
            for (var x = 0; x < Width; x++)
            {
                var at = (y * bitmap.RowBytes) + (x * 4);
                var background = new Vector(room[at] / 255.0, room[at + 1] / 255.0, room[at + 2] / 255.0);
                var color = FigureOver(background, x, y);
                row[x * 3] = ToByte(color.X);
                row[(x * 3) + 1] = ToByte(color.Y);
                row[(x * 3) + 2] = ToByte(color.Z);
            }
        });

        return picture;
    }

    // Averages a grid of samples a pixel: smooth edges.
    private static Vector FigureOver(Vector background, int x, int y)
    {
        var sum = default(Vector);
        for (var i = 0; i < SamplesPerSide; i++)
        {
            for (var j = 0; j < SamplesPerSide; j++)
            {
                var px = x + ((j + 0.5) / SamplesPerSide) - Axis;
                var py = y + ((i + 0.5) / SamplesPerSide);
                sum += ShadeDress(px, py) ?? ShadeForm(px, py) ?? background;
            }
        }

        return sum * (1.0 / (SamplesPerSide * SamplesPerSide));
    }

    private static Vector? ShadeDress(double x, double y)
    {
        if (y < Neckline(x) || y > Hem(x) || Math.Abs(x) > DressHalfWidth(y))
        {
            return null;
        }

        var angle = Around(x, y);
        var height = Normal(DressHeight, x, y);
        var valley = y > WaistBottom ? 0.70 + (0.30 * Smooth(-1.1, 0.6, Ripple(angle))) : 1.0;

        var belt = y - (4.0 * (1 - Square(x / DressHalfWidth(y))));
        if (belt is > WaistTop and < WaistBottom)
        {
            return ShadeBelt(x, belt, height);
        }

        // Where bodice and skirt meet the belt, and below the arms, less light gets in.
        var crease = 0.62 + (0.38 * Smooth(0, 13, belt < WaistTop ? WaistTop - belt : belt - WaistBottom));
        var edge = 0.85 + (0.15 * Smooth(0, 3.5, y - Neckline(x)));
        var color = IsDot(angle, y) ? Dot : Cloth;
        var seam = Math.Abs(Math.Abs(x) - (24 + ((WaistTop - y) * 0.13))) < 0.8 && y is > 232 and < WaistTop ? 0.78 : 1.0;
        return Lit(color, height, gloss: 0.30, sharpness: 16) * (valley * crease * edge * seam);
    }

    private static Vector ShadeBelt(double x, double y, Vector normal)
    {
        var across = (y - WaistTop) / (WaistBottom - WaistTop);
        var frame = Math.Abs(x) < 12 && !(Math.Abs(x) < 8.5 && across is > 0.2 and < 0.8);
        if (frame || (Math.Abs(y - ((WaistTop + WaistBottom) / 2)) < 1.1 && x is > -9 and < 10))
        {
            return Lit(Brass, new Vector(normal.X, (across - 0.5) * 0.9, normal.Z).Unit(), gloss: 0.9, sharpness: 20);
        }

        // Rounded edges, and a row of stitches along each.
        var round = new Vector(normal.X, Math.Pow((across - 0.5) * 2, 3), normal.Z).Unit();
        var stitched = (Math.Abs(across - 0.16) < 0.05 || Math.Abs(across - 0.84) < 0.05) && Math.Abs(x * 0.22 % 1.0) < 0.55;
        return Lit(stitched ? Leather * 1.55 : Leather, round, gloss: 0.35, sharpness: 24);
    }

    private static Vector? ShadeForm(double x, double y)
    {
        // The cap of turned wood on the neck, with its knob.
        if (y < 79)
        {
            var radius = y < 58 ? Math.Sqrt(Math.Max(0, 64 - Square(y - 50))) : y < 66 ? 4.5 : 17 + (6 * Smooth(66, 79, y));
            if (y < 42 || Math.Abs(x) > radius)
            {
                return null;
            }

            var lean = y < 58 ? (y - 50) / 8 : y < 66 ? 0 : -0.5;
            return Lit(Wood, new Vector(x / radius, lean, Math.Sqrt(Math.Max(0.05, 1 - Square(x / radius)))).Unit(), gloss: 0.5, sharpness: 30);
        }

        if (y > 330 || Math.Abs(x) > Form.At(y))
        {
            return null;
        }

        var shadow = 0.70 + (0.30 * Smooth(-1, 9, Neckline(x) - y));
        var cap = 0.6 + (0.4 * Smooth(79, 90, y));
        var seam = Math.Abs(x) < 0.7 || Math.Abs(y - 121 - (4 * (1 - Square(x / 30)))) < 0.6 ? 0.86 : 1.0;
        // Padding under the linen evens out the outline's turns.
        var normal = Normal(FormHeight, x, y);
        return Lit(Linen, new Vector(normal.X, normal.Y * 0.4, normal.Z).Unit(), gloss: 0.03, sharpness: 8) * (shadow * cap * seam);
    }

    // A key light from the upper left, a weak fill from the right, the room's light from all around, and a highlight.
    private static Vector Lit(Vector color, Vector normal, double gloss, double sharpness)
    {
        var key = Math.Max(0, normal.Dot(Light));
        var fill = Math.Max(0, normal.Dot(Fill));
        var shine = gloss * Math.Pow(Math.Max(0, normal.Dot(Halfway)), sharpness);
        return (color * (0.30 + (0.86 * key) + (0.20 * fill))) + (new Vector(1, 0.97, 0.92) * shine * 0.55);
    }

    private static double Neckline(double x)
    {
        var across = Math.Abs(x);
        // A scoop between the straps, then the shoulder's slope.
        return across < 46 ? 140 + (48 * Math.Sqrt(1 - Square(across / 46))) : 139 + ((across - 46) * 0.30);
    }

    private static double Hem(double x)
    {
        var u = Math.Clamp(x / 156, -1, 1);
        return 531 - (20 * u * u) + (4.5 * Ripple(Math.Asin(u)));
    }

    // The outermost folds bulge, so that the outline is alive.
    private static double DressHalfWidth(double y) =>
        Dress.At(y) + (y > WaistBottom ? 2.2 * FoldDepth(y) * Math.Sin(y * 0.021) * 0.2 : 0);

    private static double Around(double x, double y) => Math.Asin(Math.Clamp(x / DressHalfWidth(y), -1, 1));

    // Folds hang from the waist: their angles are fixed, their depth grows.
    private static double Ripple(double angle) =>
        (0.72 * Math.Sin((angle * 8.4) + (1.1 * Math.Sin((angle * 2.3) + 0.8)) + 0.5)) + (0.28 * Math.Sin((angle * 17.5) + 2.1));

    private static double FoldDepth(double y) => 11.5 * Math.Pow(Math.Clamp((y - WaistBottom) / 235, 0, 1), 0.85);

    private static double DressHeight(double x, double y)
    {
        var half = DressHalfWidth(y);
        var u = Math.Clamp(x / half, -0.999, 0.999);
        var height = 0.72 * half * Math.Sqrt(1 - (u * u));
        if (y > WaistBottom)
        {
            return height + (FoldDepth(y) * Ripple(Math.Asin(u)));
        }

        // Bodice: two soft rounds, and drawn cloth above the belt.
        var bust = 15 * (Math.Exp(-(Square(x - 31) + Square(y - 216)) / 900) + Math.Exp(-(Square(x + 31) + Square(y - 216)) / 900));
        var drawn = 1.3 * Smooth(236, WaistTop, y) * Math.Sin((Math.Asin(u) * 13) + 0.6);
        return height + bust + drawn;
    }

    private static double FormHeight(double x, double y)
    {
        var half = Form.At(y);
        var u = Math.Clamp(x / half, -0.999, 0.999);
        return 0.62 * half * Math.Sqrt(1 - (u * u));
    }

    // Rows of dots, every other one shifted by half; they follow the cloth around the body.
    private static bool IsDot(double angle, double y)
    {
        const double RowHeight = 15;
        var row = Math.Floor(y / RowHeight);
        // The number of dots around is kept between rows, so that columns fan out with the skirt.
        const double Spacing = Math.PI / 11;
        var shift = row % 2 == 0 ? 0 : 0.5;
        var column = Math.Floor((angle / Spacing) + shift);
        var across = (angle - ((column + 0.5 - shift) * Spacing)) * Dress.At(y);
        var down = y - ((row + 0.5) * RowHeight);
        var radius = 1.7 + (1.1 * Smooth(200, 530, y));
        return (across * across) + (down * down) < radius * radius;
    }

    private static Vector Normal(Func<double, double, double> height, double x, double y)
    {
        const double Step = 0.5;
        var dx = (height(x + Step, y) - height(x - Step, y)) / (2 * Step);
        var dy = (height(x, y + Step) - height(x, y - Step)) / (2 * Step);
        return new Vector(-dx, -dy, 1).Unit();
    }

    private static void DrawRoom(SKCanvas canvas)
    {
        // Seamless paper: wall above, floor below, a soft bend between.
        using var paint = new SKPaint { IsAntialias = true };
        paint.Shader = SKShader.CreateLinearGradient(
            new SKPoint(0, 0),
            new SKPoint(0, Height),
            [new SKColor(206, 200, 193), new SKColor(222, 216, 208), new SKColor(205, 197, 188), new SKColor(226, 219, 210), new SKColor(208, 200, 190)],
            [0f, 0.45f, 0.80f, 0.90f, 1f],
            SKShaderTileMode.Clamp);
        canvas.DrawRect(0, 0, Width, Height, paint);

        paint.Shader = SKShader.CreateRadialGradient(
            new SKPoint(190, 220), 380, [new SKColor(255, 250, 240, 150), new SKColor(255, 250, 240, 0)], SKShaderTileMode.Clamp);
        canvas.DrawRect(0, 0, Width, Height, paint);

        paint.Shader = SKShader.CreateRadialGradient(
            new SKPoint(256, 300), 460, [new SKColor(40, 32, 28, 0), new SKColor(40, 32, 28, 0), new SKColor(40, 32, 28, 105)], [0f, 0.55f, 1f], SKShaderTileMode.Clamp);
        canvas.DrawRect(0, 0, Width, Height, paint);
        paint.Shader = null;

        // The figure's shadow on the wall, and on the floor.
        using var shadow = new SKPath();
        for (var y = 90; y <= 530; y += 4)
        {
            shadow.LineToOrMove(y == 90, (float)(Axis + ShadowHalfWidth(y)), y);
        }

        for (var y = 530; y >= 90; y -= 4)
        {
            shadow.LineTo((float)(Axis - ShadowHalfWidth(y)), y);
        }

        shadow.Close();
        canvas.Save();
        canvas.Translate(30, 14);
        paint.Color = new SKColor(58, 46, 40, 62);
        paint.MaskFilter = SKMaskFilter.CreateBlur(SKBlurStyle.Normal, 20);
        canvas.DrawPath(shadow, paint);
        canvas.Restore();

        paint.Color = new SKColor(48, 38, 32, 105);
        paint.MaskFilter = SKMaskFilter.CreateBlur(SKBlurStyle.Normal, 13);
        canvas.DrawOval(278, 606, 128, 15, paint);
        paint.Color = new SKColor(30, 24, 20, 150);
        paint.MaskFilter = SKMaskFilter.CreateBlur(SKBlurStyle.Normal, 4);
        canvas.DrawOval(258, 609, 66, 8, paint);
    }

    private static double ShadowHalfWidth(double y) => y < 140 ? Form.At(y) : Dress.At(y);

    private static void DrawStand(SKCanvas canvas)
    {
        using var paint = new SKPaint { IsAntialias = true };

        // A turned wooden foot under a steel pole.
        paint.Shader = SKShader.CreateLinearGradient(
            new SKPoint(192, 0),
            new SKPoint(320, 0),
            [new SKColor(84, 52, 32), new SKColor(168, 112, 70), new SKColor(110, 68, 42), new SKColor(58, 34, 22)],
            [0f, 0.3f, 0.65f, 1f],
            SKShaderTileMode.Clamp);
        canvas.DrawOval(256, 604, 62, 11, paint);
        canvas.DrawRect(194, 598, 124, 6, paint);
        paint.Shader = SKShader.CreateRadialGradient(
            new SKPoint(236, 594), 80, [new SKColor(196, 138, 92), new SKColor(112, 70, 44)], SKShaderTileMode.Clamp);
        canvas.DrawOval(256, 598, 62, 10, paint);

        paint.Shader = SKShader.CreateLinearGradient(
            new SKPoint(250, 0),
            new SKPoint(262, 0),
            [new SKColor(96, 94, 92), new SKColor(236, 234, 230), new SKColor(150, 147, 143), new SKColor(70, 68, 66)],
            [0f, 0.35f, 0.6f, 1f],
            SKShaderTileMode.Clamp);
        canvas.DrawRect(250.5f, 480, 11, 117, paint);

        // The skirt keeps the light from the pole's upper end.
        paint.Shader = SKShader.CreateLinearGradient(
            new SKPoint(0, 522), new SKPoint(0, 572), [new SKColor(20, 16, 14, 190), new SKColor(20, 16, 14, 0)], SKShaderTileMode.Clamp);
        canvas.DrawRect(250.5f, 500, 11, 97, paint);
        paint.Shader = null;
        paint.Color = new SKColor(54, 33, 21);
        canvas.DrawOval(256, 597, 12, 3.6f, paint);
    }

    private static void LineToOrMove(this SKPath path, bool move, float x, float y)
    {
        if (move)
        {
            path.MoveTo(x, y);
        }
        else
        {
            path.LineTo(x, y);
        }
    }

    private static double Smooth(double from, double to, double value)
    {
        var t = Math.Clamp((value - from) / (to - from), 0, 1);
        return t * t * (3 - (2 * t));
    }

    private static double Square(double value) => value * value;

    private static byte ToByte(double value) => (byte)Math.Round(Math.Clamp(value, 0, 1) * 255);

    private readonly record struct Vector(double X, double Y, double Z)
    {
        public static Vector operator +(Vector a, Vector b) => new(a.X + b.X, a.Y + b.Y, a.Z + b.Z);

        public static Vector operator *(Vector a, double s) => new(a.X * s, a.Y * s, a.Z * s);

        public double Dot(Vector other) => (X * other.X) + (Y * other.Y) + (Z * other.Z);

        public Vector Unit() => this * (1 / Math.Sqrt(Dot(this)));
    }

    // A monotone cubic through points (Fritsch and Carlson 1980): smooth, and never wider than drawn.
    private sealed class Outline
    {
        private readonly (double Y, double Half)[] _points;
        private readonly double[] _slopes;

        public Outline(params (double Y, double Half)[] points)
        {
            _points = points;
            _slopes = new double[points.Length];
            for (var i = 1; i < points.Length - 1; i++)
            {
                var (before, after) = (Secant(i - 1), Secant(i));
                _slopes[i] = before * after <= 0 ? 0 : 2 / ((1 / before) + (1 / after));
            }

            _slopes[0] = Secant(0);
            _slopes[^1] = Secant(points.Length - 2);
        }

        public double At(double y)
        {
            if (y <= _points[0].Y)
            {
                return _points[0].Half;
            }

            if (y >= _points[^1].Y)
            {
                return _points[^1].Half;
            }

            var i = 0;
            while (y > _points[i + 1].Y)
            {
                i++;
            }

            var step = _points[i + 1].Y - _points[i].Y;
            var t = (y - _points[i].Y) / step;
            return (_points[i].Half * (1 + (2 * t)) * Square(1 - t)) + (_slopes[i] * step * t * Square(1 - t))
                + (_points[i + 1].Half * Square(t) * (3 - (2 * t))) + (_slopes[i + 1] * step * Square(t) * (t - 1));
        }

        private double Secant(int i) => (_points[i + 1].Half - _points[i].Half) / (_points[i + 1].Y - _points[i].Y);
    }
}
