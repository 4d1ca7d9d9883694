// Tensors: contents, views, lifetimes, and what misuse says.
using CsCheck;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests;

public class TensorTests
{
    [Test]
    public void Elements_survive_the_way_to_the_device_and_back()
        => Gen.Float.Array[1, 3000].Sample(
            values => TestDevices.Run(context =>
            {
                using var tensor = Tensor.FromArray<float>(context, values, [values.Length]);
                Assert.That(tensor.ToArray<float>(), Is.EqualTo(values));
            }),
            iter: 20,
            threads: 1);

    [Test]
    public void Every_element_type_is_stored_as_it_is() => TestDevices.Run(context =>
    {
        RoundTrip<float>(context, float.NaN, -0f);
        RoundTrip<double>(context, double.Epsilon, -1);
        RoundTrip<Half>(context, Half.MaxValue, Half.NegativeZero);
        RoundTrip<byte>(context, 0, 255);
        RoundTrip<sbyte>(context, -128, 127);
        RoundTrip<ushort>(context, 0, 65535);
        RoundTrip<short>(context, -32768, 32767);
        RoundTrip<uint>(context, 0, uint.MaxValue);
        RoundTrip<int>(context, int.MinValue, int.MaxValue);
        RoundTrip<ulong>(context, 0, ulong.MaxValue);
        RoundTrip<long>(context, long.MinValue, long.MaxValue);
        RoundTrip<bool>(context, true, false);
    });

    [Test]
    public void Zeros_are_zero_and_scalars_and_empty_tensors_exist() => TestDevices.Run(context =>
    {
        using var zeros = Tensor.Zeros(context, [3, 5], DType.Float64);
        using var scalar = Tensor.FromArray<float>(context, [7], []);
        using var empty = Tensor.Zeros(context, [3, 0]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(zeros.ToArray<double>(), Is.EqualTo(new double[15]));
            Assert.That(scalar.ToArray<float>(), Is.EqualTo(new float[] { 7 }));
            Assert.That(empty.ToArray<float>(), Is.Empty);
        }
    });

    [Test]
    public void Views_share_memory_and_outlive_what_they_were_made_of() => TestDevices.Run(context =>
    {
        var x = Tensor.FromArray<float>(context, [0, 1, 2, 3, 4, 5], [3, 2]);
        using var rows = x.Narrow(1, 2);
        using var flat = rows.Reshape(-1);
        var live = context.LiveBytes;
        x.Dispose();
        Assert.That(context.LiveBytes, Is.EqualTo(live), "a view keeps the memory");
        flat.CopyFrom<float>([20, 30, 40, 50]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(rows.Shape, Is.EqualTo(new Shape(2, 2)));
            Assert.That(flat.Shape, Is.EqualTo(new Shape(4)));
            Assert.That(rows.ToArray<float>(), Is.EqualTo(new float[] { 20, 30, 40, 50 }));
        }
    });

    [Test]
    public void A_tensor_is_copied_into_a_part_of_another() => TestDevices.Run(context =>
    {
        using var scope = TensorScope.Begin();
        var whole = Tensor.Zeros(context, [3, 2]);
        var version = whole.Version;
        whole.Narrow(1, 1).CopyFrom(Tensor.FromArray<float>(context, [7, 8], [1, 2]));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(whole.ToArray<float>(), Is.EqualTo(new float[] { 0, 0, 7, 8, 0, 0 }));
            Assert.That(whole.Version, Is.GreaterThan(version), "a value kept for later can tell");
            Assert.That(() => whole.CopyFrom(Tensor.Zeros(context, [2, 3])), Throws.ArgumentException.With.Message.Contains("Float32 [2, 3]"));
            Assert.That(() => whole.CopyFrom(Tensor.Zeros(context, [3, 2], DType.Float64)), Throws.ArgumentException);
            Assert.That(() => Tensor.Zeros(context, [0]).CopyFrom(Tensor.Zeros(context, [0])), Throws.Nothing);
        }
    });

    [Test]
    public void Reshape_takes_one_open_axis_and_any_spelling() => TestDevices.Run(context =>
    {
        using var scope = TensorScope.Begin();
        var x = Tensor.Zeros(context, [4, 6]);
        Shape shape = [8, 3];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(x.Reshape(2, -1, 3).Shape, Is.EqualTo(new Shape(2, 4, 3)));
            Assert.That(x.Reshape([24]).Shape, Is.EqualTo(new Shape(24)));
            Assert.That(x.Reshape(shape).Shape, Is.EqualTo(shape));
            Assert.That(() => x.Reshape(5, -1), Throws.ArgumentException.With.Message.Contains("24 elements cannot be seen as shape [5, -1]"));
            Assert.That(() => x.Reshape(-1, -1), Throws.ArgumentException);
            Assert.That(() => x.Reshape(4, 5), Throws.ArgumentException);
            Assert.That(() => x.Narrow(3, 2), Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("no range of 2 from 3"));
        }
    });

    [Test]
    public void Misuse_is_refused() => TestDevices.Run(context =>
    {
        using var x = Tensor.Zeros(context, [2, 2]);
        var gone = Tensor.Zeros(context, [1]);
        gone.Dispose();
        gone.Dispose();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => x.Pointer<double>(), Throws.InvalidOperationException.With.Message.EqualTo("a tensor of Float32 has no pointer to Float64"));
            Assert.That(x.Pointer<byte>().Address, Is.EqualTo(x.Pointer<float>().Address));
            Assert.That(() => x.ToArray<int>(), Throws.InvalidOperationException);
            Assert.That(() => x.CopyFrom<float>([1]), Throws.ArgumentException.With.Message.Contains("host memory holds 1 elements, the tensor 4"));
            Assert.That(() => Tensor.FromArray<float>(context, [1, 2], [3]), Throws.ArgumentException);
            Assert.That(() => gone.Pointer<float>(), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => gone.Reshape(1), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => gone.AddReference(), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(context.LiveTensors, Is.EqualTo(1));
        }
    });

    [Test]
    public void Operators_name_what_does_not_fit() => TestDevices.Run(context =>
    {
        using var scope = TensorScope.Begin();
        var x = Tensor.Zeros(context, [2, 3]);
        var wide = Tensor.Zeros(context, [2, 3], DType.Float64);
        var bytes = Tensor.Zeros(context, [2, 3], DType.UInt8);
        using var other = new DeviceContext(context.Device, ownsDevice: false);
        var elsewhere = Tensor.Zeros(other, [2, 3]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => Ops.Add(x, x.Reshape(3, 2)), Refused("Add: shapes differ, [2, 3] and [3, 2]"));
            Assert.That(() => Ops.Add(x, wide), Refused("Add: operands of different element types, Float32 [2, 3] and Float64 [2, 3]"));
            Assert.That(() => Ops.Add(x, elsewhere), Refused("Add: operands of different device contexts, Float32 [2, 3] and Float32 [2, 3]"));
            Assert.That(() => Ops.Silu(bytes), Refused("Silu: no kernel for elements of type UInt8; Float32, Float64, Float16 and BFloat16 are supported"));
            Assert.That(() => Ops.Permute(x, 0, 0), Refused("Permute: [0, 0] is no order of the axes of [2, 3]"));
            Assert.That(() => Ops.SliceChannels(x, 2, 2), Refused("SliceChannels: no 2 channels from 2 in [2, 3]"));
            Assert.That(() => Ops.ConcatChannels(x, 1, x.Reshape(3, 2)), Refused("ConcatChannels: shapes [2, 3] and [3, 2] differ in more than their channels"));
            Assert.That(() => Ops.ConcatTokens(x, x), Refused("ConcatTokens: shapes [2, 3] and [2, 3], expected [b, n1, c] and [b, n2, c]"));
            Assert.That(() => Ops.AddBroadcastRow(x, x.Reshape(3, 2)), Refused("AddBroadcastRow: a row of shape [3, 2] is not the end of shape [2, 3]"));
            Assert.That(() => Ops.SpaceToDepth(x), Refused("SpaceToDepth: x is [2, 3], expected [b, f, h, w, c]"));
            Assert.That(() => Ops.FoldFrames(x.Reshape(1, 3, 2, 1, 1)), Refused("FoldFrames: the number of frames of [1, 3, 2, 1, 1] is odd"));
            Assert.That(() => Ops.Clamp(x, 1, 0), Refused("Clamp: the lower bound 1 is above the upper bound 0"));
            Assert.That(() => Ops.Cast(x, DType.UInt8), Refused("Cast: no kernel from Float32 to UInt8; Float32, Float64, Float16 and BFloat16 are supported"));
            Assert.That(() => Ops.Randn(context, [1], 0, "test", offset: -1), Refused("Randn: the offset -1 is negative"));
        }
    });

    [Test]
    public void Operators_on_nothing_give_nothing() => TestDevices.Run(context =>
    {
        using var scope = TensorScope.Begin();
        var x = Tensor.Zeros(context, [2, 0, 3]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Ops.Add(x, x).Shape, Is.EqualTo(x.Shape));
            Assert.That(Ops.Silu(x).Shape, Is.EqualTo(x.Shape));
            Assert.That(Ops.AddBroadcastRow(x, Tensor.Zeros(context, [0, 3])).Shape, Is.EqualTo(x.Shape));
            Assert.That(Ops.Permute(x, 2, 0, 1).Shape, Is.EqualTo(new Shape(3, 2, 0)));
            Assert.That(Ops.ConcatTokens(x, x).Shape, Is.EqualTo(x.Shape));
            Assert.That(Ops.SliceChannels(x, 1, 2).Shape, Is.EqualTo(new Shape(2, 0, 2)));
            Assert.That(Ops.Randn(context, [0], 1, "test").Count, Is.Zero);
        }
    });

    private static NUnit.Framework.Constraints.Constraint Refused(string message) => Throws.ArgumentException.With.Message.EqualTo(message);

    private static void RoundTrip<T>(DeviceContext context, params T[] values)
        where T : unmanaged
    {
        using var tensor = Tensor.FromArray<T>(context, values, [values.Length]);
        Assert.That(tensor.ToArray<T>(), Is.EqualTo(values), typeof(T).Name);
    }
}
