// What the gradients of normalisations refuse, and what they make of nothing.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public class NormBackwardArgumentTests
{
    private static IEnumerable<TestCaseData> Refusals =>
    [
        Refusal(
            "GroupNormBackward: statistics must be Float64 [2, 4, 2], not Float32 [2, 4, 2]",
            Z => Ops.GroupNormBackward(Z([2, 3, 8]), 4, Z([8]), Z([8]), null, silu: false, Z([2, 4, 2]), Z([2, 3, 8]))),
        Refusal(
            "GroupNormBackward: scaleShift must be [2, 16], not [2, 8]",
            Z => Ops.GroupNormBackward(Z([2, 3, 8]), 4, Z([8]), Z([8]), Z([2, 8]), silu: false, Z([2, 4, 2]), Z([2, 3, 8]))),
        Refusal("LayerNormBackward: shapes differ, [2, 8] and [8, 2]", Z => Ops.LayerNormBackward(Z([2, 8]), Z([8]), 1e-5, Z([8, 2]))),
        Refusal("LayerNormBackward: weight must be [8] for x [2, 8], not [2]", Z => Ops.LayerNormBackward(Z([2, 8]), Z([2]), 1e-5, Z([2, 8]))),
        Refusal(
            "ChanLayerNormBackward: shapes differ, [1, 2, 3, 3, 8] and [1, 2, 3, 3, 4]",
            Z => Ops.ChanLayerNormBackward(Z([1, 2, 3, 3, 8]), Z([8]), 1e-5, tokenShift: true, Z([1, 2, 3, 3, 4]))),
        Refusal("TokenShiftBackward: x must be a video [b, f, h, w, c], not [2, 8]", Z => Ops.TokenShiftBackward(Z([2, 8]))),
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
    public void Of_no_rows_the_gradient_of_a_weight_is_zero()
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            Tensor Z(params int[] lengths) => Tensor.Zeros(context, lengths);
            var layer = Ops.LayerNormBackward(Z(0, 8), Z(8), 1e-5, Z(0, 8));
            var channels = Ops.ChanLayerNormBackward(Z(1, 0, 2, 2, 8), Z(8), 1e-5, tokenShift: true, Z(1, 0, 2, 2, 8));
            using (Assert.EnterMultipleScope())
            {
                Assert.That(layer.X!.Shape, Is.EqualTo(new Shape(0, 8)));
                Assert.That(layer.Weight!.ToArray<float>(), Is.EqualTo(new float[8]));
                Assert.That(layer.Bias!.ToArray<float>(), Is.EqualTo(new float[8]));
                Assert.That(channels.X!.Shape, Is.EqualTo(new Shape(1, 0, 2, 2, 8)));
                Assert.That(channels.G!.ToArray<float>(), Is.EqualTo(new float[8]));
                Assert.That(Ops.TokenShiftBackward(Z(1, 0, 2, 2, 8)).Shape, Is.EqualTo(new Shape(1, 0, 2, 2, 8)));
            }
        });

    private static TestCaseData Refusal(string message, Action<Func<Shape, Tensor>> run)
        => new TestCaseData(message, run).SetArgDisplayNames(message);
}
