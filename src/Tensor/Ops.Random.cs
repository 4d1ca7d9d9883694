// Random tensors from Philox4x32-10: what an element is depends on seed, purpose and its number alone.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>
    /// Standard normal numbers. Element i depends on (seed, purpose, offset + i) alone: neither on the shape nor on how the
    /// kernel is launched, so that a longer tensor, or a part of one, continues the same stream.
    /// </summary>
    public static Tensor Randn(DeviceContext context, Shape shape, ulong seed, string purpose, long offset = 0, DType type = DType.Float32) => Pending();

    /// <summary>Numbers uniform in [low, high); elements as in <see cref="Randn"/>.</summary>
    public static Tensor RandUniform(
        DeviceContext context, Shape shape, double low, double high, ulong seed, string purpose, long offset = 0, DType type = DType.Float32) => Pending();
}
