// Learning rates: where they rise, stay and fall, and that their text reads back as what it was.
using CsCheck;
using FashionFlow.Autograd.Optimization;

namespace FashionFlow.Autograd.Tests.Optimization;

public sealed class LearningRateTests
{
    [Test]
    public void It_warms_up_by_equal_steps_from_above_zero_to_its_peak()
    {
        var rate = LearningRate.Constant(0.5, warmUp: 4);
        Assert.That(Enumerable.Range(0, 7).Select(s => rate.At(s)), Is.EqualTo(new[] { 0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5 }));
        Assert.That(LearningRate.Constant(0.25).At(0), Is.EqualTo(0.25));
    }

    [Test]
    public void A_cosine_is_at_its_peak_its_middle_and_its_floor_where_it_should_be()
    {
        var rate = LearningRate.Cosine(0.9, steps: 110, warmUp: 10, floor: 0.1);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(rate.At(0), Is.EqualTo(0.09).Within(1e-15));
            Assert.That(rate.At(9), Is.EqualTo(0.9));
            Assert.That(rate.At(10), Is.EqualTo(0.9).Within(1e-15));
            Assert.That(rate.At(60), Is.EqualTo(0.5).Within(1e-15));
            Assert.That(rate.At(35), Is.EqualTo(0.5 + (0.4 * Math.Sqrt(0.5))).Within(1e-15));
            Assert.That(rate.At(110), Is.EqualTo(0.1));
            Assert.That(rate.At(long.MaxValue), Is.EqualTo(0.1));
            Assert.That(Enumerable.Range(10, 100).All(s => rate.At(s + 1) < rate.At(s)), Is.True, "it falls all the way");
        }
    }

    [Test]
    public void Its_name_reads_back_as_what_it_was()
        => Gen.Select(Gen.Bool, Gen.Double[0, 1], Gen.Long[0, 1000], Gen.Long[1, 100_000], Gen.Double[0, 1]).Sample((cosine, peak, warmUp, more, floor) =>
        {
            var rate = cosine ? LearningRate.Cosine(peak, warmUp + more, warmUp, floor * peak) : LearningRate.Constant(peak, warmUp);
            return LearningRate.Parse(rate.Name) == rate && rate.ToString() == rate.Name;
        });

    [TestCase("constant:0.0001", "constant:0.0001")]
    [TestCase("constant: 1e-4 , warmup = 500", "constant:0.0001,warmup=500")]
    [TestCase("cosine:1e-4,floor=1e-6,steps=100000,warmup=500", "cosine:0.0001,warmup=500,steps=100000,floor=1E-06")]
    public void Settings_may_come_in_any_order(string text, string name) => Assert.That(LearningRate.Parse(text).Name, Is.EqualTo(name));

    [TestCase("")]
    [TestCase("constant")]
    [TestCase("constant:fast")]
    [TestCase("linear:1e-4")]
    [TestCase("constant:1e-4,steps=10")]
    [TestCase("constant:1e-4,warmup=1,warmup=2")]
    [TestCase("constant:1e-4,warmup")]
    [TestCase("constant:1e-4,warmup=-1")]
    [TestCase("cosine:1e-4,steps=ten")]
    [TestCase("cosine:1e-4,steps=10,color=red")]
    public void Another_text_is_refused_in_one_line(string text)
        => Assert.That(
            () => LearningRate.Parse(text),
            Throws.TypeOf<FormatException>().With.Message.EqualTo(
                $"\"{text}\" is not a learning rate; it reads constant:RATE[,warmup=N] or cosine:RATE,steps=N[,warmup=N][,floor=RATE]"));

    [TestCase("constant:-1", "a learning rate of -1 is not a number from 0 on")]
    [TestCase("constant:NaN", "a learning rate of NaN is not a number from 0 on")]
    [TestCase("cosine:1e-4", "a cosine over 0 steps does not outlast its warm-up of 0")]
    [TestCase("cosine:1e-4,steps=10,warmup=10", "a cosine over 10 steps does not outlast its warm-up of 10")]
    [TestCase("cosine:1e-4,steps=10,floor=1", "a lowest learning rate of 1 is not between 0 and the highest, 0.0001")]
    public void Numbers_out_of_range_are_named(string text, string message)
        => Assert.That(() => LearningRate.Parse(text), Throws.ArgumentException.With.Message.EqualTo(message));

    [Test]
    public void There_is_no_step_before_the_first()
        => Assert.That(() => LearningRate.Constant(1).At(-1), Throws.TypeOf<ArgumentOutOfRangeException>());
}
