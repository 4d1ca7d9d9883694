// The measure itself: what it lets through and what it stops.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public class ToleranceTests
{
    private static readonly double s_epsilon = Math.Pow(2, -23);

    [TestCase(1.0, 1.0, true)]
    [TestCase(0.1, 0.1f, true, Description = "the oracle is rounded to the element type")]
    [TestCase(0.1, 0.1, false)]
    [TestCase(double.NaN, double.NaN, true)]
    [TestCase(1.0, double.NaN, false)]
    [TestCase(double.NaN, 1.0, false)]
    [TestCase(double.PositiveInfinity, double.PositiveInfinity, true)]
    [TestCase(double.PositiveInfinity, 3e38, false)]
    [TestCase(1e39, double.PositiveInfinity, true, Description = "above the largest float")]
    public void Exact(double oracle, double result, bool passes)
        => AssertPasses(Tolerance.Exact("test"), [oracle], [result], passes);

    [TestCase(4.0, true)]
    [TestCase(4.01, false)]
    [TestCase(double.NaN, false)]
    [TestCase(double.PositiveInfinity, false)]
    public void Of_the_element(double epsilons, bool passes)
        => AssertPasses(Tolerance.OfElement(4, "test"), [1000, -8], [1000, -8 * (1 + (epsilons * s_epsilon))], passes);

    [TestCase(4.0, true)]
    [TestCase(4.01, false)]
    public void Of_the_element_and_a_constant(double epsilons, bool passes)
        => AssertPasses(Tolerance.OfElement(4, "test", zero: 2), [0], [2 * epsilons * s_epsilon], passes);

    [TestCase(500.0, true)]
    [TestCase(501.0, false)]
    public void Of_the_largest(double epsilons, bool passes)
        => AssertPasses(Tolerance.OfLargest(4, "test"), [1000, -8], [1000, -8 * (1 + (epsilons * s_epsilon))], passes);

    [Test]
    public void The_worst_element_is_named()
        => Assert.That(
            () => Assert.Multiple(() => Tolerance.Exact("why").Check([], new HostTensor([3], [1, 2, 3]), new HostTensor([3], [1, 2.5, 3.25]), DType.Float32)),
            Throws.TypeOf<MultipleAssertException>().With.Message.Contains("element 1 of [3] is 2.5, expected 2").And.Message.Contains("(why)"));

    private static void AssertPasses(Tolerance tolerance, double[] oracle, double[] result, bool passes)
    {
        void Check() => Assert.Multiple(() => tolerance.Check([], new HostTensor([oracle.Length], oracle), new HostTensor([result.Length], result), DType.Float32));
        Assert.That(Check, passes ? Throws.Nothing : Throws.TypeOf<MultipleAssertException>());
    }
}
