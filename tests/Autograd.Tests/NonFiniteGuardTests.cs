// The debug mode that names what first gave a number that is none.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Tests;

public sealed class NonFiniteGuardTests
{
    [Test]
    public void The_first_operator_that_gives_none_is_named_with_its_kernel() => Run(context =>
    {
        var x = Tensor.FromArray<double>(context, [1e200, 1], [2]);
        using var guard = NonFiniteGuard.Begin();
        var y = Functional.Scale(x, 1e100);
        var error = Assert.Throws<NonFiniteException>(() => Functional.Add(Functional.Scale(y, 1e100), y))!;
        Assert.That(error.Message, Is.EqualTo(
            "Scale gave a value that is infinite or no number; it came from scale_f64 (kernels/elementwise.cu)"));
        Assert.That(error.IsBackward, Is.False);
    });

    [Test]
    public void A_backward_is_named_as_one() => Run(context =>
    {
        var x = Tensor.FromArray<double>(context, [1, 2], [2]).RequireGradient();
        using var guard = NonFiniteGuard.Begin();
        using var tape = Tape.Begin();
        var y = Functional.Scale(x, 1e200);
        var error = Assert.Throws<NonFiniteException>(() => tape.Backward(y, Tensor.FromArray<double>(context, [1e200, 0], [2])))!;
        Assert.That(error.Message, Does.StartWith("the backward pass of Scale gave"));
        Assert.That((error.IsBackward, error.Call), Is.EqualTo((true, "scale_f64 (kernels/elementwise.cu)")));
    });

    [Test]
    public void Without_the_guard_nothing_is_looked_at() => Run(context =>
    {
        using (NonFiniteGuard.Begin())
        {
        }

        var x = Tensor.FromArray<double>(context, [1e200], [1]);
        Assert.That(Functional.Scale(x, 1e200).ToArray<double>()[0], Is.EqualTo(double.PositiveInfinity));
    });

    private static void Run(Action<DeviceContext> body)
    {
        using var context = new DeviceContext(VirtualGpu.DeviceSelector.Open("virtual"), ownsDevice: true, DeviceContextOptions.Checked);
        using (TensorScope.Begin())
        {
            body(context);
        }

        context.CheckLeaks();
    }
}
