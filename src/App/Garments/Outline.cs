// A smooth curve through a few points: how wide a body, a sleeve or a skirt is at each height.
namespace FashionFlow.App.Garments;

/// <summary>A monotone cubic through points (Fritsch and Carlson 1980): between two points it never leaves their values' range.</summary>
internal sealed class Outline
{
    private readonly (double At, double Value)[] _points;
    private readonly double[] _slopes;

    /// <summary>The curve through <paramref name="points"/>, which must ascend; beyond them it is constant.</summary>
    public Outline(params (double At, double Value)[] points)
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

    /// <summary>The curve's value.</summary>
    public double this[double at]
    {
        get
        {
            if (at <= _points[0].At)
            {
                return _points[0].Value;
            }

            if (at >= _points[^1].At)
            {
                return _points[^1].Value;
            }

            var i = 0;
            while (at > _points[i + 1].At)
            {
                i++;
            }

            var step = _points[i + 1].At - _points[i].At;
            var t = (at - _points[i].At) / step;
            var s = 1 - t;
            return (_points[i].Value * (1 + (2 * t)) * s * s) + (_slopes[i] * step * t * s * s)
                + (_points[i + 1].Value * t * t * (3 - (2 * t))) + (_slopes[i + 1] * step * t * t * (t - 1));
        }
    }

    private double Secant(int i) => (_points[i + 1].Value - _points[i].Value) / (_points[i + 1].At - _points[i].At);
}
