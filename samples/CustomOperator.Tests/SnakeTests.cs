// How an operator of one's own is checked: one line for its gradients, one for its values.
using FashionFlow.Autograd.Checking;
using FashionFlow.Tensors;

namespace CustomOperator.Tests;

public sealed class SnakeTests
{
    [Test]
    public void Its_gradients_are_the_derivatives()
    {
        using var context = DeviceContext.Open("auto");
        GradCheck.Assert(context, x => SnakeOperator.Snake(x[0], x[1]), new GradCheckInput("x", [9, 5]), new GradCheckInput("a", [5], Mean: 1, Deviation: 0.2));
    }

    [Test]
    public void Its_values_are_those_of_the_formula()
    {
        using var context = DeviceContext.Open("auto");
        using var scope = TensorScope.Begin();
        double[] x = [-2, -0.5, 0, 0.25, 1, 3], a = [0.5, 2];
        var y = SnakeOperator.Snake(Tensor.FromArray<double>(context, x, [3, 2]), Tensor.FromArray<double>(context, a, [2])).ToArray<double>();
        var expected = x.Select((v, i) => v + (Math.Pow(Math.Sin(a[i % 2] * v), 2) / a[i % 2]));
        Assert.That(y, Is.EqualTo(expected).Within(4).Ulps, "a sine within 2 ulp (CUDA's manual), squared, and a sum");
    }

    [Test]
    public void Wrong_operands_are_named()
    {
        using var context = DeviceContext.Open("auto");
        using var scope = TensorScope.Begin();
        Assert.That(
            () => SnakeOperator.Snake(Tensor.Zeros(context, [3, 2]), Tensor.Zeros(context, [3])),
            Throws.ArgumentException.With.Message.EqualTo("Snake: x is Float32 [3, 2], a is Float32 [3]; expected [rows, channels] and [channels], both Float32 or both Float64"));
    }
}
