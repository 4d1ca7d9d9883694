// The schedule's tables against the reference's, to the bit.
using FashionFlow.Diffusion;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tests;

[TestFixture]
public sealed class NoiseScheduleTests
{
    private static readonly NoiseSchedule Reference = new(new ScheduleOptions());

    private static IEnumerable<TestCaseData> Tables =>
    [
        new("betas", Reference.Betas),
        new("alphas", Reference.Alphas),
        new("alphas_cumprod", Reference.AlphasCumprod),
        new("alphas_cumprod_prev", Reference.AlphasCumprodPrevious),
        new("sqrt_alphas_cumprod", Reference.SqrtAlphasCumprod),
        new("sqrt_one_minus_alphas_cumprod", Reference.SqrtOneMinusAlphasCumprod),
        new("sqrt_recip_alphas", Reference.SqrtReciprocalAlphas),
        new("posterior_variance", Reference.PosteriorVariance),
    ];

    [TestCaseSource(nameof(Tables))]
    public void Table_is_the_references_to_the_bit(string name, float[] table)
    {
        using var file = SafetensorsFile.Open(GoldenFiles.Data("schedule_tables.safetensors"));
        var stored = file.ReadFloat32(name);
        Assert.That(table.Select(BitConverter.SingleToInt32Bits), Is.EqualTo(stored.Select(BitConverter.SingleToInt32Bits)));
    }

    [Test]
    public void Double_tables_are_the_float64_ones_rounded()
    {
        using var file = SafetensorsFile.Open(GoldenFiles.Data("schedule_tables.safetensors"));
        var schedule = new NoiseSchedule(new ScheduleOptions(), SchedulePrecision.Double);

        // One unit in the last place: the stored doubles were rounded by another cosine.
        AssertWithinOneUlp(schedule.Betas, file.ReadFloat32("f64.betas"));
        AssertWithinOneUlp(schedule.AlphasCumprod, file.ReadFloat32("f64.alphas_cumprod"));
        AssertWithinOneUlp(schedule.PosteriorVariance, file.ReadFloat32("f64.posterior_variance"));
        AssertWithinOneUlp(schedule.SqrtReciprocalAlphas, file.ReadFloat32("f64.sqrt_recip_alphas"));
    }

    [Test]
    public void Float32_posterior_variance_is_off_where_the_reference_is()
    {
        var exact = new NoiseSchedule(new ScheduleOptions(), SchedulePrecision.Double).PosteriorVariance;
        var worst = Enumerable.Range(1, 999).Max(t => Math.Abs((Reference.PosteriorVariance[t] / (double)exact[t]) - 1));

        // 1 - abar_0 is 1e-4, and float32 holds abar_0, just below 1, to 2^-25 = 3e-8 at best: 3e-4 of the difference at most.
        Assert.That(worst, Is.InRange(1e-4, 3e-4));
    }

    [TestCase(1, new[] { 999 })]
    [TestCase(2, new[] { 999, 0 })]
    [TestCase(4, new[] { 999, 666, 333, 0 })]
    public void Steps_spread_from_the_noisiest_to_the_cleanest(int steps, int[] expected)
        => Assert.That(Reference.Spread(steps), Is.EqualTo(expected));

    [Test]
    public void All_steps_are_all_timesteps()
        => Assert.That(Reference.Spread(1000), Is.EqualTo(Enumerable.Range(0, 1000).Reverse()));

    [TestCase(0)]
    [TestCase(1001)]
    public void Impossible_numbers_of_steps_are_refused(int steps)
        => Assert.That(() => Reference.Spread(steps), Throws.TypeOf<ModelException>().With.Message.Contains("1 to 1000"));

    private static void AssertWithinOneUlp(float[] ours, float[] stored)
    {
        for (var i = 0; i < ours.Length; i++)
        {
            Assert.That(Math.Abs(BitConverter.SingleToInt32Bits(ours[i]) - BitConverter.SingleToInt32Bits(stored[i])), Is.LessThanOrEqualTo(1), $"entry {i}");
        }
    }
}
