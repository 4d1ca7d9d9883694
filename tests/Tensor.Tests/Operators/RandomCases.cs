// Cases of the operators of Ops.Random.cs: the oracle draws the same streams on the host, in double.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors.Tests.Operators;

public sealed class RandomCases : IOperatorCases
{
    private const ulong Seed = 0x9876_5432_10AB_CDEF;

    public static IEnumerable<OperatorCase> Cases =>
        (from size in (int[])[1, 3, 5, 31, 33, 127, 1024, 1025, 4097]
         from offset in (long[])[0, 1, 6, (1L << 40) + 3]
         from @case in (OperatorCase[])[Normal(size, offset), Uniform(size, offset)]
         select @case)
        .Append(Bits);

    private static OperatorCase Bits => new()
    {
        Name = "Philox words",
        Kernels = ["random_bits_u32"],
        Run = x =>
        {
            var words = Tensor.Empty(x.Context, [4 * 33], DType.UInt32);
            RandomKernels.RandomBitsU32(
                x.Context.Stream, new LaunchShape(2, 32), words.Pointer<uint>(), unchecked((long)Seed), -7, uint.MaxValue - 16L, 33);
            return words;
        },
        Oracle = _ => new HostTensor([4 * 33], [.. Enumerable.Range(0, 33).SelectMany(i
            => HostPhilox.Words(uint.MaxValue - 16UL + (ulong)i, unchecked((ulong)-7L), Seed).Select(word => (double)word))]),
        Tolerance = Tolerance.Exact("integers"),
        Types = [DType.Float32],
        ResultType = DType.UInt32,
    };

    private static OperatorCase Normal(int size, long offset) => new()
    {
        Name = $"Randn [{size}] from {offset}",
        Kernels = ["random_normal"],
        Run = x => Ops.Cast(Ops.Randn(x.Context, [size], Seed, "test/normal", offset, x.Type), DType.Float32),
        ResultType = DType.Float32,
        Oracle = _ => Stream("test/normal", size, offset, (random, i) => random.Normal(i)),
        Tolerance = Tolerance.OfElement(
            4, "logarithm 1 ulp, halved by the root, root and product 1/2 each; angle 1 ulp, sine and cosine 1 each (Cephes)"),
    };

    private static OperatorCase Uniform(int size, long offset) => new()
    {
        Name = $"RandUniform [{size}] from {offset}",
        Kernels = ["random_uniform"],
        Run = x => Ops.Cast(Ops.RandUniform(x.Context, [size], -0.25, 0.5, Seed, "test/uniform", offset, x.Type), DType.Float32),
        ResultType = DType.Float32,
        Oracle = _ => Stream("test/uniform", size, offset, (random, i) => -0.25 + (0.75 * random.Uniform(i))),
        Tolerance = Tolerance.Exact("one fused multiply-add on exact numbers"),
    };

    private static HostTensor Stream(string purpose, int size, long offset, Func<HostPhilox, long, double> element)
    {
        var random = new HostPhilox(Seed, HostPhilox.Hash(purpose));
        return new HostTensor([size], [.. Enumerable.Range(0, size).Select(i => element(random, offset + i))]);
    }
}
