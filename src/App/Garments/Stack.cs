// A part of a figure: ellipses stacked along the height. A line of sight meets such a part where a quadratic equation says,
// so that a picture needs no mesh and no buffer deeper than a row.
namespace FashionFlow.App.Garments;

/// <summary>
/// The ellipse of a part at one height, in the figure's own directions: u to its left, w to its front, in metres from its axis.
/// </summary>
/// <param name="U">The centre.</param>
/// <param name="W">The centre.</param>
/// <param name="A">The half width along u.</param>
/// <param name="B">The half depth along w.</param>
internal readonly record struct Ellipse(double U, double W, double A, double B);

/// <summary>A point of a part's surface.</summary>
/// <param name="Y">Metres above the floor.</param>
/// <param name="Angle">The place around the ellipse, in radians: 0 in front, positive to the figure's left, up to pi at the back.</param>
/// <param name="Ellipse">The ellipse.</param>
/// <param name="IsInside">Whether the surface is seen from within.</param>
internal readonly record struct SurfacePoint(double Y, double Angle, Ellipse Ellipse, bool IsInside)
{
    /// <summary>Metres to the left of the ellipse's centre, seen from in front.</summary>
    public double Across => Ellipse.A * Math.Sin(Angle);

    /// <summary>Whether it is on the front half.</summary>
    public bool IsFront => Math.Abs(Angle) < Math.PI / 2;
}

/// <summary>A part of a figure.</summary>
internal sealed class Stack
{
    /// <summary>The lowest height at which there may be something of it.</summary>
    public required double Bottom { get; init; }

    /// <summary>The highest.</summary>
    public required double Top { get; init; }

    /// <summary>The ellipse at a height.</summary>
    public required Func<double, Ellipse> Shape { get; init; }

    /// <summary>The turn at a height, in radians.</summary>
    public required Func<double, double> Yaw { get; init; }

    /// <summary>What it looks like at a point.</summary>
    public required Func<SurfacePoint, Vector> Paint { get; init; }

    /// <summary>Whether a point is there at all, as it is not in a neckline; null where all of them are.</summary>
    public Func<SurfacePoint, bool>? Covers { get; init; }

    /// <summary>How much the surface leans around the part, as folds do: the derivative of its height along the angle. Null without folds.</summary>
    public Func<SurfacePoint, double>? Folds { get; init; }

    /// <summary>How strongly it shines.</summary>
    public double Gloss { get; init; }

    /// <summary>The part at one height, as the camera sees it.</summary>
    public Slice At(double y)
    {
        const double Step = 1e-3;
        var (above, below) = (Shape(y + Step), Shape(y - Step));
        return new Slice(this, y, Shape(y), Yaw(y), (above.U - below.U) / (2 * Step), (above.W - below.W) / (2 * Step), (above.A - below.A) / (2 * Step), (above.B - below.B) / (2 * Step));
    }
}

/// <summary>
/// An ellipse turned towards the camera: x to the picture's right, z to the viewer, lines of sight along z.
/// </summary>
internal readonly struct Slice
{
    private readonly double _y;
    private readonly Ellipse _ellipse;
    private readonly double _slopeU;
    private readonly double _slopeW;
    private readonly double _slopeA;
    private readonly double _slopeB;
    private readonly double _sin;
    private readonly double _cos;

    // The quadratic equation p z^2 + 2 q x z + r x^2 = 1 of the ellipse about its centre.
    private readonly double _p;
    private readonly double _q;
    private readonly double _r;

    /// <summary>Turns an ellipse whose centre and radii change with the height as told.</summary>
    public Slice(Stack part, double y, Ellipse ellipse, double yaw, double slopeU, double slopeW, double slopeA, double slopeB)
    {
        (Part, _y, _ellipse) = (part, y, ellipse);
        (_slopeU, _slopeW, _slopeA, _slopeB) = (slopeU, slopeW, slopeA, slopeB);
        (_sin, _cos) = Math.SinCos(yaw);
        CentreX = (ellipse.U * _cos) + (ellipse.W * _sin);
        CentreZ = (ellipse.W * _cos) - (ellipse.U * _sin);
        var (a, b) = (1 / (ellipse.A * ellipse.A), 1 / (ellipse.B * ellipse.B));
        _p = (_sin * _sin * a) + (_cos * _cos * b);
        _q = _sin * _cos * (b - a);
        _r = (_cos * _cos * a) + (_sin * _sin * b);
        HalfWidth = ellipse.A > 0 && ellipse.B > 0 ? Math.Sqrt((ellipse.A * ellipse.A * _cos * _cos) + (ellipse.B * ellipse.B * _sin * _sin)) : 0;
    }

    /// <summary>The part.</summary>
    public Stack Part { get; }

    /// <summary>The middle of what it covers.</summary>
    public double CentreX { get; }

    /// <summary>Half of what it covers.</summary>
    public double HalfWidth { get; }

    private double CentreZ { get; }

    /// <summary>Where the line of sight at <paramref name="x"/> enters the ellipse, and where it leaves it; false where it misses it.</summary>
    public bool Meets(double x, out double near, out double far)
    {
        var across = x - CentreX;
        var middle = -_q * across / _p;
        var rest = (middle * middle) - (((_r * across * across) - 1) / _p);
        var half = rest > 0 ? Math.Sqrt(rest) : 0;
        (near, far) = (CentreZ + middle + half, CentreZ + middle - half);
        return rest > 0;
    }

    /// <summary>The surface's point at a place that <see cref="Meets"/> found.</summary>
    public SurfacePoint Point(double x, double z, bool isInside)
    {
        var (u, w) = ToFigure(x - CentreX, z - CentreZ);
        return new SurfacePoint(_y, Math.Atan2(u / _ellipse.A, w / _ellipse.B), _ellipse, isInside);
    }

    /// <summary>The direction in which the surface looks there; always one towards the viewer.</summary>
    public Vector Normal(double x, double z, SurfacePoint point)
    {
        // The gradient of (u / A)^2 + (w / B)^2, whose centre and radii are functions of the height.
        var (u, w) = ToFigure(x - CentreX, z - CentreZ);
        var (ua, wb) = (u / _ellipse.A, w / _ellipse.B);
        var along = -(((ua * (_slopeU + (ua * _slopeA))) / _ellipse.A) + ((wb * (_slopeW + (wb * _slopeB))) / _ellipse.B));
        var (nu, nw) = (ua / _ellipse.A, wb / _ellipse.B);
        var length = Math.Sqrt((nu * nu) + (nw * nw));
        (nu, nw, along) = (nu / length, nw / length, along / length);
        if (Part.Folds is { } folds)
        {
            // The tangent in the direction of a growing angle is (w, -u) of the normal.
            var slope = folds(point);
            (nu, nw) = (nu - (slope * nw), nw + (slope * nu));
        }

        var normal = new Vector((nu * _cos) + (nw * _sin), along, (nw * _cos) - (nu * _sin)).Unit();
        return point.IsInside ? normal * -1 : normal;
    }

    // x = u cos + w sin, z = w cos - u sin, the other way round.
    private (double U, double W) ToFigure(double x, double z) => ((x * _cos) - (z * _sin), (x * _sin) + (z * _cos));
}
