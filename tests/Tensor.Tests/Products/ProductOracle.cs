// Plain double-precision matrix products and convolutions, each with a bound on what rounding can do to the same sum in the
// tested type.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests;

/// <summary>Expected values and how far a correct result may be from each.</summary>
/// <param name="Values">In double precision.</param>
/// <param name="Bounds">A bound on the error, an element.</param>
public sealed record Expected(double[] Values, double[] Bounds)
{
    /// <summary>Fails at the first value that is further off than its bound.</summary>
    public void Check(ReadOnlySpan<double> actual, string what)
    {
        Assert.That(actual.Length, Is.EqualTo(Values.Length), what);
        for (var i = 0; i < actual.Length; i++)
        {
            if (!(Math.Abs(actual[i] - Values[i]) <= Bounds[i]))
            {
                Assert.Fail($"{what}: element {i} is {actual[i]:r}, expected {Values[i]:r} within {Bounds[i]:e2}");
            }
        }
    }
}

/// <summary>Products and convolutions in double precision, in the plainest form.</summary>
public static class ProductOracle
{
    /// <summary>The unit roundoff of an element type: half the distance from 1 to the next number.</summary>
    public static double UnitRoundoff(DType type) => type == DType.Float32 ? Math.ScaleB(1, -24) : Math.ScaleB(1, -53);

    /// <summary>epilogue(alpha op(a) op(b) + bias + residual) for each matrix of a batch; b is shared when <paramref name="sharedB"/>.</summary>
    public static Expected Product(
        double[] a, double[] b, double[]? bias, double[]? residual, int batch, int m, int n, int k, bool transposeA, bool transposeB,
        bool sharedB, double alpha, Epilogue epilogue, DType type)
    {
        var sums = new Sums(batch * m * n, type, k);
        for (var z = 0; z < batch; z++)
        {
            for (var i = 0; i < m; i++)
            {
                for (var j = 0; j < n; j++)
                {
                    var (sum, size) = (0.0, 0.0);
                    for (var p = 0; p < k; p++)
                    {
                        var left = a[(z * m * k) + (transposeA ? (p * m) + i : (i * k) + p)];
                        var right = b[(sharedB ? 0 : z * k * n) + (transposeB ? (j * k) + p : (p * n) + j)];
                        sum += left * right;
                        size += Math.Abs(left * right);
                    }

                    var at = (((z * m) + i) * n) + j;
                    sums.Set(at, alpha * sum, Math.Abs(alpha) * size, bias is null ? 0 : bias[j], residual is null ? 0 : residual[at], epilogue);
                }
            }
        }

        return sums.Expected;
    }

    /// <summary>epilogue(conv(x, w) + bias + residual) as the description says.</summary>
    public static Expected Convolution(in ConvolutionDescription d, double[] x, double[] w, double[]? bias, double[]? residual)
    {
        var sums = new Sums(d.N * d.OutH * d.OutW * d.OutChannels, d.ElementType, d.KernelH * d.KernelW * d.InChannels);
        var at = 0;
        for (var n = 0; n < d.N; n++)
        {
            for (var oh = 0; oh < d.OutH; oh++)
            {
                for (var ow = 0; ow < d.OutW; ow++)
                {
                    for (var o = 0; o < d.OutChannels; o++, at++)
                    {
                        var (sum, size) = (0.0, 0.0);
                        for (var r = 0; r < d.KernelH; r++)
                        {
                            for (var s = 0; s < d.KernelW; s++)
                            {
                                var (h, v) = ((oh * d.StrideH) - d.PadTop + r, (ow * d.StrideW) - d.PadLeft + s);
                                if (h < 0 || h >= d.H || v < 0 || v >= d.W)
                                {
                                    continue;
                                }

                                for (var c = 0; c < d.InChannels; c++)
                                {
                                    var term = x[(((((n * d.H) + h) * d.W) + v) * d.InChannels) + c]
                                        * w[(((((o * d.KernelH) + r) * d.KernelW) + s) * d.InChannels) + c];
                                    sum += term;
                                    size += Math.Abs(term);
                                }
                            }
                        }

                        sums.Set(at, sum, size, bias is null ? 0 : bias[o], residual is null ? 0 : residual[at], d.Epilogue);
                    }
                }
            }
        }

        return sums.Expected;
    }

    private static double Activate(Epilogue epilogue, double x) => epilogue switch
    {
        Epilogue.Silu => x / (1 + Math.Exp(-x)),
        Epilogue.Gelu => x * NormalDistribution(x),
        Epilogue.QuickGelu => x / (1 + Math.Exp(-1.702 * x)),
        _ => x,
    };

    /// <summary>Phi(x), by the series of the error function where it converges fast and by a continued fraction elsewhere.</summary>
    private static double NormalDistribution(double x)
    {
        var z = Math.Abs(x);
        if (z < 4)
        {
            // Phi(z) = 1/2 + phi(z) (z + z^3/3 + z^5/15 + ...), Abramowitz and Stegun 26.2.11.
            var (term, sum) = (z, z);
            for (var i = 3; term > sum * 1e-17; i += 2)
            {
                term *= z * z / i;
                sum += term;
            }

            var upper = 0.5 + (sum * Density(z));
            return x < 0 ? 1 - upper : upper;
        }

        // 1 - Phi(z) = phi(z) / (z + 1/(z + 2/(z + 3/(z + ...)))), Abramowitz and Stegun 26.2.14.
        var fraction = z;
        for (var i = 60; i > 0; i--)
        {
            fraction = z + (i / fraction);
        }

        var tail = Density(z) / fraction;
        return x < 0 ? tail : 1 - tail;
    }

    private static double Density(double z) => Math.Exp(-0.5 * z * z) / Math.Sqrt(2 * Math.PI);

    /// <summary>Collects finished sums with their bounds.</summary>
    private sealed class Sums(int count, DType type, int terms)
    {
        private readonly double[] _values = new double[count];
        private readonly double[] _bounds = new double[count];

        public Expected Expected => new(_values, _bounds);

        public void Set(int at, double sum, double size, double bias, double residual, Epilogue epilogue)
        {
            var value = sum + bias + residual;
            var u = UnitRoundoff(type);

            // A sum of n terms is off by at most n u times the sum of their sizes, in whatever order (Higham, Accuracy and
            // Stability of Numerical Algorithms, 3.5, to first order); products, alpha, bias and residual are four terms more,
            // and the oracle's own sums in double add as much again when double is the tested type.
            var error = (type == DType.Float64 ? 2 : 1) * (terms + 4) * u * (size + Math.Abs(bias) + Math.Abs(residual));
            _values[at] = Activate(epilogue, value);

            // The activations' slopes stay below 1.13; they themselves are a handful of operations (exp or erf at 2 to 3 ulp,
            // an addition, a product, a division) on numbers of the argument's size.
            _bounds[at] = (1.13 * error) + (epilogue == Epilogue.None ? 0 : 16 * u * Math.Abs(value)) + double.Epsilon;
        }
    }
}
