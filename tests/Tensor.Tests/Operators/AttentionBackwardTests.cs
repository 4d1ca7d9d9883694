// What the operators of Ops.AttentionBackward.cs refuse, what they leave out, and what they give where there is nothing.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public class AttentionBackwardTests
{
    private static IEnumerable<TestCaseData> Refusals =>
    [
        Refusal(
            "AttentionBackward: k [1, 5, 8] and v [1, 4, 8] must have one shape",
            Z => Ops.AttentionBackward(Z([1, 3, 8]), Z([1, 5, 8]), Z([1, 4, 8]), Z([1, 3, 8]), 2, 1)),
        Refusal(
            "AttentionBackward: gradient must be [1, 3, 8] like q, not [1, 5, 8]",
            Z => Ops.AttentionBackward(Z([1, 3, 8]), Z([1, 5, 8]), Z([1, 5, 8]), Z([1, 5, 8]), 2, 1)),
        Refusal(
            "AttentionKvBackward: keys [1, 5, 8] do not fit q [1, 3, 8]",
            Z => Ops.AttentionKvBackward(Z([1, 3, 8]), Z([1, 5, 8]), Z([1, 3, 8]), 2, 1)),
        Refusal(
            "AttentionKvBackward: bias must be [2, 3, 5], not [2, 5, 3]",
            Z => Ops.AttentionKvBackward(Z([1, 3, 8]), Z([1, 5, 16]), Z([1, 3, 8]), 2, 1, Z([2, 5, 3]))),
        Refusal("PositionBiasBackward: gradient must be [heads, 6, 6], not [2, 6, 5]", Z => Ops.PositionBiasBackward(Z([2, 6, 5]), 2, 3)),
        Refusal("PositionBiasBackward: positions have one to three dimensions, not 0", Z => Ops.PositionBiasBackward(Z([2, 1, 1]))),
        Refusal("PositionBiasBackward: dimension 1 is 0, not positive", Z => Ops.PositionBiasBackward(Z([2, 0, 0]), 1, 0)),
    ];

    [TestCaseSource(nameof(Refusals))]
    public void Operands_that_do_not_fit_are_refused(string message, Action<Func<Shape, Tensor>> run)
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            var error = Assert.Throws<ArgumentException>(() => run(shape => Tensor.Zeros(context, shape)));
            Assert.That(error!.Message, Is.EqualTo(message));
        });

    [Test]
    public void Gradients_that_are_not_asked_for_are_not_there()
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            Tensor Z(params int[] lengths) => Tensor.Zeros(context, lengths);
            foreach (var tokens in new[] { 4, 40 })
            {
                var (q, k, kv, bias) = (Z(1, tokens, 8), Z(1, 5, 8), Z(1, 5, 16), Z(2, tokens, 5));
                foreach (var wanted in Enum.GetValues<AttentionInputs>())
                {
                    var (dq, dk, dv, dbias) = Ops.AttentionBackward(q, k, k, q, 2, 1, bias, wanted: wanted);
                    Assert.That(
                        new[] { dq?.Shape, dk?.Shape, dv?.Shape, dbias?.Shape },
                        Is.EqualTo(new Shape?[]
                        {
                            Wants(wanted, AttentionInputs.Query) ? q.Shape : (Shape?)null,
                            Wants(wanted, AttentionInputs.Key) ? k.Shape : (Shape?)null,
                            Wants(wanted, AttentionInputs.Value) ? k.Shape : (Shape?)null,
                            Wants(wanted, AttentionInputs.Bias) ? bias.Shape : (Shape?)null,
                        }));
                    var packed = Ops.AttentionKvBackward(q, kv, q, 2, 1, bias, wanted: wanted);
                    Assert.That(packed.KeyValue?.Shape, Is.EqualTo(Wants(wanted, AttentionInputs.Key | AttentionInputs.Value) ? kv.Shape : (Shape?)null));
                    Assert.That(Ops.AttentionKvBackward(q, kv, q, 2, 1, wanted: wanted).Bias, Is.Null);
                }
            }
        });

    [Test]
    public void Keys_that_nothing_asked_get_zeros()
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            Tensor Z(params int[] lengths) => Tensor.Zeros(context, lengths);
            var (dq, dk, dv, dbias) = Ops.AttentionBackward(Z(1, 0, 8), Z(1, 3, 8), Z(1, 3, 8), Z(1, 0, 8), 2, 1, Z(2, 0, 3));
            using (Assert.EnterMultipleScope())
            {
                Assert.That(dq!.Shape, Is.EqualTo(new Shape(1, 0, 8)));
                Assert.That(dk!.ToArray<float>(), Is.EqualTo(new float[24]));
                Assert.That(dv!.ToArray<float>(), Is.EqualTo(new float[24]));
                Assert.That(dbias!.Shape, Is.EqualTo(new Shape(2, 0, 3)));
                Assert.That(Ops.AttentionKvBackward(Z(0, 3, 8), Z(0, 4, 16), Z(0, 3, 8), 2, 1).KeyValue!.Shape, Is.EqualTo(new Shape(0, 4, 16)));
                Assert.That(
                    Ops.AttentionBackward(Z(0, 3, 8), Z(0, 4, 8), Z(0, 4, 8), Z(0, 3, 8), 2, 1, Z(2, 3, 4)).Bias!.ToArray<float>(),
                    Is.EqualTo(new float[24]));
                Assert.That(Ops.PositionBiasBackward(Z(0, 6, 6), 2, 3).Shape, Is.EqualTo(new Shape(15, 0)));
            }
        });

    private static bool Wants(AttentionInputs wanted, AttentionInputs any) => (wanted & any) != AttentionInputs.None;

    private static TestCaseData Refusal(string message, Action<Func<Shape, Tensor>> run)
        => new TestCaseData(message, run).SetArgDisplayNames(message);
}
