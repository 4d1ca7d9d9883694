// What normalisations keep for their backward, and that frozen parameters cost nothing. Their gradients' values are GradCheck's.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Tests;

public sealed class NormGradientTests
{
    [Test]
    public void Group_normalisation_keeps_its_inputs_and_two_numbers_a_group() => Run((context, inputs) =>
    {
        foreach (var input in inputs)
        {
            input.RequireGradient();
        }

        var before = context.LiveTensors;
        using var tape = Tape.Begin();
        var y = Functional.GroupNorm(inputs[0], 4, inputs[1], inputs[2], 1e-5, inputs[3], silu: true);
        Assert.That(context.LiveTensors, Is.EqualTo(before + 1 + inputs.Length + 1), "the result, the inputs' second references and the statistics");
        tape.Backward(y, Numbers(context, y.Shape, 4));
        y.Dispose();
        Assert.That(context.LiveTensors, Is.EqualTo(before + inputs.Length + 1), "the gradients, and the one they began with");
    });

    [Test]
    public void Frozen_parameters_get_no_gradient_and_leave_the_others_as_they_are() => Run((context, inputs) =>
    {
        Tensor[] Gradients(int trained, Func<Tensor[], Tensor> run)
        {
            var leaves = inputs.Select((input, i) => i == trained || trained < 0 ? input.AddReference().RequireGradient() : input).ToArray();
            using var tape = Tape.Begin();
            var y = run(leaves);
            tape.Backward(y, Numbers(context, y.Shape, 4));
            Assert.That(trained < 0 || leaves.Where((_, i) => i != trained).All(leaf => leaf.Gradient() is null));
            return [.. leaves.Select(leaf => leaf.Gradient()!)];
        }

        foreach (var (count, run) in new (int, Func<Tensor[], Tensor>)[]
        {
            (4, x => Functional.GroupNorm(x[0], 4, x[1], x[2], 1e-5, x[3], silu: true)),
            (3, x => Functional.LayerNorm(x[0], x[1], x[2], 1e-5)),
            (2, x => Functional.ChanLayerNorm(x[0], x[1], 1e-5, tokenShift: true)),
        })
        {
            var all = Gradients(-1, run);
            for (var trained = 0; trained < count; trained++)
            {
                Assert.That(Gradients(trained, run)[trained].ToArray<double>(), Is.EqualTo(all[trained].ToArray<double>()), $"input {trained} of {count}");
            }
        }
    });

    /// <summary>Runs a test on x [2, 3, 2, 2, 8], two vectors of 8 and a modulation [2, 16].</summary>
    private static void Run(Action<DeviceContext, Tensor[]> body)
    {
        using var context = new DeviceContext(VirtualGpu.DeviceSelector.Open("virtual"), ownsDevice: true, DeviceContextOptions.Checked);
        using (TensorScope.Begin())
        {
            body(context, [Numbers(context, [2, 3, 2, 2, 8], 0), Numbers(context, [8], 1), Numbers(context, [8], 2), Numbers(context, [2, 16], 3)]);
        }

        context.CheckLeaks();
    }

    private static Tensor Numbers(DeviceContext context, Shape shape, int phase)
        => Tensor.FromArray<double>(context, [.. Enumerable.Range(0, (int)shape.Count).Select(i => Math.Sin((i * 1.7) + phase))], shape);
}
