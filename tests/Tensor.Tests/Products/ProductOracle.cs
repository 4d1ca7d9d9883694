// Plain matrix products and convolutions in double, the bound on what rounding can do to them, and the activations after them.
using FashionFlow.Gpu;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests.Products;

/// <summary>Products and convolutions in double precision, in the plainest form.</summary>
public static class ProductOracle
{
    /// <summary>
    /// How far a sum of n products may be off, in epsilons of the sum of its terms' sizes, however it is ordered: n u for the
    /// sum (Higham, Accuracy and Stability of Numerical Algorithms, 3.5), 4 u for product, factor, bias and residual; activations
    /// have slopes below 1.13 and are themselves 16 u (exp or erf at 3 ulp, 1 + erf cancelling, sum, product, quotient) of their
    /// argument. Twice that, since the oracle's own sums in double are as far off when double is what is tested.
    /// </summary>
    public static Tolerance Bound(int terms, Func<HostTensor[], HostTensor> sizes)
        => Tolerance.OfSize((1.13 * (terms + 4)) + 16, sizes, "error bound of a sum of products in any order, Higham 3.5");

    /// <summary>alpha op(a) op(b) for each matrix over the leading axes; one without leading axes is shared.</summary>
    public static HostTensor Product(HostTensor a, HostTensor b, bool transposeA = false, bool transposeB = false, double alpha = 1)
    {
        var (m, k) = transposeA ? (a.Shape[-1], a.Shape[-2]) : (a.Shape[-2], a.Shape[-1]);
        var n = b.Shape[transposeB ? -2 : -1];
        var shape = (a.Shape.Rank == 2 ? b : a).Shape.With(-2, m).With(-1, n);
        var result = new double[shape.Count];
        for (var at = 0; at < result.Length; at++)
        {
            var (matrix, i, j) = (at / (m * n), at / n % m, at % n);
            var sum = 0.0;
            for (var p = 0; p < k; p++)
            {
                sum += a.Data[(a.Shape.Rank == 2 ? 0 : matrix * m * k) + (transposeA ? (p * m) + i : (i * k) + p)]
                    * b.Data[(b.Shape.Rank == 2 ? 0 : matrix * k * n) + (transposeB ? (j * k) + p : (p * n) + j)];
            }

            result[at] = alpha * sum;
        }

        return new HostTensor(shape, result);
    }

    /// <summary>conv(x, w): x [n, h, w, ci], w [co, kh, kw, ci].</summary>
    public static HostTensor Convolution(HostTensor x, HostTensor w, int stride, Padding2d padding)
    {
        var (height, width, ci) = (x.Shape[1], x.Shape[2], x.Shape[3]);
        var (co, kernelH, kernelW) = (w.Shape[0], w.Shape[1], w.Shape[2]);
        var outH = ((height + padding.Top + padding.Bottom - kernelH) / stride) + 1;
        var outW = ((width + padding.Left + padding.Right - kernelW) / stride) + 1;
        return HostTensor.Generate([x.Shape[0], outH, outW, co], y =>
        {
            var sum = 0.0;
            for (var r = 0; r < kernelH; r++)
            {
                for (var s = 0; s < kernelW; s++)
                {
                    var (h, v) = ((y[1] * stride) - padding.Top + r, (y[2] * stride) - padding.Left + s);
                    if (h < 0 || h >= height || v < 0 || v >= width)
                    {
                        continue;
                    }

                    var pixel = ((((y[0] * height) + h) * width) + v) * ci;
                    var tap = ((((y[3] * kernelH) + r) * kernelW) + s) * ci;
                    for (var c = 0; c < ci; c++)
                    {
                        sum += x.Data[pixel + c] * w.Data[tap + c];
                    }
                }
            }

            return sum;
        });
    }

    /// <summary>The gradient of conv(x, w)'s x, of this shape, from the result's: what each output was made from gets its part.</summary>
    public static HostTensor ConvolutionBackwardInput(HostTensor gradient, HostTensor w, Shape x, int stride, Padding2d padding)
    {
        var dx = new HostTensor(x);
        OverTerms(x, w.Shape, gradient.Shape, stride, padding, (y, tap, pixel) => dx.Data[pixel] += gradient.Data[y] * w.Data[tap]);
        return dx;
    }

    /// <summary>The gradient of conv(x, w)'s w, of this shape, from the result's.</summary>
    public static HostTensor ConvolutionBackwardWeight(HostTensor x, HostTensor gradient, Shape w, int stride, Padding2d padding)
    {
        var dw = new HostTensor(w);
        OverTerms(x.Shape, w, gradient.Shape, stride, padding, (y, tap, pixel) => dw.Data[tap] += gradient.Data[y] * x.Data[pixel]);
        return dw;
    }

    /// <summary>epilogue(sum + bias + residual); both may be null.</summary>
    public static HostTensor Finish(HostTensor sum, HostTensor? bias, HostTensor? residual, Epilogue epilogue)
    {
        var columns = sum.Shape[-1];
        return new HostTensor(
            sum.Shape,
            [.. sum.Data.Select((value, i) => Activate(epilogue, value + (bias is null ? 0 : bias.Data[i % columns]) + (residual is null ? 0 : residual.Data[i])))]);
    }

    /// <summary>The inputs without their signs: of these, the same sum is the sum of its terms' sizes.</summary>
    public static HostTensor[] Sizes(HostTensor[] inputs) => [.. inputs.Select(input => input.Map(Math.Abs))];

    /// <summary>Every product w[tap] x[pixel] that conv(x, w) adds to its element y, by their places in the arrays.</summary>
    private static void OverTerms(Shape x, Shape w, Shape y, int stride, Padding2d padding, Action<int, int, int> term)
    {
        for (var at = 0; at < y.Count; at++)
        {
            var (n, oh, ow, o) = (at / (y[1] * y[2] * y[3]), at / (y[2] * y[3]) % y[1], at / y[3] % y[2], at % y[3]);
            for (var tap = 0; tap < w[1] * w[2] * w[3]; tap++)
            {
                var (h, v) = ((oh * stride) - padding.Top + (tap / (w[2] * w[3])), (ow * stride) - padding.Left + (tap / w[3] % w[2]));
                if (h >= 0 && h < x[1] && v >= 0 && v < x[2])
                {
                    term(at, (o * w[1] * w[2] * w[3]) + tap, (((((n * x[1]) + h) * x[2]) + v) * x[3]) + (tap % w[3]));
                }
            }
        }
    }

    public static double Activate(Epilogue epilogue, double x) => epilogue switch
    {
        Epilogue.Silu => x / (1 + Math.Exp(-x)),
        Epilogue.Gelu => x * NormalDistribution(x),
        Epilogue.QuickGelu => x / (1 + Math.Exp(-1.702 * x)),
        _ => x,
    };

    /// <summary>Phi(x): by a series of positive terms up to 4 (Abramowitz and Stegun 26.2.11), a continued fraction beyond (26.2.14).</summary>
    private static double NormalDistribution(double x)
    {
        var z = Math.Abs(x);
        var density = Math.Exp(-0.5 * z * z) / Math.Sqrt(2 * Math.PI);
        var tail = 0.0;
        if (z < 4)
        {
            var (term, sum) = (z, z);
            for (var i = 3; term > sum * 1e-17; i += 2)
            {
                term *= z * z / i;
                sum += term;
            }

            tail = 0.5 - (sum * density);
        }
        else
        {
            var fraction = z;
            for (var i = 60; i > 0; i--)
            {
                fraction = z + (i / fraction);
            }

            tail = density / fraction;
        }

        return x < 0 ? tail : 1 - tail;
    }
}
