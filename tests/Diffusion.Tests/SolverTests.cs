// Samplers where the truth is known: of normally distributed data the noise that a perfect network predicts, and where the reverse
// equation leads, are formulas.
using FashionFlow.Diffusion;
using FashionFlow.Tensors;

namespace FashionFlow.Tests;

[TestFixture]
public sealed class SolverTests
{
    // The data's mean and standard deviation.
    private const double Mean = 0.3;
    private const double Deviation = 0.5;

    private static NoiseSchedule Schedule => new(new ScheduleOptions(), SchedulePrecision.Double);

    // Half the step, half the error, or a quarter of it. The bounds are what the same arithmetic gives in double for 20, 40 and 80 steps
    // (first order 1.97 to 2.00, second 3.95 to 4.45) with a tenth of room; float32 moves the smallest error by less than a hundredth.
    [TestCase(TimestepSpacing.Uniform, 1, 1.8, 2.2)]
    [TestCase(TimestepSpacing.Karras, 1, 1.8, 2.2)]
    [TestCase(TimestepSpacing.Uniform, 2, 3.5, 4.9)]
    [TestCase(TimestepSpacing.Karras, 2, 3.5, 4.9)]
    public void Errors_fall_with_the_order_of_the_method(TimestepSpacing spacing, int order, double least, double most)
    {
        using var context = GoldenFiles.OpenChecked();
        var errors = new[] { 20, 40, 80 }.Select(steps =>
        {
            var points = Schedule.Points(steps, spacing);
            using var sampler = new SolverSampler(context, points, order);
            return Error(context, sampler, points);
        }).ToList();
        TestContext.Out.WriteLine(string.Join(", ", errors.Select(e => $"{e:e2}")));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(errors[0] / errors[1], Is.InRange(least, most));
            Assert.That(errors[1] / errors[2], Is.InRange(least, most));
        }

        context.CheckLeaks();
    }

    [Test]
    public void Twenty_steps_of_second_order_are_nearer_than_forty_of_first()
    {
        using var context = GoldenFiles.OpenChecked();
        var (few, many) = (Schedule.Points(40, TimestepSpacing.Karras), Schedule.Points(80, TimestepSpacing.Karras));
        using var second = new SolverSampler(context, few, order: 2);
        using var first = new SolverSampler(context, many, order: 1);
        Assert.That(Error(context, second, few), Is.LessThan(Error(context, first, many) / 2));
    }

    // Euler's step and DDIM's are one formula written in two ways: a handful of roundings of values below 4 each.
    [TestCase(TimestepSpacing.Uniform)]
    [TestCase(TimestepSpacing.Trailing)]
    public void Euler_is_DDIM_without_noise(TimestepSpacing spacing)
    {
        using var context = GoldenFiles.OpenChecked();
        var points = Schedule.Points(7, spacing);
        using (var euler = new SolverSampler(context, points, order: 1))
        using (var ddim = new DdimSampler(context, Schedule, [.. points.Select(p => (int)p.Timestep)]))
        using (TensorScope.Begin())
        {
            // At the first points a step divides by a signal of 0.006: the prediction must be one of the video that is there.
            var x = Ops.Randn(context, [1, 2, 2, 2, 4], 1, "x");
            var y = x;
            for (var step = 0; step < 7; step++)
            {
                Assert.That(euler.NetworkTimestep(step).ToArray<float>(), Is.EqualTo(ddim.NetworkTimestep(step).ToArray<float>()));
                (x, y) = (euler.Step(step, x, Predict(context, x, points[step]), null, null), ddim.Step(step, y, Predict(context, y, points[step]), null, null));
                Assert.That(x.ToArray<float>(), Is.EqualTo(y.ToArray<float>()).Within(1e-4));
            }
        }

        context.CheckLeaks();
    }

    // The same truth told as a velocity: noise = sigma x + alpha v, in a handful of roundings.
    [TestCase(SamplerKind.Ddim)]
    [TestCase(SamplerKind.Euler)]
    [TestCase(SamplerKind.Dpmpp)]
    public void A_network_that_tells_the_velocity_leads_where_one_that_tells_the_noise_does(SamplerKind kind)
    {
        using var context = GoldenFiles.OpenChecked();
        var points = Schedule.Points(9, TimestepSpacing.Uniform);
        ISampler Sampler() => kind switch
        {
            SamplerKind.Ddim => new DdimSampler(context, Schedule, [.. points.Select(p => (int)p.Timestep)]),
            var other => new SolverSampler(context, points, other == SamplerKind.Euler ? 1 : 2),
        };
        using (var bySpeed = new VelocitySampler(context, points, Sampler()))
        using (var byNoise = Sampler())
        using (TensorScope.Begin())
        {
            var x = Ops.Randn(context, [1, 2, 2, 2, 4], 1, "x");
            var y = x;
            Assert.That((bySpeed.Steps, bySpeed.NeedsNoise), Is.EqualTo((9, false)));
            for (var step = 0; step < 9; step++)
            {
                Assert.That(bySpeed.NetworkTimestep(step).ToArray<float>(), Is.EqualTo(byNoise.NetworkTimestep(step).ToArray<float>()));
                (x, y) = (bySpeed.Step(step, x, Velocity(context, x, points[step]), null, null), byNoise.Step(step, y, Predict(context, y, points[step]), null, null));
                Assert.That(x.ToArray<float>(), Is.EqualTo(y.ToArray<float>()).Within(1e-4));
            }
        }

        context.CheckLeaks();
    }

    // With a perfect network the mean is the data's, and the variance what the recursion over the steps says: 0.2475, 1 % below the
    // data's, since the smaller of the two variances of Ho et al. (2020, section 3.2) is the posterior's of a single point. Of n samples the
    // variance is off by sqrt(2 / n) of itself, the mean by deviation / sqrt(n): four of these.
    [Test]
    public void Ancestral_sampling_has_the_mean_and_the_variance_of_the_data()
    {
        using var context = GoldenFiles.OpenChecked();
        const int Samples = 1 << 14;
        var schedule = Schedule;
        var steps = Enumerable.Range(0, schedule.Timesteps).Reverse().ToArray();
        using (var sampler = new DdpmSampler(context, schedule, steps))
        using (TensorScope.Begin())
        {
            var x = Ops.Randn(context, [1, 1, 1, 1, Samples], 3, "start");
            for (var step = 0; step < steps.Length; step++)
            {
                using var scope = TensorScope.Begin();
                var next = sampler.Step(step, x, Predict(context, x, new SchedulePoint(steps[step], schedule.AlphasCumprod[steps[step]])), Ops.Randn(context, x.Shape, 3, "noise", step * (long)Samples), null);
                x.Dispose();
                x = scope.Keep(next);
            }

            var values = x.ToArray<float>();
            var mean = values.Average(v => (double)v);
            var variance = values.Average(v => (v - mean) * (v - mean));
            var expected = AncestralVariance(schedule);
            TestContext.Out.WriteLine($"mean {mean:f4}, variance {variance:f5}, by the recursion {expected:f5}");
            using (Assert.EnterMultipleScope())
            {
                Assert.That(expected, Is.EqualTo(Deviation * Deviation).Within(0.02 * Deviation * Deviation));
                Assert.That(variance, Is.EqualTo(expected).Within(4 * expected * Math.Sqrt(2.0 / Samples)));
                Assert.That(mean, Is.EqualTo(Mean).Within(4 * Deviation / Math.Sqrt(Samples)));
            }
        }

        context.CheckLeaks();
    }

    [Test]
    public void Frame_0_is_put_back_by_every_step_and_nothing_else_is()
    {
        using var context = GoldenFiles.OpenChecked();
        foreach (var order in new[] { 1, 2 })
        {
            using var sampler = new SolverSampler(context, Schedule.Points(3, TimestepSpacing.Uniform), order);
            using var scope = TensorScope.Begin();
            var x = Ops.Randn(context, [1, 3, 2, 2, 4], 1, "x");
            var picture = Ops.Randn(context, [1, 2, 2, 4], 1, "picture").ToArray<float>();
            for (var step = 0; step < 3; step++)
            {
                x = sampler.Step(step, x, x, null, Tensor.FromArray<float>(context, picture, [1, 2, 2, 4]));
                var values = x.ToArray<float>();
                Assert.That(values[..16], Is.EqualTo(picture));
                Assert.That(values[16..].Intersect(picture), Is.Empty);
            }
        }

        context.CheckLeaks();
    }

    [Test]
    public void Spacings_start_at_the_noisiest_time_and_fall()
    {
        var schedule = Schedule;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(schedule.Points(5, TimestepSpacing.Uniform).Select(p => p.Timestep), Is.EqualTo(new[] { 999, 749, 500, 250, 0 }));
            Assert.That(schedule.Points(4, TimestepSpacing.Trailing).Select(p => p.Timestep), Is.EqualTo(new[] { 999, 749, 499, 249 }));
            Assert.That(schedule.Points(1000, TimestepSpacing.Trailing).Select(p => p.Timestep), Is.EqualTo(Enumerable.Range(0, 1000).Reverse()));
            foreach (var steps in new[] { 1, 2, 3, 20, 1000 })
            {
                var points = schedule.Points(steps, TimestepSpacing.Karras);
                Assert.That(points, Has.Length.EqualTo(steps));
                Assert.That(points[0], Is.EqualTo(new SchedulePoint(999, points[0].AlphaCumprod)));
                Assert.That(points[0].AlphaCumprod, Is.EqualTo(schedule.AlphasCumprod[999]).Within(1e-12));
                Assert.That(points.Select(p => -p.Timestep), Is.Ordered.Ascending);
                Assert.That(points.Select(p => p.AlphaCumprod), Is.Ordered.Ascending);
                Assert.That(points.All(p => p.AlphaCumprod >= schedule.AlphasCumprod[(int)Math.Ceiling(p.Timestep)] - 1e-7 && p.AlphaCumprod <= schedule.AlphasCumprod[(int)p.Timestep] + 1e-7), Is.True, "a time lies between its neighbours");
            }
        }
    }

    [Test]
    public void A_plan_that_does_not_fall_another_order_and_a_step_out_of_turn_are_refused()
    {
        using var context = GoldenFiles.OpenChecked();
        Assert.That(() => new SolverSampler(context, [new(5, 0.5), new(7, 0.4)], 1), Throws.ArgumentException.With.Message.Contains("must fall"));
        Assert.That(() => new SolverSampler(context, [new(5, 1)], 1), Throws.ArgumentException);
        Assert.That(() => new SolverSampler(context, [], 1), Throws.ArgumentException);
        Assert.That(() => new SolverSampler(context, [new(5, 0.5)], 3), Throws.ArgumentException.With.Message.Contains("order 3"));
        using (var sampler = new SolverSampler(context, Schedule.Points(3, TimestepSpacing.Uniform), 2))
        using (TensorScope.Begin())
        {
            var x = Ops.Randn(context, [1, 1, 1, 1, 4], 1, "x");
            Assert.That(() => sampler.Step(1, x, x, null, null), Throws.InvalidOperationException.With.Message.EqualTo("step 1 needs the one before it"));
        }

        context.CheckLeaks();
    }

    // How far from where the equation leads all but the last step end. The last one, to no noise at all, is another matter: its error
    // is that of stopping at the schedule's least noise.
    private static double Error(DeviceContext context, SolverSampler sampler, SchedulePoint[] points)
    {
        using var scope = TensorScope.Begin();
        float[] start = [-2, -0.7f, 1.2f, 2.5f];
        var x = Tensor.FromArray<float>(context, start, [1, 1, 1, 1, 4]);
        for (var step = 0; step < points.Length - 1; step++)
        {
            x = sampler.Step(step, x, Predict(context, x, points[step]), null, null);
        }

        var end = x.ToArray<float>();
        var (first, last) = (points[0], points[^1]);
        return Enumerable.Range(0, 4).Max(i =>
        {
            var exact = (Math.Sqrt(last.AlphaCumprod) * Mean) + (Spread(last) / Spread(first) * (start[i] - (Math.Sqrt(first.AlphaCumprod) * Mean)));
            return Math.Abs(end[i] - exact);
        });
    }

    // The standard deviation of noisy data.
    private static double Spread(SchedulePoint point) => Math.Sqrt((point.AlphaCumprod * Deviation * Deviation) + 1 - point.AlphaCumprod);

    // The noise's expectation, given the noisy data.
    private static Tensor Predict(DeviceContext context, Tensor x, SchedulePoint point)
    {
        var factor = Math.Sqrt(1 - point.AlphaCumprod) / (Spread(point) * Spread(point));
        return Tensor.FromArray<float>(context, Array.ConvertAll(x.ToArray<float>(), v => (float)(factor * (v - (Math.Sqrt(point.AlphaCumprod) * Mean)))), x.Shape);
    }

    // alpha noise - sigma clean, of the expectations of both; alpha clean is x - sigma noise.
    private static Tensor Velocity(DeviceContext context, Tensor x, SchedulePoint point)
    {
        var (alpha, sigma) = (Math.Sqrt(point.AlphaCumprod), Math.Sqrt(1 - point.AlphaCumprod));
        var gain = alpha * Deviation * Deviation / (Spread(point) * Spread(point));
        return Tensor.FromArray<float>(
            context,
            Array.ConvertAll(x.ToArray<float>(), v =>
            {
                var difference = v - (alpha * Mean);
                return (float)((alpha * sigma / (Spread(point) * Spread(point)) * difference) - (sigma * (Mean + (gain * difference))));
            }),
            x.Shape);
    }

    private static double AncestralVariance(NoiseSchedule schedule)
    {
        var variance = 1.0;
        for (var t = schedule.Timesteps - 1; t >= 0; t--)
        {
            double product = schedule.AlphasCumprod[t], beta = schedule.Betas[t];
            var keeps = (1 - (beta / ((product * Deviation * Deviation) + 1 - product))) / Math.Sqrt(1 - beta);
            variance = (keeps * keeps * variance) + (t == 0 ? 0 : schedule.PosteriorVariance[t]);
        }

        return variance;
    }
}
