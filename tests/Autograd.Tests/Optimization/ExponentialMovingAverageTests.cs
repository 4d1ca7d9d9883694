// Moving averages: the formula step by step, and weights that come back bit for bit.
using FashionFlow.Autograd.Optimization;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Tests.Optimization;

public sealed class ExponentialMovingAverageTests : DeviceFixture
{
    [TestCase(false)]
    [TestCase(true)]
    public void It_follows_the_formula_after_every_step(bool warmUp) => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var p = Make(context, DType.Float64, [5, 13], i => Scattered(i, 1));
        var q = Make(context, DType.Float64, [], _ => 0.5);
        using var bucket = new GradientBucket([("p", p), ("q", q)]);
        using var optimizer = new AdamW(bucket) { LearningRate = 0.1 };
        using var average = new ExponentialMovingAverage(optimizer, 0.3, warmUp);
        double[] expected = [.. Read(p), .. Read(q)];
        Assert.That((double[])[.. Read(average["p"]), .. Read(average["q"])], Is.EqualTo(expected), "it starts as the weights are");
        for (var t = 1; t <= 8; t++)
        {
            bucket["p"].CopyFrom<double>([.. Enumerable.Range(0, 65).Select(i => Scattered(i, t + 3))]);
            bucket["q"].CopyFrom<double>([1]);
            optimizer.Step();
            average.Update();
            var decay = warmUp ? Math.Min(0.3, (1.0 + t) / (10 + t)) : 0.3;
            expected = [.. expected.Zip((double[])[.. Read(p), .. Read(q)], (a, w) => (decay * a) + ((1 - decay) * w))];

            // Five roundings a step of values below 2.
            Assert.That((double[])[.. Read(average["p"]), .. Read(average["q"])], Is.EqualTo(expected).Within(1e-14), $"step {t}");
        }
    });

    [Test]
    public void Applied_it_takes_the_weights_place_and_gives_it_back_bit_for_bit() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var p = Make(context, DType.Float32, [4099], i => Scattered(i, 1));
        using var bucket = new GradientBucket([("p", p)]);
        using var optimizer = new AdamW(bucket) { LearningRate = 0.1 };
        using var average = new ExponentialMovingAverage(optimizer, 0.5, warmUp: false);
        bucket["p"].CopyFrom<float>([.. Enumerable.Range(0, 4099).Select(i => (float)Scattered(i, 2))]);
        optimizer.Step();
        average.Update();
        var (weights, averages) = (Read(p), Read(average["p"]));
        Assert.That(averages, Is.Not.EqualTo(weights));
        var version = p.Version;
        Launches.Clear();
        using (average.Apply())
        {
            Assert.That(average.IsApplied, Is.True);
            Assert.That(Read(p), Is.EqualTo(averages));
            Assert.That(p.Version, Is.GreaterThan(version), "a tape must see that the weights were overwritten");
            const string Message = "the weights are those of a moving average at the moment; dispose what Apply gave first";
            Assert.That(optimizer.Step, Throws.InvalidOperationException.With.Message.EqualTo(Message));
            Assert.That(average.Update, Throws.InvalidOperationException.With.Message.EqualTo(Message));
            Assert.That(average.Apply, Throws.InvalidOperationException.With.Message.EqualTo(Message));
            Assert.That(average.State, Throws.InvalidOperationException.With.Message.EqualTo(Message));
            Assert.That(() => average["p"], Throws.InvalidOperationException.With.Message.EqualTo(Message));
            Assert.That(() => new ExponentialMovingAverage(optimizer), Throws.InvalidOperationException.With.Message.EqualTo(Message));
        }

        Assert.That(average.IsApplied, Is.False);
        Assert.That(Launches, Is.EqualTo(new[] { "exchange_f32", "exchange_f32" }));
        Assert.That(Read(p), Is.EqualTo(weights));
        Assert.That(Read(average["p"]), Is.EqualTo(averages));
        optimizer.Step();
        average.Update();
        Assert.That(Read(p), Is.Not.EqualTo(weights));
    });

    [Test]
    public void Disposed_while_it_is_applied_it_gives_the_weights_back() => Run(context =>
    {
        using var p = Make(context, DType.Float32, [3], i => i);
        using var bucket = new GradientBucket([("p", p)]);
        using var optimizer = new AdamW(bucket) { LearningRate = 1 };
        var average = new ExponentialMovingAverage(optimizer);
        bucket["p"].CopyFrom<float>([1, 1, 1]);
        optimizer.Step();
        var weights = Read(p);
        var applied = average.Apply();
        Assert.That(Read(p), Is.EqualTo(new double[] { 0, 1, 2 }));
        average.Dispose();
        applied.Dispose();
        Assert.That(Read(p), Is.EqualTo(weights));
        optimizer.Step();
    });

    [TestCase(-0.1)]
    [TestCase(1)]
    [TestCase(double.NaN)]
    public void A_decay_out_of_range_is_refused(double decay) => Run(context =>
    {
        using var p = Make(context, DType.Float32, [3], i => i);
        using var bucket = new GradientBucket([("p", p)]);
        using var optimizer = new AdamW(bucket);
        Assert.That(
            () => new ExponentialMovingAverage(optimizer, decay),
            Throws.ArgumentException.With.Message.StartsWith(FormattableString.Invariant($"the average's decay is {decay}, not in [0, 1)")));
    });
}
