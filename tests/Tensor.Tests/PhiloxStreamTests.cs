// The host's random numbers: those that a device gives for the same seed and purpose, and whole numbers from them.
using CsCheck;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests;

public class PhiloxStreamTests
{
    [Test]
    public void A_stream_has_the_oracle_s_numbers() =>
        Gen.Select(Gen.ULong, Gen.String).Sample(
            (seed, purpose) =>
            {
                var (stream, oracle) = (new PhiloxStream(seed, purpose), new HostPhilox(seed, HostPhilox.Hash(purpose)));
                return Enumerable.Range(0, 9).All(i => stream.NextUniform() == oracle.Uniform(i));
            },
            iter: 200,
            threads: 1);

    [Test]
    public void A_stream_has_a_device_s_numbers() => TestDevices.Run(context =>
    {
        using var tensor = Ops.RandUniform(context, [11], 0, 1, 7, "host", type: DType.Float64);
        var stream = new PhiloxStream(7, "host");
        Assert.That(tensor.ToArray<double>(), Is.EqualTo(Enumerable.Range(0, 11).Select(_ => stream.NextUniform())));
    });

    [TestCase(1)]
    [TestCase(7)]
    [TestCase(1000)]
    public void Whole_numbers_come_equally_often(int bound)
    {
        const int Each = 200;
        var counts = new int[bound];
        var stream = new PhiloxStream(1, "whole numbers");
        for (var i = 0; i < Each * bound; i++)
        {
            counts[stream.NextBelow(bound)]++;
        }

        // Pearson's sum has mean and half its variance bound - 1; five standard deviations. The numbers are fixed by the seed.
        var sum = counts.Sum(count => (double)(count - Each) * (count - Each) / Each);
        Assert.That(sum, Is.EqualTo(bound - 1).Within(5 * Math.Sqrt(2 * (bound - 1))));
    }

    [Test]
    public void A_bound_must_be_positive() => Assert.That(() => new PhiloxStream(0, "none").NextBelow(0), Throws.TypeOf<ArgumentOutOfRangeException>());
}
