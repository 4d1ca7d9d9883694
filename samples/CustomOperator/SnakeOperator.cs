// An operator of one's own from end to end: kernels in a .cu file, launched by name, recorded on the tape with a backward.
using FashionFlow.Autograd;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace CustomOperator;

/// <summary>The activation Snake, with a frequency for each channel that can be learned.</summary>
public static class SnakeOperator
{
    private static readonly KernelSourceSet s_kernels = KernelSourceSet.FromAssembly(typeof(SnakeOperator).Assembly);

    /// <summary>y = x + sin^2(a x) / a (arXiv 2006.08195).</summary>
    /// <param name="x">[rows, channels], float32 or float64.</param>
    /// <param name="a">[channels], of the same type.</param>
    /// <returns>As x.</returns>
    /// <exception cref="ArgumentException">The shapes or types do not fit.</exception>
    public static Tensor Snake(Tensor x, Tensor a)
    {
        if (x.Shape.Rank != 2 || a.Shape != [x.Shape[1]] || x.DType != a.DType || x.DType is not (DType.Float32 or DType.Float64))
        {
            throw new ArgumentException($"Snake: x is {x}, a is {a}; expected [rows, channels] and [channels], both Float32 or both Float64");
        }

        var (rows, channels) = (x.Shape[0], x.Shape[1]);
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        Launch("snake", y, rows * channels, x.Pointer<byte>(), a.Pointer<byte>(), y.Pointer<byte>(), rows, channels);

        // Without a tape this does nothing. The backward computes what is asked for, from what was saved: it must not touch x and a.
        return Tape.Record(nameof(Snake), y, inputs: [x, a], saved: [x, a], call =>
        {
            var (x, a, gradient) = (call.Saved(0), call.Saved(1), call.Gradient);
            if (call.Needs(0))
            {
                var dx = Tensor.Empty(x.Context, x.Shape, x.DType);
                Launch("snake_backward_x", dx, rows * channels, x.Pointer<byte>(), a.Pointer<byte>(), gradient.Pointer<byte>(), dx.Pointer<byte>(), rows, channels);
                call.Set(0, dx);
            }

            if (call.Needs(1))
            {
                var da = Tensor.Empty(x.Context, a.Shape, a.DType);
                Launch("snake_backward_a", da, channels, x.Pointer<byte>(), a.Pointer<byte>(), gradient.Pointer<byte>(), da.Pointer<byte>(), rows, channels);
                call.Set(1, da);
            }
        });
    }

    private static void Launch(string name, Tensor result, int threads, params ReadOnlySpan<KernelArgument> arguments)
    {
        const int Block = 128;
        if (threads > 0)
        {
            result.Context.Device.KernelsOf(s_kernels)
                .GetFunction("snake.cu", name + (result.DType == DType.Float64 ? "_f64" : "_f32"))
                .LaunchWith(result.Context.Stream, new LaunchShape((threads + Block - 1) / Block, Block), arguments);
        }
    }
}
