// Lists of tensors: the layout of their flat buffers, and what does not fit one.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests;

public sealed class TensorListTests
{
    [Test]
    public void Places_in_flat_buffers_are_aligned_and_in_order() => TestDevices.Run(context =>
    {
        using var scope = TensorScope.Begin();
        Tensor[] tensors = [Of(context, 1), Of(context, 65), Of(context, 0), Of(context, 64)];
        using var list = new TensorList(tensors);
        Assert.That(list.FlatCount, Is.EqualTo(64 + 128 + 0 + 64));
        using var flat = list.NewFlat();
        Assert.That(flat.ToArray<float>(), Is.All.Zero);
        var start = flat.Pointer<float>().Address;
        var places = new List<ulong>();
        for (var i = 0; i < tensors.Length; i++)
        {
            using var view = list.View(flat, i);
            Assert.That(view.Shape, Is.EqualTo(tensors[i].Shape));
            places.Add((view.Pointer<float>().Address - start) / sizeof(float));
        }

        Assert.That(places, Is.EqualTo(new ulong[] { 0, 64, 192, 192 }));
    });

    [Test]
    public void What_does_not_fit_is_named() => TestDevices.Run(context =>
    {
        using var scope = TensorScope.Begin();
        var tensor = Of(context, 3);
        Assert.That(() => new TensorList([]), Throws.ArgumentException.With.Message.StartsWith("a list of tensors holds one at least"));
        foreach (var other in new[] { Tensor.Zeros(context, [2], DType.Float64), Tensor.Zeros(context, [2], DType.Int32) })
        {
            Assert.That(
                () => new TensorList([tensor, other]),
                Throws.ArgumentException.With.Message.StartsWith($"tensor 1 of a list, {other}, is not of the first one's type and context"));
        }

        using var list = new TensorList([tensor]);
        Assert.That(
            () => Ops.Exchange(list, tensor),
            Throws.ArgumentException.With.Message.EqualTo("Exchange: a flat buffer Float32 [3] does not fit tensors that take Float32 [64]"));
        Assert.That(
            () => Ops.MovingAverage(list, Tensor.Zeros(context, [64]), tensor, 0.5, warmUp: false),
            Throws.ArgumentException.With.Message.EqualTo("MovingAverage: a control block is Float64 [9], not Float32 [3]"));
        Assert.That(
            () => Ops.SumOfSquares(tensor, tensor),
            Throws.ArgumentException.With.Message.EqualTo("SumOfSquares: partial sums of Float32 [3] go to Float64 [1], not Float32 [3]"));
        var gone = Of(context, 3);
        using var late = new TensorList([gone]);
        gone.Dispose();
        Assert.That(() => Ops.Exchange(late, Tensor.Zeros(context, [64])), Throws.TypeOf<ObjectDisposedException>());
    });

    private static Tensor Of(DeviceContext context, int count) => Tensor.Zeros(context, [count]);
}
