// Random tensors from Philox4x32-10: what an element is depends on seed, purpose and its number alone.
using System.Text;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>
    /// Standard normal numbers. Element i depends on (seed, purpose, offset + i) alone: neither on the shape nor on how the
    /// kernel is launched, so that a longer tensor, or a part of one, continues the same stream. Every device gives the same
    /// bits. Double tensors hold the float numbers, widened: a run in double starts from the same noise.
    /// </summary>
    /// <param name="context">Where the tensor is made.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="purpose">What the numbers are for, such as "sampler/noise"; each purpose has a stream of its own.</param>
    /// <param name="offset">The number of the first element in the stream.</param>
    /// <param name="type">Float32 or Float64.</param>
    public static Tensor Randn(DeviceContext context, Shape shape, ulong seed, string purpose, long offset = 0, DType type = DType.Float32)
    {
        Require(offset >= 0, $"the offset {offset} is negative");
        var y = NewFloating(context, shape, type);
        var n = (int)y.Count;
        var (key, stream) = ((long)seed, (long)PurposeHash(purpose));
        if (n > 0 && type == DType.Float32)
        {
            RandomKernels.RandomNormalF32(context.Stream, CoverQuads(offset, n), y.Pointer<float>(), key, stream, offset, n);
        }
        else if (n > 0)
        {
            RandomKernels.RandomNormalF64(context.Stream, CoverQuads(offset, n), y.Pointer<double>(), key, stream, offset, n);
        }

        return y;
    }

    /// <summary>
    /// Numbers low + (high - low) * u with u uniform in [0, 1) and a multiple of 2^-24; rounding may give high itself.
    /// Streams as in <see cref="Randn"/>.
    /// </summary>
    /// <param name="context">Where the tensor is made.</param>
    /// <param name="shape">Its shape.</param>
    /// <param name="low">The lower end.</param>
    /// <param name="high">The upper end.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="purpose">What the numbers are for.</param>
    /// <param name="offset">The number of the first element in the stream.</param>
    /// <param name="type">Float32 or Float64.</param>
    public static Tensor RandUniform(
        DeviceContext context, Shape shape, double low, double high, ulong seed, string purpose, long offset = 0, DType type = DType.Float32)
    {
        Require(offset >= 0, $"the offset {offset} is negative");
        Require(low <= high, $"the lower end {low} is above the upper end {high}");
        var y = NewFloating(context, shape, type);
        var n = (int)y.Count;
        var (key, stream) = ((long)seed, (long)PurposeHash(purpose));
        var (first, range) = ((float)low, (float)(high - low));
        if (n > 0 && type == DType.Float32)
        {
            RandomKernels.RandomUniformF32(context.Stream, CoverQuads(offset, n), y.Pointer<float>(), first, range, key, stream, offset, n);
        }
        else if (n > 0)
        {
            RandomKernels.RandomUniformF64(context.Stream, CoverQuads(offset, n), y.Pointer<double>(), first, range, key, stream, offset, n);
        }

        return y;
    }

    /// <summary>A purpose as the upper half of Philox's counter: the 64-bit FNV-1a hash of its UTF-8 bytes.</summary>
    internal static ulong PurposeHash(string purpose)
    {
        var hash = 0xCBF29CE484222325UL;
        foreach (var value in Encoding.UTF8.GetBytes(purpose))
        {
            hash = unchecked((hash ^ value) * 0x100000001B3UL);
        }

        return hash;
    }

    /// <summary>A thread for every group of four elements that the range touches; its first group may start before the range.</summary>
    private static LaunchShape CoverQuads(long offset, int n) => Cover(CeilingDivide(n + (int)(offset & 3), 4));
}
