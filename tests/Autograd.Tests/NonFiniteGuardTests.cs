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

    [Test]
    public void Operators_with_a_way_of_their_own_without_a_tape_are_looked_at_as_well() => Run(context =>
    {
        using var guard = NonFiniteGuard.Begin();
        Tensor Of(double value, params int[] shape)
        {
            var x = Tensor.Empty(context, shape, DType.Float64);
            Ops.Fill(x, value);
            return x;
        }

        var nan = double.NaN;
        (string Name, Func<Tensor> Run)[] operators =
        [
            ("Permute", () => Functional.Permute(Of(nan, 2, 3), 1, 0)),
            ("PositionBias", () => Functional.PositionBias(Of(nan, 3, 1), 2)),
            ("GroupNorm", () => Functional.GroupNorm(Of(nan, 1, 2, 4), 2, Of(1, 4), Of(0, 4), 1e-5)),
            ("PseudoConv3d", () => Functional.PseudoConv3d(Of(nan, 1, 2, 3, 3, 1), Of(1, 1, 3, 3, 1), null, Of(1, 1, 3, 1), null)),
        ];
        foreach (var (name, run) in operators)
        {
            Assert.That(() => run(), Throws.TypeOf<NonFiniteException>().With.Message.StartsWith($"{name} gave a value"));
        }
    });

    [Test]
    public void The_librarys_backward_products_and_convolutions_are_named() => Run(context =>
    {
        // The loss's gradient is finite, and overflows where it meets the large operand.
        (string Library, Func<Tensor, Tensor> Forward, int[] Shape)[] cases =
        [
            (context.Device.Dnn!.Name, x => Functional.Conv2d(x, Large(context, 1, 3, 3, 1), null, padding: new Padding2d(1, 1, 1, 1)), [1, 4, 4, 1]),
            (context.Device.Blas!.Name, x => Functional.MatMul(x, Large(context, 4, 4)), [4, 4]),
            (context.Device.Blas!.Name, x => Functional.Attention(x, Large(context, 1, 20, 8), Large(context, 1, 20, 8), 1, 1), [1, 20, 8]),
        ];
        foreach (var (library, forward, shape) in cases)
        {
            var x = Tensor.Zeros(context, shape, DType.Float64).RequireGradient();
            using var tape = Tape.Begin();
            var y = forward(x);
            var start = Tensor.Empty(context, y.Shape, DType.Float64);
            Ops.Fill(start, 1e200);
            using var guard = NonFiniteGuard.Begin();
            Assert.That(
                () => tape.Backward(y, start),
                Throws.TypeOf<NonFiniteException>().With.Property(nameof(NonFiniteException.IsBackward)).True.And.Property(nameof(NonFiniteException.Call)).EqualTo(library));
        }
    });

    private static Tensor Large(DeviceContext context, params int[] shape)
    {
        var x = Tensor.Empty(context, shape, DType.Float64);
        Ops.Fill(x, 1e150);
        return x;
    }

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
