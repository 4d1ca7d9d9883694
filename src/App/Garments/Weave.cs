// Patterns of cloth, laid around a part by its angle: when the part turns, they move over it as they would.
namespace FashionFlow.App.Garments;

/// <summary>A cloth around a part.</summary>
/// <param name="cloth">The cloth.</param>
/// <param name="girth">How much of the cloth's repeats goes around this part: 1 for the body, less for an arm.</param>
/// <param name="top">Where a gradient starts, in metres above the floor.</param>
/// <param name="bottom">Where a gradient ends.</param>
internal sealed class Weave(Cloth cloth, double girth, double top, double bottom)
{
    // Metres. At 100 pixels a metre a stripe has three to four pixels.
    private const double StripePeriod = 0.085;
    private const double DotPeriod = 0.075;
    private const double DotRadius = 0.019;

    // An even number: a part's front and back, and its two sides, then look alike.
    private readonly int _repeats = Math.Max(2, 2 * (int)Math.Round(cloth.Repeats * girth / 2));

    /// <summary>The colour at a point.</summary>
    public Vector At(SurfacePoint point)
    {
        var around = (point.Angle / (2 * Math.PI) * _repeats) + 0.25;
        var down = point.Y / StripePeriod;
        return cloth.Pattern switch
        {
            Pattern.VerticalStripes => Choose(IsOdd(around)),
            Pattern.HorizontalStripes => Choose(IsOdd(down)),
            Pattern.Checks => cloth.Ground.Mix(cloth.Figure, (IsOdd(around) ? 0.5 : 0) + (IsOdd(down) ? 0.5 : 0)),
            Pattern.Dots => Choose(IsDot(point)),
            Pattern.Gradient => cloth.Ground.Mix(cloth.Figure, Math.Clamp((top - point.Y) / (top - bottom), 0, 1)),
            Pattern.TwoTone => Choose(point.Angle > 0),
            _ => cloth.Ground,
        };
    }

    private static bool IsOdd(double periods) => periods - Math.Floor(periods) >= 0.5;

    private Vector Choose(bool figure) => figure ? cloth.Figure : cloth.Ground;

    // Rows of dots, every other one shifted by half; they stay round where the part widens.
    private bool IsDot(SurfacePoint point)
    {
        var row = Math.Floor(point.Y / DotPeriod);
        var shift = row % 2 == 0 ? 0 : 0.5;
        var column = (point.Angle / (2 * Math.PI) * _repeats) + shift;
        var across = (column - Math.Floor(column) - 0.5) * 2 * Math.PI / _repeats * (point.Ellipse.A + point.Ellipse.B) / 2;
        var down = point.Y - ((row + 0.5) * DotPeriod);
        return (across * across) + (down * down) < DotRadius * DotRadius;
    }
}
