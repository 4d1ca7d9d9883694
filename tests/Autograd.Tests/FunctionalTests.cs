// What operators put on the tape and keep for their backward: nothing that it can do without.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Tests;

public sealed class FunctionalTests
{
    [Test]
    public void Operators_that_move_elements_keep_none_of_them() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var video = Ops.Randn(context, [1, 2, 2, 4, 4], 1, "video").RequireGradient();
        var frames = Ops.Randn(context, [2, 2, 4, 4], 1, "frames").RequireGradient();
        Tensor[] leaves = [video, frames];
        using var tape = Tape.Begin();
        foreach (var run in (Func<Tensor>[])
        [
            () => Functional.ConcatChannels(video, 0.5, video),
            () => Functional.SliceChannels(video, 1, 2),
            () => Functional.Permute(video, 4, 0, 1, 2, 3),
            () => Functional.SpaceToDepth(video),
            () => Functional.DepthToSpace(video),
            () => Functional.FoldFrames(video),
            () => Functional.UnfoldFrames(video),
            () => Functional.UpsampleNearest2x(frames),
            () => Functional.PosteriorMean(frames, 2),
            () => Functional.Sum(video),
            () => Functional.Mean(video),
        ])
        {
            using var result = run();
            Assert.That(context.LiveTensors, Is.EqualTo(leaves.Length + 1), "leaves and result");
            Assert.That(result.RequiresGradient(), Is.True);
        }
    });

    [Test]
    public void A_permutation_that_moves_nothing_is_no_operator_on_the_tape() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var x = Ops.Randn(context, [3, 1, 5], 1, "x").RequireGradient();
        using var tape = Tape.Begin();
        var y = Functional.Permute(x, 1, 0, 2);
        Assert.That(tape.Count, Is.Zero);
        tape.Backward(Functional.Sum(y));
        Assert.That(x.Gradient()!.ToArray<float>(), Is.All.EqualTo(1));
        Assert.That(x.Gradient()!.Shape, Is.EqualTo(x.Shape));
    });

    private static void Run(Action<DeviceContext> body)
    {
        using var context = new DeviceContext(VirtualGpu.DeviceSelector.Open("virtual"), ownsDevice: true, DeviceContextOptions.Checked);
        body(context);
        context.CheckLeaks();
    }
}
