// The tape itself: what is recorded, how shares of a gradient meet, and that nothing outlives its use.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Tests;

public sealed class TapeTests
{
    [Test]
    public void Gradients_gather_over_several_uses_and_several_passes() => Run(context =>
    {
        using var x = Vector(context, 1, 2, 3).RequireGradient();
        for (var pass = 1; pass <= 2; pass++)
        {
            using var scope = TensorScope.Begin();
            using var tape = Tape.Begin();
            var y = Functional.Add(Functional.Scale(x, 3), Functional.Add(x, x));
            tape.Backward(y, Vector(context, 1, 10, 100));
            Assert.That(x.Gradient()!.ToArray<double>(), Is.EqualTo(new double[] { 5 * pass, 50 * pass, 500 * pass }));
        }

        x.ClearGradient();
        Assert.That(x.Gradient(), Is.Null);
    });

    [Test]
    public void A_gradient_gathers_in_its_buffer() => Run(context =>
    {
        using var buffer = Vector(context, 7, 7);
        using (var x = Vector(context, 1, 2).RequireGradient(buffer))
        using (TensorScope.Begin())
        using (var tape = Tape.Begin())
        {
            tape.Backward(Functional.Scale(x, 2), Vector(context, 1, 10));
        }

        Assert.That(buffer.ToArray<double>(), Is.EqualTo(new double[] { 9, 27 }));
    });

    [Test]
    public void After_backward_nothing_but_the_leaves_gradients_lives() => Run(context =>
    {
        using var x = Vector(context, 1, 2, 3).RequireGradient();
        using (var one = Vector(context, 1, 1, 1))
        using (var tape = Tape.Begin())
        {
            var y = Functional.Silu(x);
            var z = Functional.Gelu(y);
            y.Dispose();
            Assert.That(context.LiveTensors, Is.EqualTo(5), "x, 1, z and what the two activations kept");
            tape.Backward(z, one);
            z.Dispose();
            Assert.That(context.LiveTensors, Is.EqualTo(3), "x, 1 and the gradient of x");
        }

        Assert.That(context.LiveTensors, Is.EqualTo(2));
    });

    [Test]
    public void A_tape_that_is_not_read_frees_what_it_kept() => Run(context =>
    {
        using var x = Vector(context, 1, 2, 3).RequireGradient();
        using (Tape.Begin())
        {
            Functional.Silu(x).Dispose();
        }

        Assert.That(context.LiveTensors, Is.EqualTo(1));
    });

    [Test]
    public void Without_a_tape_or_under_NoGrad_or_on_plain_tensors_nothing_is_recorded() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var x = Vector(context, 1).RequireGradient();
        Assert.That(Functional.Silu(x).RequiresGradient(), Is.False);
        using var tape = Tape.Begin();
        using (Tape.NoGrad())
        {
            Assert.That(Functional.Silu(x).RequiresGradient(), Is.False);
        }

        Assert.That(Functional.Silu(Functional.Detach(x)).RequiresGradient(), Is.False);
        Assert.That(tape.Count, Is.Zero);
        Assert.That(Functional.Silu(x).RequiresGradient(), Is.True);
        Assert.That(tape.Count, Is.EqualTo(1));
    });

    [Test]
    public void Recomputed_blocks_give_the_same_bits_and_keep_only_their_inputs() => Run(context =>
    {
        // x meets the block, what is behind it, and the block's shortcut, so that the order of its shares matters.
        var gradients = new List<double[]>();
        foreach (var recompute in new[] { false, true })
        {
            using var scope = TensorScope.Begin();
            var x = Tensor.FromArray<double>(context, [.. Enumerable.Range(0, 33).Select(i => Math.Sin(i) * 3)], [33]).RequireGradient();
            var weight = Tensor.FromArray<double>(context, [.. Enumerable.Range(0, 33).Select(i => Math.Cos(i))], [33]).RequireGradient();
            using var tape = Tape.Begin();
            Tensor Block(Tensor?[] inputs)
            {
                var h = Functional.Silu(Functional.AddScaled(inputs[0]!, weight, 0.3));
                return Functional.Add(Functional.Gelu(Functional.AddScaled(h, weight, 0.7)), inputs[0]!);
            }

            var y = recompute ? Checkpoint.Run(Block, x) : Block([x]);
            var z = Functional.AddScaled(Functional.QuickGelu(y), x, 1.0 / 3);
            Assert.That(tape.Count, Is.EqualTo(recompute ? 3 : 7));
            tape.Backward(z, Tensor.FromArray<double>(context, [.. Enumerable.Range(0, 33).Select(i => 1.0 / (i + 1))], [33]));
            gradients.Add([.. x.Gradient()!.ToArray<double>(), .. weight.Gradient()!.ToArray<double>()]);
        }

        Assert.That(gradients[1].Select(BitConverter.DoubleToInt64Bits), Is.EqualTo(gradients[0].Select(BitConverter.DoubleToInt64Bits)));
    });

    [Test]
    public void A_value_overwritten_before_backward_needs_it_is_named() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var x = Vector(context, 1, 2).RequireGradient();
        using var tape = Tape.Begin();
        var y = Functional.Silu(x);
        x.CopyFrom<double>([3, 4]);
        Assert.That(
            () => tape.Backward(y, Vector(context, 1, 1)),
            Throws.InvalidOperationException.With.Message.Contains("Silu: Float64 [2] was overwritten in place"));
    });

    [Test]
    public void Wrong_uses_say_what_is_wrong() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var x = Vector(context, 1, 2).RequireGradient();
        Tensor old;
        using (var tape = Tape.Begin())
        {
            old = Functional.Silu(x);
            Assert.That(() => tape.Backward(Vector(context, 1)), Throws.InvalidOperationException.With.Message.Contains("does not depend on"));
            Assert.That(() => tape.Backward(old), Throws.ArgumentException.With.Message.Contains("not one element"));
            Assert.That(() => tape.Backward(old, Vector(context, 1)), Throws.ArgumentException.With.Message.Contains("does not fit"));
            Assert.That(() => old.RequireGradient(), Throws.InvalidOperationException.With.Message.Contains("computed from one"));
            using var inner = Tape.Begin();
            Assert.That(() => inner.Backward(old, Vector(context, 1, 1)), Throws.InvalidOperationException.With.Message.Contains("another tape"));
            Assert.That(tape.Dispose, Throws.InvalidOperationException.With.Message.Contains("inside it"));
            inner.Dispose();
            tape.Backward(old, Vector(context, 1, 1));
            Assert.That(() => tape.Backward(old, Vector(context, 1, 1)), Throws.InvalidOperationException.With.Message.Contains("backward once"));
        }

        using var next = Tape.Begin();
        Assert.That(() => Functional.Silu(old), Throws.InvalidOperationException.With.Message.Contains("Silu: input 0, Float64 [2], was computed under a tape that is over"));
        Assert.That(
            () => Vector(context, 1).RequireGradient(Vector(context, 1, 2)),
            Throws.ArgumentException.With.Message.Contains("a gradient buffer Float64 [2] does not fit Float64 [1]"));
        var liar = Tape.Record("Liar", Vector(context, 1, 2), [x], [], call => call.Set(0, Vector(context, 1)));
        Assert.That(
            () => next.Backward(liar, Vector(context, 1, 1)),
            Throws.InvalidOperationException.With.Message.EqualTo("Liar: its backward gave Float64 [1] for input 0, which is Float64 [2]"));
    });

    [Test]
    public void A_leafs_gradient_is_its_own_memory() => Run(context =>
    {
        // Add passes one gradient on to both inputs, and a leaf takes the caller's where nothing lies between them.
        using var scope = TensorScope.Begin();
        var (a, b, c) = (Vector(context, 1, 2).RequireGradient(), Vector(context, 3, 4).RequireGradient(), Vector(context, 5, 6).RequireGradient());
        var start = Vector(context, 10, 20);
        using (var tape = Tape.Begin())
        {
            tape.Backward(Functional.Add(Functional.Add(a, b), a), start);
        }

        using (var tape = Tape.Begin())
        {
            tape.Backward(c, start);
        }

        start.CopyFrom<double>([7, 7]);
        Ops.Fill(a.Gradient()!, -1);
        Assert.That(b.Gradient()!.ToArray<double>(), Is.EqualTo(new double[] { 10, 20 }));
        Assert.That(c.Gradient()!.ToArray<double>(), Is.EqualTo(new double[] { 10, 20 }));
        Ops.Fill(b.Gradient()!, -2);
        Assert.That(a.Gradient()!.ToArray<double>(), Is.EqualTo(new double[] { -1, -1 }));
    });

    [Test]
    public void A_leaf_disposed_before_backward_is_left_out_and_leaves_nothing_behind() => Run(context =>
    {
        using var kept = Vector(context, 1, 2).RequireGradient();
        using var buffer = Vector(context, 7, 7);
        var (plain, buffered) = (Vector(context, 3, 4).RequireGradient(), Vector(context, 5, 6).RequireGradient(buffer));
        using (TensorScope.Begin())
        using (var tape = Tape.Begin())
        {
            var y = Functional.Add(Functional.AddScaled(kept, plain, 2), buffered);
            plain.Dispose();
            buffered.Dispose();
            tape.Backward(y, Vector(context, 1, 10));
        }

        Assert.That(kept.Gradient()!.ToArray<double>(), Is.EqualTo(new double[] { 1, 10 }));
        Assert.That(buffer.ToArray<double>(), Is.EqualTo(new double[] { 7, 7 }));
        Assert.That(context.LiveTensors, Is.EqualTo(3), "the leaf, its gradient and the buffer");
    });

    [Test]
    public void A_backward_that_fails_halfway_leaves_nothing_behind_and_the_next_pass_works() => Run(context =>
    {
        using var x = Vector(context, 1, 2).RequireGradient();
        using (var start = Vector(context, 1, 1))
        {
            using (var tape = Tape.Begin())
            {
                using var inside = Functional.Silu(x);
                using var broken = Tape.Record("Broken", Vector(context, 1, 2), [inside, x], [inside], call =>
                {
                    call.Set(1, Ops.Scale(call.Gradient, 2));
                    throw new InvalidOperationException("halfway");
                });
                using var y = Functional.Add(broken, x);
                Assert.That(() => tape.Backward(y, start), Throws.InvalidOperationException.With.Message.EqualTo("halfway"));
                Assert.That(Tape.IsRecording, Is.True);
            }

            Assert.That(Tape.IsRecording, Is.False);
            Assert.That(context.LiveTensors, Is.EqualTo(3), "x, what has gathered for it, and where the pass started");
            x.ClearGradient();
            using (var tape = Tape.Begin())
            {
                using var y = Functional.Scale(x, 3);
                tape.Backward(y, start);
            }
        }

        Assert.That(x.Gradient()!.ToArray<double>(), Is.EqualTo(new double[] { 3, 3 }));
    });

    [Test]
    public void A_gradient_that_comes_after_its_tape_went_backward_is_named() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var x = Vector(context, 1, 2).RequireGradient();
        using var outer = Tape.Begin();
        var y = Functional.Scale(x, 2);
        using var inner = Tape.Begin();
        var z = Functional.Silu(y);
        outer.Backward(y, Vector(context, 1, 1));
        Assert.That(
            () => inner.Backward(z, Vector(context, 1, 1)),
            Throws.InvalidOperationException.With.Message.EqualTo(
                "Silu: the gradient of input 0, Float64 [2], comes after the tape that made the input went backward"));
    });

    [Test]
    public void Only_floating_point_tensors_become_leaves() => Run(context =>
    {
        using var numbers = Tensor.FromArray<int>(context, [1, 2], [2]);
        Assert.That(() => numbers.RequireGradient(), Throws.ArgumentException.With.Message.Contains("Int32 [2] has no gradient"));
    });

    [Test]
    public void An_order_of_axes_is_as_it_was_in_the_forward_pass() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var x = Tensor.FromArray<double>(context, [1, 2, 3, 4, 5, 6], [1, 2, 3]).RequireGradient();
        using var tape = Tape.Begin();
        int[] axes = [2, 0, 1];
        var y = Functional.Permute(x, axes);
        axes[0] = 0;
        tape.Backward(y, Tensor.FromArray<double>(context, [1, 4, 2, 5, 3, 6], [3, 1, 2]));
        Assert.That(x.Gradient()!.ToArray<double>(), Is.EqualTo(new double[] { 1, 2, 3, 4, 5, 6 }));
    });

    private static void Run(Action<DeviceContext> body)
    {
        using var context = new DeviceContext(VirtualGpu.DeviceSelector.Open("virtual"), ownsDevice: true, DeviceContextOptions.Checked);
        body(context);
        context.CheckLeaks();
    }

    private static Tensor Vector(DeviceContext context, params double[] values) => Tensor.FromArray<double>(context, values, [values.Length]);
}
