// What products and convolutions record: as little as their backward needs, the fused call where nothing is recorded, and the same
// gradients by the library and by our kernels.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Tests;

public sealed class ProductTests
{
    [Test]
    public void Without_a_tape_the_fused_call_is_made_and_nothing_else() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var (x, w, b) = (Values(context, 5, 7).RequireGradient(), Values(context, 3, 7), Values(context, 3));
        var before = context.LiveTensors;
        var y = Functional.Linear(x, w, b, Epilogue.Gelu);
        Assert.That(context.LiveTensors, Is.EqualTo(before + 1));
        Assert.That(y.ToArray<double>(), Is.EqualTo(Ops.Linear(x, w, b, Epilogue.Gelu).ToArray<double>()));
        using var tape = Tape.Begin();
        Functional.Conv2d(Values(context, 1, 3, 3, 2), Values(context, 4, 3, 3, 2), null, 1, Padding2d.All(1), Epilogue.Silu);
        Assert.That(tape.Count, Is.Zero, "no input requires a gradient");
    });

    [Test]
    public void A_recorded_epilogue_is_an_operator_of_its_own() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var (x, w) = (Values(context, 1, 3, 4, 2), Values(context, 4, 3, 3, 2).RequireGradient());
        using var tape = Tape.Begin();
        var y = Functional.Conv2d(x, w, null, 1, Padding2d.All(1), Epilogue.Silu);
        Assert.That(tape.Count, Is.EqualTo(2));
        Assert.That(y.ToArray<double>(), Is.EqualTo(Ops.Silu(Ops.Conv2d(x, w, null, 1, Padding2d.All(1))).ToArray<double>()));
    });

    [TestCase(false, false, 0, TestName = "Only_the_bias_is_trained: nothing is kept")]
    [TestCase(true, false, 1, TestName = "Only_x_and_the_bias_are_trained: the weight is kept")]
    [TestCase(false, true, 1, TestName = "Only_weight_and_bias_are_trained: x is kept")]
    [TestCase(true, true, 2, TestName = "All_are_trained: both are kept")]
    public void Only_what_a_wanted_gradient_needs_is_kept(bool ofX, bool ofWeight, int kept) => Run(context =>
    {
        Func<Tensor, Tensor, Tensor, Tensor>[] operators =
        [
            (x, w, b) => Functional.Linear(x, w.Reshape(3, 2), b),
            (x, w, b) => Functional.Conv2d(x.Reshape(2, 2, 1, 2), w.Reshape(3, 1, 1, 2), b),
            (x, w, b) => Functional.TemporalConv(x, w, b),
            (x, w, b) => Functional.PseudoConv3d(x, w.Reshape(3, 1, 1, 2), b, null, null),
        ];
        foreach (var run in operators)
        {
            using var x = Values(context, 1, 2, 2, 1, 2);
            using var w = Values(context, 3, 1, 2);
            using var b = Values(context, 3).RequireGradient();
            _ = ofX ? x.RequireGradient() : x;
            _ = ofWeight ? w.RequireGradient() : w;
            using var tape = Tape.Begin();
            var before = context.LiveTensors;
            using (TensorScope.Begin())
            {
                run(x, w, b);
            }

            Assert.That(context.LiveTensors - before, Is.EqualTo(kept));
        }
    });

    [Test]
    public void A_frozen_spatial_part_costs_a_trained_temporal_one_no_gradients() => Run(context =>
    {
        using var x = Values(context, 1, 3, 2, 2, 2);
        using var spatial = Values(context, 3, 3, 3, 2);
        using var temporal = Values(context, 3, 3, 3).RequireGradient();
        using var tape = Tape.Begin();
        var before = context.LiveTensors;
        using var y = Functional.PseudoConv3d(x, spatial, null, temporal, null);
        Assert.That(context.LiveTensors - before, Is.EqualTo(2), "the result, and what the temporal part worked on");
        using (var one = Values(context, 1, 3, 2, 2, 3))
        {
            tape.Backward(y, one);
        }

        Assert.That(context.LiveTensors - before, Is.EqualTo(2), "the result, and the gradient of the temporal weight");
    });

    [Test]
    public void A_pseudo_convolution_has_the_gradients_of_its_two_parts() => Run(context =>
    {
        double[][] Gradients(bool together)
        {
            using var scope = TensorScope.Begin();
            Tensor[] leaves =
            [
                Values(context, 2, 3, 4, 5, 2), Values(context, 3, 3, 3, 2), Values(context, 3), Values(context, 3, 3, 3), Values(context, 3),
                Values(context, 2, 3, 4, 5, 3),
            ];
            Array.ForEach(leaves, leaf => leaf.RequireGradient());
            using var tape = Tape.Begin();
            var y = together
                ? Functional.PseudoConv3d(leaves[0], leaves[1], leaves[2], leaves[3], leaves[4], leaves[5])
                : Functional.TemporalConv(
                    Functional.Conv2d(leaves[0].Reshape(6, 4, 5, 2), leaves[1], leaves[2], 1, Padding2d.All(1)).Reshape(2, 3, 4, 5, 3),
                    leaves[3], leaves[4], leaves[5]);
            tape.Backward(y, Values(context, 2, 3, 4, 5, 3));
            return [.. leaves.Select(leaf => leaf.Gradient()!.ToArray<double>())];
        }

        Assert.That(Gradients(together: true), Is.EqualTo(Gradients(together: false)));
    });

    [Test]
    public void Empty_batches_have_zeros_for_gradients_of_weights() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var (w, b, filter) = (Values(context, 3, 2).RequireGradient(), Values(context, 3).RequireGradient(), Values(context, 3, 3, 3, 2).RequireGradient());
        using (var tape = Tape.Begin())
        {
            tape.Backward(Functional.Linear(Values(context, 0, 2), w, b), Values(context, 0, 3));
        }

        using (var tape = Tape.Begin())
        {
            tape.Backward(Functional.Conv2d(Values(context, 0, 4, 4, 2), filter, null), Values(context, 0, 2, 2, 3));
        }

        foreach (var leaf in (Tensor[])[w, b, filter])
        {
            Assert.That(leaf.Gradient()!.ToArray<double>(), Is.All.Zero);
        }
    });

    private static void Run(Action<DeviceContext> body)
    {
        foreach (var backend in Enum.GetValues<MatmulBackend>())
        {
            using var context = new DeviceContext(VirtualGpu.DeviceSelector.Open("virtual"), ownsDevice: true, DeviceContextOptions.Checked);
            context.Backend = backend;
            body(context);
            context.CheckLeaks();
        }
    }

    private static Tensor Values(DeviceContext context, params int[] shape)
    {
        Shape lengths = shape;
        return Tensor.FromArray<double>(context, [.. Enumerable.Range(1, (int)lengths.Count).Select(i => Math.Sin(i))], lengths);
    }
}
