// What the recorded attention keeps and computes; that its gradients are right, the gradient table checks.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Tests;

public sealed class AttentionTests
{
    [TestCase(4)]
    [TestCase(20)]
    public void Packed_keys_and_values_get_the_gradients_of_separate_ones_bit_for_bit(int tokens) => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var (q, k, v) = (Waves(context, 1, 2, tokens, 6), Waves(context, 2, 2, 5, 6), Waves(context, 3, 2, 5, 6));
        var (bias, gradient) = (Waves(context, 4, 2, tokens, 5), Waves(context, 5, 2, tokens, 6));
        var kv = Functional.Detach(Ops.ConcatChannels(k, 1, v));
        foreach (var tensor in new[] { q, k, v, kv, bias })
        {
            tensor.RequireGradient();
        }

        var gradients = new List<double[]>();
        foreach (var packed in new[] { false, true })
        {
            using var tape = Tape.Begin();
            var y = packed ? Functional.AttentionKv(q, kv, 2, 0.5, bias) : Functional.Attention(q, k, v, 2, 0.5, bias);
            tape.Backward(y, gradient);
            var dkv = packed ? kv.Gradient()! : Ops.ConcatChannels(k.Gradient()!, 1, v.Gradient()!);
            gradients.Add([.. q.Gradient()!.ToArray<double>(), .. bias.Gradient()!.ToArray<double>(), .. dkv.ToArray<double>()]);
            q.ClearGradient();
            bias.ClearGradient();
        }

        Assert.That(gradients[1], Is.EqualTo(gradients[0]));
        Assert.That(gradients[0], Has.Some.Not.Zero);
    });

    [Test]
    public void A_bias_alone_can_be_trained() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var (q, kv, table) = (Waves(context, 1, 2, 6, 4), Waves(context, 2, 2, 6, 8), Waves(context, 3, 15, 2));
        table.RequireGradient();
        using var tape = Tape.Begin();
        var y = Functional.AttentionKv(q, kv, 2, 0.5, Functional.PositionBias(table, 2, 3));
        tape.Backward(y, Waves(context, 4, 2, 6, 4));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(table.Gradient()!.ToArray<double>(), Has.Some.Not.Zero);
            Assert.That(q.Gradient() ?? kv.Gradient(), Is.Null);
        }
    });

    [Test]
    public void Nothing_is_recorded_where_nobody_wants_a_gradient() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        using var tape = Tape.Begin();
        var bias = Functional.PositionBias(Waves(context, 1, 5, 2), 3);
        var y = Functional.Attention(Waves(context, 1, 1, 3, 4), Waves(context, 2, 1, 3, 4), Waves(context, 3, 1, 3, 4), 2, 1, bias);
        Assert.That(tape.Count, Is.Zero);
        Assert.That(y.RequiresGradient(), Is.False);
    });

    private static void Run(Action<DeviceContext> body)
    {
        using var context = new DeviceContext(VirtualGpu.DeviceSelector.Open("virtual"), ownsDevice: true, DeviceContextOptions.Checked);
        body(context);
        context.CheckLeaks();
    }

    private static Tensor Waves(DeviceContext context, int number, params int[] lengths)
    {
        var shape = new Shape(lengths);
        return Tensor.FromArray<double>(context, [.. Enumerable.Range(0, (int)shape.Count).Select(i => Math.Sin((i * 1.3) + number))], shape);
    }
}
