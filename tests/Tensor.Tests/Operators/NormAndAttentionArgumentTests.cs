// What the operators of Ops.Norm, Ops.Geglu and Ops.Attention refuse, each with one line that names operator and operand.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public class NormAndAttentionArgumentTests
{
    private static IEnumerable<TestCaseData> Refusals =>
    [
        Refusal("GroupNorm: 10 channels of x [1, 3, 10] are not divided by 4 groups", Z => Ops.GroupNorm(Z([1, 3, 10]), 4, Z([10]), Z([10]), 1e-5)),
        Refusal("GroupNorm: x must be [b, .., c], not [8]", Z => Ops.GroupNorm(Z([8]), 4, Z([8]), Z([8]), 1e-5)),
        Refusal("GroupNorm: weight must be [8] for x [1, 3, 8], not [4]", Z => Ops.GroupNorm(Z([1, 3, 8]), 4, Z([4]), Z([8]), 1e-5)),
        Refusal("GroupNorm: bias must be [8] for x [1, 3, 8], not [8, 1]", Z => Ops.GroupNorm(Z([1, 3, 8]), 4, Z([8]), Z([8, 1]), 1e-5)),
        Refusal("GroupNorm: scaleShift must be [2, 16], not [1, 16]", Z => Ops.GroupNorm(Z([2, 3, 8]), 4, Z([8]), Z([8]), 1e-5, Z([1, 16]))),
        Refusal("GroupNorm: x [2, 0, 8] is empty: it has no statistics", Z => Ops.GroupNorm(Z([2, 0, 8]), 4, Z([8]), Z([8]), 1e-5)),
        Refusal("GroupNormApply: coefficients must be [2, 2, 8] for x [2, 3, 8], not [1, 2, 8]", Z => Ops.GroupNormApply(Z([2, 3, 8]), 4, Z([1, 2, 8]))),
        Refusal("GroupNormApply: 8 channels of x [2, 3, 8] are not divided by 3 groups", Z => Ops.GroupNormApply(Z([2, 3, 8]), 3, Z([2, 2, 8]))),
        Refusal("GroupNorm: 1025 channels a group are more than 1024", Z => Ops.GroupNorm(Z([1, 1, 1025]), 1, Z([1025]), Z([1025]), 1e-5)),
        Refusal("LayerNorm: weight must be [8] for x [3, 8], not [3]", Z => Ops.LayerNorm(Z([3, 8]), Z([3]), Z([8]), 1e-5)),
        Refusal("LayerNorm: x must be [.., c], not [3, 0]", Z => Ops.LayerNorm(Z([3, 0]), Z([0]), Z([0]), 1e-5)),
        Refusal("ChanLayerNorm: x must be a video [b, f, h, w, c], not [2, 3, 4]", Z => Ops.ChanLayerNorm(Z([2, 3, 4]), Z([4]), 1e-5)),
        Refusal("ChanLayerNorm: g must be [4] for x [1, 1, 1, 1, 4], not [1, 4]", Z => Ops.ChanLayerNorm(Z([1, 1, 1, 1, 4]), Z([1, 4]), 1e-5)),
        Refusal("TokenShift: x must be a video [b, f, h, w, c], not [4]", Z => Ops.TokenShift(Z([4]))),
        Refusal("Geglu: the last axis of x [2, 3] must hold as many gates as values", Z => Ops.Geglu(Z([2, 3]))),
        Refusal("Attention: k [1, 5, 8] and v [1, 4, 8] must have one shape", Z => Ops.Attention(Z([1, 3, 8]), Z([1, 5, 8]), Z([1, 4, 8]), 2, 1)),
        Refusal("Attention: 8 channels of q [1, 3, 8] are not divided by 3 heads", Z => Ops.Attention(Z([1, 3, 8]), Z([1, 5, 8]), Z([1, 5, 8]), 3, 1)),
        Refusal("Attention: keys [2, 5, 8] do not fit q [1, 3, 8]", Z => Ops.Attention(Z([1, 3, 8]), Z([2, 5, 8]), Z([2, 5, 8]), 2, 1)),
        Refusal("Attention: there are no keys in [1, 0, 8]", Z => Ops.Attention(Z([1, 3, 8]), Z([1, 0, 8]), Z([1, 0, 8]), 2, 1)),
        Refusal("Attention: bias must be [2, 3, 5], not [2, 5, 3]", Z => Ops.Attention(Z([1, 3, 8]), Z([1, 5, 8]), Z([1, 5, 8]), 2, 1, Z([2, 5, 3]))),
        Refusal(
            "Attention: along Frames, operands must have 4 axes, not [1, 3, 8] and [1, 5, 8]",
            Z => Ops.Attention(Z([1, 3, 8]), Z([1, 5, 8]), Z([1, 5, 8]), 2, 1, axis: AttentionAxis.Frames)),
        Refusal(
            "Attention: heads of 513 channels along Frames are wider than 512",
            Z => Ops.Attention(Z([1, 2, 1, 513]), Z([1, 2, 1, 513]), Z([1, 2, 1, 513]), 1, 1, axis: AttentionAxis.Frames)),
        Refusal("AttentionKv: keys [1, 5, 8] do not fit q [1, 3, 8]", Z => Ops.AttentionKv(Z([1, 3, 8]), Z([1, 5, 8]), 2, 1)),
        Refusal("PositionBias: table [5, 2] must have 15 rows for positions [2, 3]", Z => Ops.PositionBias(Z([5, 2]), 2, 3)),
        Refusal("PositionBias: positions have one to three dimensions, not 0", Z => Ops.PositionBias(Z([1, 2]))),
        Refusal("PositionBias: dimension 1 is 0, not positive", Z => Ops.PositionBias(Z([1, 2]), 1, 0)),
    ];

    [TestCaseSource(nameof(Refusals))]
    public void Operands_that_do_not_fit_are_refused(string message, Func<Func<Shape, Tensor>, Tensor> run)
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            var error = Assert.Throws<ArgumentException>(() => run(shape => Tensor.Zeros(context, shape)));
            Assert.That(error!.Message, Is.EqualTo(message));
        });

    [Test]
    public void Operands_of_two_element_types_are_refused()
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            var x = Tensor.Zeros(context, [2, 8]);
            var error = Assert.Throws<ArgumentException>(() => Ops.LayerNorm(x, Tensor.Zeros(context, [8], DType.Float64), Tensor.Zeros(context, [8]), 1e-5));
            Assert.That(error!.Message, Does.StartWith("LayerNorm: operands of different element types"));
        });

    [Test]
    public void Nothing_in_gives_nothing_out()
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            Tensor Z(params int[] lengths) => Tensor.Zeros(context, lengths);
            using (Assert.EnterMultipleScope())
            {
                Assert.That(Ops.LayerNorm(Z(0, 8), Z(8), Z(8), 1e-5).Shape, Is.EqualTo(new Shape(0, 8)));
                Assert.That(Ops.Geglu(Z(2, 0, 8)).Shape, Is.EqualTo(new Shape(2, 0, 4)));
                Assert.That(Ops.TokenShift(Z(1, 0, 2, 2, 8)).Shape, Is.EqualTo(new Shape(1, 0, 2, 2, 8)));
                Assert.That(Ops.Attention(Z(1, 0, 8), Z(1, 3, 8), Z(1, 3, 8), 2, 1).Shape, Is.EqualTo(new Shape(1, 0, 8)));
            }
        });

    private static TestCaseData Refusal(string message, Func<Func<Shape, Tensor>, Tensor> run)
        => new TestCaseData(message, run).SetArgDisplayNames(message);
}
