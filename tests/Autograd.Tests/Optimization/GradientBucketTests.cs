// The bucket: gradients gather in one flat buffer, and what lies between them stays zero.
using FashionFlow.Autograd.Optimization;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Tests.Optimization;

public sealed class GradientBucketTests : DeviceFixture
{
    [Test]
    public void Backward_passes_gather_in_the_flat_buffer_and_one_fill_clears_it() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var a = Make(context, DType.Float64, [3], i => i);
        var b = Make(context, DType.Float64, [], _ => 2);
        var c = Make(context, DType.Float64, [5, 13], i => i);
        using var bucket = new GradientBucket([("a", a), ("b", b), ("c", c)]);
        for (var pass = 1; pass <= 2; pass++)
        {
            Accumulate(a, Make(context, DType.Float64, [3], i => i + 1));
            Accumulate(b, Make(context, DType.Float64, [], _ => 7));
            Accumulate(c, Make(context, DType.Float64, [5, 13], i => -i));
            Assert.That(Read(bucket["a"]), Is.EqualTo(new double[] { 1 * pass, 2 * pass, 3 * pass }));
            Assert.That(bucket["b"].Shape, Is.EqualTo(new Shape()));
            Assert.That(Read(bucket["b"]), Is.EqualTo(new double[] { 7 * pass }));
            Assert.That(Read(bucket["c"]), Is.EqualTo(Enumerable.Range(0, 65).Select(i => -(double)i * pass)));
        }

        Assert.That(a.Gradient(), Is.SameAs(bucket["a"]));
        var flat = Read(bucket.Flat);
        var used = new HashSet<int>([.. Enumerable.Range(0, 3), 64, .. Enumerable.Range(128, 65)]);
        Assert.That(flat, Has.Length.EqualTo(256));
        Assert.That(flat.Where((_, i) => !used.Contains(i)), Is.All.Zero, "padding");
        Assert.That(bucket.Names.Select(name => bucket[name].Pointer<byte>().Address % 256), Is.All.Zero, "alignment");

        Launches.Clear();
        bucket.Clear();
        Assert.That(Launches, Is.Empty);
        Assert.That(Read(bucket.Flat), Is.All.Zero);
    });

    [Test]
    public void Scopes_do_not_own_a_bucket_and_its_disposal_leaves_plain_tensors() => Run(context =>
    {
        using var x = Make(context, DType.Float32, [3], i => i);
        GradientBucket bucket;
        using (TensorScope.Begin())
        {
            bucket = new GradientBucket([("x", x)]);
        }

        using (bucket)
        {
            bucket.Clear();
            Assert.That(x.RequiresGradient(), Is.True);
        }

        Assert.That(x.RequiresGradient(), Is.False);
        Assert.That(context.LiveTensors, Is.EqualTo(1));
        x.RequireGradient();
    });

    [Test]
    public void Wrong_parameters_are_named_and_nothing_becomes_a_leaf() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var x = Make(context, DType.Float32, [3], i => i);
        var leaf = Make(context, DType.Float32, [2], i => i).RequireGradient();
        var wide = Make(context, DType.Float64, [2], i => i);
        var before = context.LiveTensors;
        Refused([("x", x), ("x", leaf)], "parameter \"x\" is there twice, by name or by value");
        Refused([("x", x), ("y", x)], "parameter \"y\" is there twice, by name or by value");
        Refused([("x", x), ("leaf", leaf)], "parameter \"leaf\", Float32 [2], is a leaf already or computed from one");
        Refused([("x", x), ("wide", wide)], "parameter \"wide\", Float64 [2], is not Float32 or Float64 as the others are, in their context");
        Refused([], "a list of tensors holds one at least");
        Assert.That(x.RequiresGradient(), Is.False);
        Assert.That(context.LiveTensors, Is.EqualTo(before));
        using var bucket = new GradientBucket([("x", x)]);
        Assert.That(() => bucket["y"], Throws.TypeOf<KeyNotFoundException>().With.Message.EqualTo("there is no parameter \"y\""));
    });

    private static void Refused((string Name, Tensor Value)[] parameters, string message)
        => Assert.That(() => new GradientBucket(parameters), Throws.ArgumentException.With.Message.StartsWith(message));

    private static void Accumulate(Tensor leaf, Tensor gradient)
    {
        using var tape = Tape.Begin();
        tape.Backward(Functional.Scale(leaf, 1), gradient);
    }
}
