// The random streams: published vectors, independence of shape and offset, the distributions.
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests;

public class PhiloxTests
{
    // Random123's known answers for philox4x32 with 10 rounds (examples/kat_vectors): counter, key, result.
    private static readonly object[] s_knownAnswers =
    [
        new object[] { 0UL, 0UL, 0UL, new uint[] { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        new object[] { ulong.MaxValue, ulong.MaxValue, ulong.MaxValue, new uint[] { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        new object[] { 0x85a308d3243f6a88UL, 0x0370734413198a2eUL, 0x299f31d0a4093822UL, new uint[] { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    ];

    [TestCaseSource(nameof(s_knownAnswers))]
    public void The_kernel_gives_the_published_words(ulong counterLow, ulong counterHigh, ulong key, uint[] expected) => TestDevices.Run(context =>
    {
        using var words = Tensor.Empty(context, [4], DType.UInt32);
        RandomKernels.RandomBitsU32(
            context.Stream, new LaunchShape(1, 32), words.Pointer<uint>(), unchecked((long)key), unchecked((long)counterHigh), unchecked((long)counterLow), 1);
        Assert.That(words.ToArray<uint>(), Is.EqualTo(expected));
    });

    [TestCaseSource(nameof(s_knownAnswers))]
    public void The_oracle_gives_the_published_words(ulong counterLow, ulong counterHigh, ulong key, uint[] expected)
        => Assert.That(HostPhilox.Words(counterLow, counterHigh, key), Is.EqualTo(expected));

    [Test]
    public void An_element_depends_on_seed_purpose_and_number_alone() => TestDevices.Run(context =>
    {
        using var scope = TensorScope.Begin();
        var whole = Ops.Randn(context, [2, 3, 50], 7, "noise").ToArray<float>();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Ops.Randn(context, [300], 7, "noise").ToArray<float>(), Is.EqualTo(whole), "another shape");
            for (var offset = 1; offset < 9; offset++)
            {
                Assert.That(Ops.Randn(context, [101], 7, "noise", offset).ToArray<float>(), Is.EqualTo(whole[offset..(offset + 101)]), $"from {offset}");
            }

            Assert.That(Ops.Randn(context, [300], 8, "noise").ToArray<float>(), Is.Not.EqualTo(whole), "another seed");
            Assert.That(Ops.Randn(context, [300], 7, "other").ToArray<float>(), Is.Not.EqualTo(whole), "another purpose");
            Assert.That(
                Array.ConvertAll(Ops.Randn(context, [300], 7, "noise", type: DType.Float64).ToArray<double>(), value => (float)value),
                Is.EqualTo(whole),
                "in double");
        }
    });

    // The digest comes from the kernel's source compiled for a CPU without contraction: IEEE arithmetic leaves one answer.
    [Test]
    public void Every_device_gives_the_same_bits([ValueSource(typeof(TestDevice), nameof(TestDevice.AtHand))] TestDevice device)
        => TestDevices.Run(device, (context, _) =>
        {
            using var numbers = Ops.Randn(context, [4099], 1, "bits", offset: 5);
            var digest = SHA256.HashData(MemoryMarshal.AsBytes<float>(numbers.ToArray<float>()));
            Assert.That(Convert.ToHexStringLower(digest), Is.EqualTo("0a2188778926e97058b9afd16a01b792dff841428b428e20b0c08614d83eec29"));
        });

    [Test]
    public void Numbers_are_distributed_as_they_should_be() => TestDevices.Run(context =>
    {
        const int Count = 1 << 16;
        using var scope = TensorScope.Begin();
        var normal = Ops.Randn(context, [Count], 1, "moments").ToArray<float>();
        var uniform = Ops.RandUniform(context, [Count], -1, 3, 1, "moments").ToArray<float>();

        // Five standard errors of each moment: 1/sqrt(n) for the mean, sqrt(2/n) for the variance, sqrt(96/n) for the fourth
        // moment of a normal; (b - a)/sqrt(12 n) for the mean of a uniform distribution. The numbers are fixed by the seed.
        var error = 5 / Math.Sqrt(Count);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(normal.Average(), Is.Zero.Within(error));
            Assert.That(normal.Average(x => (double)x * x), Is.EqualTo(1).Within(error * Math.Sqrt(2)));
            Assert.That(normal.Average(x => Math.Pow(x, 4)), Is.EqualTo(3).Within(error * Math.Sqrt(96)));
            Assert.That(uniform.Average(), Is.EqualTo(1).Within(error * 4 / Math.Sqrt(12)));
            Assert.That(uniform, Is.All.InRange(-1f, 3f));
        }
    });

    [Test]
    public void A_purpose_is_hashed_by_FNV_1a()
    {
        // Fowler, Noll, Vo: the test vectors of the 64-bit FNV-1a hash for "", "a" and "foobar".
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Ops.PurposeHash(""), Is.EqualTo(0xcbf29ce484222325));
            Assert.That(Ops.PurposeHash("a"), Is.EqualTo(0xaf63dc4c8601ec8c));
            Assert.That(Ops.PurposeHash("foobar"), Is.EqualTo(0x85944171f73967e8));
        }
    }
}
