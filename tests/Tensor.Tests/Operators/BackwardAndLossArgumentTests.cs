// What the gradients of layout, gating and the posterior refuse, and losses and what training starts from.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public class BackwardAndLossArgumentTests
{
    private static IEnumerable<TestCaseData> Refusals =>
    [
        Refusal("GegluBackward: the gradient must be [2, 4] for x [2, 8], not [2, 8]", Z => Ops.GegluBackward(Z([2, 8]), Z([2, 8]))),
        Refusal("ConcatChannelsBackward: a gradient of shape [2, 5] does not begin with 6 channels", Z => Ops.ConcatChannelsBackward(Z([2, 5]), 6, 1).A!),
        Refusal("ConcatTokensBackward: a gradient of shape [2, 5] does not begin with 3 tokens", Z => Ops.ConcatTokensBackward(Z([2, 5]), 3).A!),
        Refusal("PadChannels: [2, 5] from channel 3 on does not fit 7 channels", Z => Ops.PadChannels(Z([2, 5]), 3, 7)),
        Refusal("UpsampleNearest2xBackward: the gradient is [1, 3, 4, 5], expected [n, 2h, 2w, c]", Z => Ops.UpsampleNearest2xBackward(Z([1, 3, 4, 5]))),
        Refusal(
            "MaxPool2x2Backward: the gradient must be [1, 1, 2, 5] for x [1, 3, 4, 5], not [1, 2, 2, 5]",
            Z => Ops.MaxPool2x2Backward(Z([1, 3, 4, 5]), Z([1, 2, 2, 5]))),
        Refusal(
            "PosteriorSampleBackward: the gradient must be [3, 4] for moments [3, 8], not [3, 8]",
            Z => Ops.PosteriorSampleBackward(Z([3, 8]), Z([3, 4]), Z([3, 8]), 1)),
        Refusal("Sum: there are no elements in [3, 0]", Z => Ops.Sum(Z([3, 0]))),
        Refusal("Mean: there are no elements in [0]", Z => Ops.Mean(Z([0]))),
        Refusal("RepeatScalar: x must be one number, not [2]", Z => Ops.RepeatScalar(Z([2]), [3])),
        Refusal("MeanSquaredError: shapes differ, [2, 3] and [3, 2]", Z => Ops.MeanSquaredError(Z([2, 3]), Z([3, 2]))),
        Refusal("MeanSquaredError: there are no elements in [0, 3]", Z => Ops.MeanSquaredError(Z([0, 3]), Z([0, 3]))),
        Refusal("MeanSquaredErrorBackward: the gradient must be one number, not [2, 3]", Z => Ops.MeanSquaredErrorBackward(Z([2, 3]), Z([2, 3]), Z([2, 3]))),
        Refusal("FrameLoss: the prediction is [2, 3], expected [b, f, h, w, c]", Z => Ops.FrameLoss(Z([2, 3]), Z([2, 3]), FrameReduction.Sum)),
        Refusal("KlDivergence: moments must be [.., 2 channels], not [2, 3]", Z => Ops.KlDivergence(Z([2, 3]))),
        Refusal("KlDivergence: moments must be [n, .., 2 channels], not [4]", Z => Ops.KlDivergence(Z([4]))),
        Refusal("CrossEntropy: logits must be [n, classes], not [6]", Z => Ops.CrossEntropy(Z([6]), Z([6]))),
        Refusal("CrossEntropy: targets must be Int32 [2] for logits [2, 3], not Float32 [2]", Z => Ops.CrossEntropy(Z([2, 3]), Z([2]))),
        Refusal("MeanTokens: x is [2, 0, 3], expected [b, n, c] with tokens", Z => Ops.MeanTokens(Z([2, 0, 3]))),
        Refusal("MeanTokensBackward: 0 tokens have no mean", Z => Ops.MeanTokensBackward(Z([2, 3]), 0)),
        Refusal("NormalizeRows: x is [3], expected [n, d]", Z => Ops.NormalizeRows(Z([3]))),
        Refusal("NormalizeRows: eps 0 is not positive", Z => Ops.NormalizeRows(Z([3, 2]), 0)),
        Refusal("AddNoise: shapes differ, [1, 2, 1, 1, 1] and [1, 3, 1, 1, 1]", Z => Noise(Z([1, 2, 1, 1, 1]), Z([1, 3, 1, 1, 1]), Z([1]), Z([9]))),
        Refusal("AddNoise: the timesteps must be Int32, not Float32", Z => Noise(Z([1, 2, 1, 1, 1]), Z([1, 2, 1, 1, 1]), Z([1]), Z([9]))),
        Refusal("AddNoise: x must be [b, frames, h, w, channels], not [2, 3]", Z => Noise(Z([2, 3]), Z([2, 3]), Steps(Z, 1), Z([9]))),
        Refusal("AddNoise: the timestep must be [1] or [3], not [2]", Z => Noise(Z([3, 2, 1, 1, 1]), Z([3, 2, 1, 1, 1]), Steps(Z, 2), Z([9]))),
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
    public void Nothing_in_gives_nothing_out()
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            Tensor Z(params int[] lengths) => Tensor.Zeros(context, lengths);
            using (Assert.EnterMultipleScope())
            {
                Assert.That(Ops.GegluBackward(Z(0, 8), Z(0, 4)).Shape, Is.EqualTo(new Shape(0, 8)));
                Assert.That(Ops.ConcatChannelsBackward(Z(0, 5), 2, 1).B!.Shape, Is.EqualTo(new Shape(0, 3)));
                Assert.That(Ops.ConcatChannelsBackward(Z(2, 5), 0, 1).A!.Shape, Is.EqualTo(new Shape(2, 0)));
                Assert.That(Ops.PadChannels(Z(0, 5), 1, 8).Shape, Is.EqualTo(new Shape(0, 8)));
                Assert.That(Ops.UpsampleNearest2xBackward(Z(0, 2, 2, 3)).Shape, Is.EqualTo(new Shape(0, 1, 1, 3)));
                Assert.That(Ops.PosteriorSampleBackward(Z(0, 8), Z(0, 4), Z(0, 4), 1).Shape, Is.EqualTo(new Shape(0, 8)));
                Assert.That(Ops.MeanTokens(Z(0, 3, 4)).Shape, Is.EqualTo(new Shape(0, 4)));
                Assert.That(Ops.NormalizeRows(Z(0, 4)).Shape, Is.EqualTo(new Shape(0, 4)));
                var noFrames = Z(1, 0, 2, 2, 4);
                Assert.That(Noise(noFrames, noFrames, Tensor.Zeros(context, [1], DType.Int32), Z(9)).Shape, Is.EqualTo(noFrames.Shape));
            }
        });

    private static Tensor Steps(Func<Shape, Tensor> zeros, int count) => Tensor.Zeros(zeros([1]).Context, [count], DType.Int32);

    private static Tensor Noise(Tensor x0, Tensor noise, Tensor timesteps, Tensor table)
        => Ops.AddNoise(x0, noise, timesteps, new NoisingTables(table, table)).Noisy;

    private static TestCaseData Refusal(string message, Func<Func<Shape, Tensor>, Tensor> run)
        => new TestCaseData(message, run).SetArgDisplayNames(message);
}
