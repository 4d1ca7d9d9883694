// The gradient check itself: what it draws, what it refuses, what it says, and that it leaves everything as it was.
using CsCheck;
using FashionFlow.Autograd.Checking;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Tests;

public sealed class GradCheckRuleTests
{
    [Test]
    public void Inputs_keep_away_from_kinks_and_from_each_other_and_are_the_same_in_float() => CheckDevices.Run(80, context =>
        Gen.Select(Gen.ULong, Gen.Int[1, 200], Gen.Double[-1.5, 1.5].Array[0, 3], Gen.Double[0, 0.01])
            .Sample(
                (seed, count, kinks, separation) =>
                {
                    var input = new GradCheckInput("x", [count]) { Kinks = kinks, Separation = separation };
                    var values = GradCheckValues.Input(context, input, seed, "test");
                    var ascending = values.Order().ToArray();
                    return values.All(v => v == (float)v)
                        && values.All(v => kinks.All(kink => Math.Abs(v - kink) >= GradCheckInput.KinkDistance))
                        && ascending.Zip(ascending.Skip(1)).All(pair => pair.Second - pair.First >= separation);
                },
                iter: 200,
                threads: 1));

    [Test]
    public void Random_vectors_have_length_one_and_leave_no_element_out() => CheckDevices.Run(80, context =>
        Gen.Select(Gen.ULong, Gen.Int[1, 1000]).Sample(
            (seed, count) =>
            {
                var vector = GradCheckValues.Direction(context, count, seed, "test");
                return Math.Abs(Math.Sqrt(vector.Sum(x => x * x)) - 1) < 1e-6 && vector.Min(Math.Abs) * 3.0001 >= vector.Max(Math.Abs);
            },
            iter: 100,
            threads: 1));

    // d/dx of c f(x) is checked by a backward that claims c (1 + e): half the tolerance passes, ten times it fails.
    [Test]
    public void An_error_is_seen_where_it_passes_the_tolerance() => CheckDevices.Run(80, context =>
        Gen.Select(Gen.ULong, Gen.Int[1, 40], Gen.Enum<GradCheckMode>()).Sample(
            (seed, count, mode) =>
            {
                var options = new GradCheckOptions { Mode = mode, Seed = seed, AbsoluteTolerance = 0, Single = false };
                return Check(5e-4).Passed && !Check(1e-2).Passed;

                GradCheckReport Check(double error) => GradCheck.Run(context, new() { Operator = "Wrong", Variant = "", Inputs = [new("x", [count])], Run = x => WrongBy(x[0], error) }, options);
            },
            iter: 50,
            threads: 1));

    [Test]
    public void A_kink_must_be_declared() => CheckDevices.Run(80, context =>
    {
        // |x - 0.5| <= 1e-7 for the value drawn: the difference takes half of each side's slope.
        var at = new GradCheckInput("x", [1]) { Values = [0.5f] };
        var wrong = Assert.Throws<GradCheckException>(() => GradCheck.Assert(context, x => Functional.Clamp(x[0], -1, 0.5), at));
        Assert.That(wrong.Message, Does.StartWith("Clamp: the gradient of x is wrong at [0]: backward gives 1, central differences 0.5"));

        var near = new GradCheckInput("x", [50], Mean: 0.5, Deviation: 1e-4) { Kinks = [0.5] };
        GradCheck.Assert(context, x => Functional.Clamp(x[0], -1, 0.5), near);
    });

    [Test]
    public void An_operator_is_checked_in_one_line_and_named_by_what_it_records() => CheckDevices.Run(80, context =>
    {
        GradCheck.Assert(context, x => Functional.AddScaled(x[0], x[1], 2), new GradCheckInput("a", [3, 7]), new GradCheckInput("b", [3, 7]));
        using var single = Tensor.FromArray<float>(context, [1, 2, 3], [3]);
        using var precise = Tensor.FromArray<double>(context, [0.1, 0.2, 0.3], [3]);
        GradCheck.Assert(context, x => Functional.Silu(Functional.Add(x[0], x[1])), single, precise);
        var e = Assert.Throws<GradCheckException>(() => GradCheck.Assert(context, x => WrongBy(x[0], 0.5), precise));
        Assert.That(e.Message.Split('\n'), Has.Length.EqualTo(2));
        Assert.That(e.Message, Does.Match(@"^Wrong: the gradient of input 0 is wrong at \[\d\]: backward gives 4\.5, central differences (3|2\.99\d*) \(from a gradient of 1 at result \[\d\]; 0\.00301 apart is allowed\); 3 of 9 elements of the Jacobian are wrong\nseed 0; to see it again: GradCheckOptions { Seed = 0, Mode = Full }$"));
        Assert.That(e.Report.Failures[0], Has.Property("Input").EqualTo("input 0").And.Property("Kind").EqualTo(GradCheckFailureKind.Value));
    });

    [Test]
    public void A_case_of_the_table_says_the_command_that_repeats_it() => CheckDevices.Run(70, context =>
    {
        var @case = GradCheckTable.Cases.First(@case => @case.Operator == "Silu");
        var report = GradCheck.Run(context, @case, new() { Mode = GradCheckMode.Fast, Seed = 9, RelativeTolerance = 0, AbsoluteTolerance = 0 });
        Assert.That(report.Message, Does.StartWith($"{@case}: the gradient of x is wrong").And.EndWith("seed 9; to see it again: fashionflow gradcheck --op Silu --seed 9 --fast -d virtual:sm_70"));
    });

    [Test]
    public void Second_order_and_senseless_options_are_refused_in_one_line() => CheckDevices.Run(80, context =>
    {
        var @case = GradCheckTable.Cases[0];
        Assert.That(
            () => GradCheck.Run(context, @case, new() { Order = 2 }),
            Throws.ArgumentException.With.Message.EqualTo("GradCheck: derivatives of order 2 cannot be checked: differentiation is of first order, a backward pass is not recorded"));
        Assert.That(() => GradCheck.Run(context, @case, new() { Step = 0 }), Throws.ArgumentException.With.Message.Contains("step 0 must be above 0"));
        Assert.That(
            () => GradCheck.Run(context, @case with { Inputs = [new("x", [2]) { Values = [1] }] }),
            Throws.ArgumentException.With.Message.EqualTo("GradCheck: 1 values given for input x of shape [2]"));
        using var integers = Tensor.FromArray<int>(context, [1], [1]);
        Assert.That(() => GradCheck.Assert(context, x => x[0], integers), Throws.ArgumentException.With.Message.EqualTo("GradCheck: Int32 [1] is neither Float32 nor Float64"));
    });

    [Test]
    public void A_large_jacobian_is_checked_by_products() => CheckDevices.Run(80, context =>
    {
        var report = GradCheck.Run(context, new() { Operator = "Silu", Variant = "", Inputs = [new("x", [4099])], Run = x => Functional.Silu(x[0]) });
        Assert.That(report.Message, Is.EqualTo("Silu: the gradients are right"));
        Assert.That(report.Mode, Is.EqualTo(GradCheckMode.Fast));
    });

    [Test]
    public void A_check_leaves_context_and_tape_as_they_were()
    {
        using var context = DeviceContext.Open("virtual");
        using var x = Tensor.FromArray<double>(context, [1], [1]).RequireGradient();
        using var tape = Tape.Begin();
        using var y = Functional.Scale(x, 2);
        GradCheck.Assert(context, x => Functional.Silu(x[0]), new GradCheckInput("x", [5]));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(context.PoisonMemory, Is.False);
            Assert.That(Tape.IsRecording);
            Assert.That(tape.Count, Is.EqualTo(1));
            Assert.That(context.LiveTensors, Is.EqualTo(2));
        }
    }

    [Test]
    public void A_report_has_numbers_for_programs() => CheckDevices.Run(80, context =>
    {
        var report = GradCheck.Run(context, GradCheckTable.Cases.First(@case => @case.Operator == "Gelu"));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(report.Passed);
            Assert.That(report.WorstDifference, Is.InRange(1e-13, 1e-8), "rounding of differences with a step of 1e-6");
            Assert.That(report.WorstShare, Is.InRange(1e-9, 1e-3));
            Assert.That(report.WorstSingle, Is.InRange(0.01, 16), "of GELU's gradient");
            Assert.That(report.Elapsed, Is.GreaterThan(TimeSpan.Zero));
        }
    });

    /// <summary>3 x, with a gradient of 3 (1 + error).</summary>
    private static Tensor WrongBy(Tensor x, double error)
        => Tape.Record("Wrong", Ops.Scale(x, 3), [x], [], call => call.Set(0, Ops.Scale(call.Gradient, 3 * (1 + error))));
}
