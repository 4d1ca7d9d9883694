// What the operators of this family say to operands that do not fit: one line, naming operator, operand and shapes.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Products;

public class OperandCheckTests
{
    private static IEnumerable<TestCaseData> Mistakes
    {
        get
        {
            yield return Mistake("Linear: x [2, 3] does not end in the 4 columns of weight [5, 4]", c => Ops.Linear(Zeros(c, 2, 3), Zeros(c, 5, 4)));
            yield return Mistake("Linear: weight must be [n, k], not [4]", c => Ops.Linear(Zeros(c, 2, 4), Zeros(c, 4)));
            yield return Mistake("Linear: bias must be [5], not [4]", c => Ops.Linear(Zeros(c, 2, 4), Zeros(c, 5, 4), Zeros(c, 4)));
            yield return Mistake(
                "Linear: residual must be [2, 5] like the result, not [2, 4]", c => Ops.Linear(Zeros(c, 2, 4), Zeros(c, 5, 4), residual: Zeros(c, 2, 4)));
            yield return Mistake(
                "Linear: operands of different element types, Float32 [2, 4] and Float64 [5, 4]",
                c => Ops.Linear(Zeros(c, 2, 4), Tensor.Zeros(c, [5, 4], DType.Float64)));
            yield return Mistake("MatMul: sums over 3 in a [2, 3] and over 4 in b [4, 5]", c => Ops.MatMul(Zeros(c, 2, 3), Zeros(c, 4, 5)));
            yield return Mistake("MatMul: leading axes differ in a [2, 2, 3] and b [3, 3, 5]", c => Ops.MatMul(Zeros(c, 2, 2, 3), Zeros(c, 3, 3, 5)));
            yield return Mistake(
                "Conv2d: weight [8, 3, 3, 5] is for 5 channels, x [1, 4, 4, 3] has 3", c => Ops.Conv2d(Zeros(c, 1, 4, 4, 3), Zeros(c, 8, 3, 3, 5), null));
            yield return Mistake(
                "Conv2d: x [1, 2, 2, 3] with its padding is smaller than the kernel of weight [8, 3, 3, 3]",
                c => Ops.Conv2d(Zeros(c, 1, 2, 2, 3), Zeros(c, 8, 3, 3, 3), null));
            yield return Mistake("Conv2d: stride 0 is not positive", c => Ops.Conv2d(Zeros(c, 1, 2, 2, 3), Zeros(c, 8, 1, 1, 3), null, stride: 0));
            yield return Mistake("TemporalConv: the kernel of weight [8, 2, 3] is even", c => Ops.TemporalConv(Zeros(c, 1, 2, 2, 2, 3), Zeros(c, 8, 2, 3), null));
            yield return Mistake(
                "PseudoConv3d: a temporal bias without a temporal weight",
                c => Ops.PseudoConv3d(Zeros(c, 1, 2, 2, 2, 3), Zeros(c, 8, 1, 1, 3), null, null, Zeros(c, 8)));
            yield return Mistake(
                "LinearBackwardInput: the gradient [2, 4] does not end in the 5 rows of weight [5, 4]", c => Ops.LinearBackwardInput(Zeros(c, 2, 4), Zeros(c, 5, 4)));
            yield return Mistake(
                "LinearBackwardWeight: leading axes differ in x [2, 4] and gradient [3, 5]", c => Ops.LinearBackwardWeight(Zeros(c, 2, 4), Zeros(c, 3, 5)));
            yield return Mistake(
                "Conv2dBackwardInput: the gradient must be [1, 4, 4, 8] like the result, not [1, 4, 4, 7]",
                c => Ops.Conv2dBackwardInput(Zeros(c, 1, 4, 4, 7), Zeros(c, 8, 3, 3, 3), [1, 4, 4, 3], padding: Padding2d.All(1)));
            yield return Mistake(
                "Conv2dBackwardWeight: weight [8, 3, 3, 5] is for 5 channels, x [1, 4, 4, 3] has 3",
                c => Ops.Conv2dBackwardWeight(Zeros(c, 1, 4, 4, 3), Zeros(c, 1, 2, 2, 8), [8, 3, 3, 5]));
            yield return Mistake(
                "TemporalConvBackwardWeight: the kernel of weight [8, 2, 3] is even",
                c => Ops.TemporalConvBackwardWeight(Zeros(c, 1, 2, 2, 2, 3), Zeros(c, 1, 2, 2, 2, 8), [8, 2, 3]));
            yield return Mistake("TimestepEmbedding: dim 5 is not even and at least 4", c => Ops.TimestepEmbedding(Zeros(c, 2), 5));
            yield return Mistake(
                "DdpmStep: eps [1, 2, 2, 2, 3] is not of the shape of x [1, 2, 2, 2, 4]",
                c => Ops.DdpmStep(Zeros(c, 1, 2, 2, 2, 4), Zeros(c, 1, 2, 2, 2, 3), Zeros(c, 1, 2, 2, 2, 4), Zeros(c, 1), Tables(c, 9)));
            yield return Mistake(
                "DdpmStep: the first frame must be [1, 2, 2, 4] for x [1, 2, 2, 2, 4], not [1, 2, 2, 3]",
                c => Ops.DdpmStep(
                    Zeros(c, 1, 2, 2, 2, 4), Zeros(c, 1, 2, 2, 2, 4), Zeros(c, 1, 2, 2, 2, 4), Zeros(c, 1), Tables(c, 9), Zeros(c, 1, 2, 2, 3)));
            yield return Mistake(
                "DdpmStep: the timestep must be [1] or [2], not [3]",
                c => Ops.DdpmStep(Zeros(c, 2, 2, 2, 2, 4), Zeros(c, 2, 2, 2, 2, 4), Zeros(c, 2, 2, 2, 2, 4), Zeros(c, 3), Tables(c, 9)));
            yield return Mistake(
                "DdimStep: eta 1 needs noise",
                c => Ops.DdimStep(Zeros(c, 1, 2, 2, 2, 4), Zeros(c, 1, 2, 2, 2, 4), null, Zeros(c, 1), Zeros(c, 1), Zeros(c, 9), eta: 1));
            yield return Mistake("PosteriorMean: moments must be [.., 2 channels], not [2, 3]", c => Ops.PosteriorMean(Zeros(c, 2, 3), 1));
            yield return Mistake(
                "PosteriorSample: noise must be [2, 2] for moments [2, 4], not [2, 3]", c => Ops.PosteriorSample(Zeros(c, 2, 4), Zeros(c, 2, 3), 1));
        }
    }

    [TestCaseSource(nameof(Mistakes))]
    public void A_mistake_is_named_in_one_line(string message, Func<DeviceContext, Tensor> call)
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            Assert.That(() => call(context), Throws.ArgumentException.With.Message.EqualTo(message));
        });

    [Test]
    public void Results_without_elements_launch_nothing()
        => TestDevices.Run(new TestDevice(), (context, launched) =>
        {
            using var scope = TensorScope.Begin();
            Assert.That(Ops.Linear(Zeros(context, 0, 4), Zeros(context, 5, 4)).Shape, Is.EqualTo(Shape.Create([0, 5])));
            Assert.That(Ops.MatMul(Zeros(context, 0, 2, 3), Zeros(context, 3, 4)).Shape, Is.EqualTo(Shape.Create([0, 2, 4])));
            Assert.That(Ops.Conv2d(Zeros(context, 0, 4, 4, 3), Zeros(context, 8, 3, 3, 3), null).Shape, Is.EqualTo(Shape.Create([0, 2, 2, 8])));
            Assert.That(
                Ops.Conv2dBackwardInput(Zeros(context, 0, 2, 2, 8), Zeros(context, 8, 3, 3, 3), [0, 4, 4, 3]).Shape, Is.EqualTo(Shape.Create([0, 4, 4, 3])));
            Assert.That(Ops.LinearBackwardInput(Zeros(context, 0, 5), Zeros(context, 5, 4)).Shape, Is.EqualTo(Shape.Create([0, 4])));
            Assert.That(Ops.ToRgb8(Zeros(context, 0, 4, 4, 3)).Shape, Is.EqualTo(Shape.Create([0, 4, 4, 3])));
            Assert.That(launched, Is.Empty);
        });

    private static TestCaseData Mistake(string message, Func<DeviceContext, Tensor> call) => new TestCaseData(message, call).SetArgDisplayNames(message);

    private static Tensor Zeros(DeviceContext context, params int[] lengths) => Tensor.Zeros(context, lengths);

    private static DdpmTables Tables(DeviceContext context, int steps)
        => new(Zeros(context, steps), Zeros(context, steps), Zeros(context, steps), Zeros(context, steps));
}
