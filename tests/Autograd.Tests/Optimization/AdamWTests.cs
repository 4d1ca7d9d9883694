// AdamW against the reference's stored steps and against the formula in plain double arithmetic.
using CsCheck;
using FashionFlow.Autograd.Optimization;
using FashionFlow.Gpu;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;
using FashionFlow.Tests;

namespace FashionFlow.Autograd.Tests.Optimization;

public sealed class AdamWTests : DeviceFixture
{
    private static readonly string Golden = Path.Combine(AppContext.BaseDirectory, "adamw.safetensors");

    // PyTorch's own float32 steps: 1e-6 of the largest value is some eight roundings of it; moments are rounded alike.
    [Test]
    public void Five_steps_are_the_reference_s() => Run(context =>
    {
        using var file = SafetensorsFile.Open(Golden);
        using var p = file.Load(context, "p0");
        using var bucket = new GradientBucket([("p", p)]);
        using var optimizer = new AdamW(bucket) { LearningRate = 1e-4 };
        for (var step = 1; step <= 5; step++)
        {
            file.Load($"step{step}.grad", bucket["p"]);
            optimizer.Step();
            AssertClose(Read(p), Widen(file.ReadFloat32($"step{step}.p")), 1e-6, $"p after step {step}");
            using var state = new StateFile(optimizer.State());
            AssertClose(Widen(state.File.ReadFloat32("exp_avg.p")), Widen(file.ReadFloat32($"step{step}.exp_avg")), 1e-6, "first moment");
            AssertClose(Widen(state.File.ReadFloat32("exp_avg_sq.p")), Widen(file.ReadFloat32($"step{step}.exp_avg_sq")), 1e-6, "second moment");
        }
    });

    // Both are double arithmetic; powers of beta differ by some hundred roundings at most, which the step divides by 1e4.
    [Test]
    public void Five_steps_in_double_are_the_reference_s() => Run(context =>
    {
        using var file = SafetensorsFile.Open(Golden);
        using var p = Tensor.FromArray<double>(context, Widen(file.ReadFloat32("p0")), file.Tensors["p0"].Shape);
        using var bucket = new GradientBucket([("p", p)]);
        using var optimizer = new AdamW(bucket) { LearningRate = 1e-4 };
        for (var step = 1; step <= 5; step++)
        {
            bucket["p"].CopyFrom<double>(Widen(file.ReadFloat32($"step{step}.grad")));
            optimizer.Step();
            using var stored = file.Load(context, $"step{step}.p_f64");
            AssertClose(Read(p), stored.ToArray<double>(), 1e-14, $"p after step {step}");
        }
    });

    // With beta2 >= 0.9 no second moment forgets within six steps, so a quotient is a few at most, and in float some ten roundings
    // (1e-6) off; times a rate of 0.01 at most that is less than the rounding of the value itself. Six steps: 6e-6.
    [Test]
    public void Steps_follow_the_formula_for_any_sizes_settings_and_clipping()
        => Gen.Select(
            Gen.Int[1, 700].Array[1, 12],
            Gen.Select(Gen.Double[0, 0.99], Gen.Double[0.9, 0.999], Gen.Double[0, 0.5], Gen.Double[1e-5, 0.01]),
            Gen.Int[0, 3].Select(i => new[] { 0.01, 1, 100, double.PositiveInfinity }[i]),
            Gen.Bool.Select(single => single ? DType.Float32 : DType.Float64)).Sample(
            (sizes, numbers, maxNorm, type) => Run(context =>
            {
                var (beta1, beta2, weightDecay, rate) = numbers;
                using var scope = TensorScope.Begin();
                Tensor[] values = [.. sizes.Select((size, k) => Make(context, type, [size], i => Scattered(i, k)))];
                using var bucket = new GradientBucket(values.Select((value, k) => ($"p{k}", value)));
                using var optimizer = new AdamW(
                    bucket, new AdamWOptions { Beta1 = beta1, Beta2 = beta2, WeightDecay = weightDecay, Epsilon = 1e-6, MaxNorm = maxNorm });
                var plain = new PlainAdamW([.. values.SelectMany(Read)], beta1, beta2, 1e-6, weightDecay, maxNorm);
                for (var step = 0; step < 6; step++)
                {
                    for (var k = 0; k < values.Length; k++)
                    {
                        using var gradient = Make(context, type, values[k].Shape, i => Scattered(i, 1000 + (step * 100) + k) / (1 + k));
                        bucket.Context.Device.Copy(bucket[$"p{k}"].Pointer<byte>(), gradient.Pointer<byte>(), gradient.Bytes, context.Stream);
                    }

                    optimizer.LearningRate = rate / (step + 1);
                    optimizer.Step();
                    plain.Step([.. bucket.Names.SelectMany(name => Read(bucket[name]))], rate / (step + 1));
                    var status = optimizer.ReadStatus();
                    Assert.That(status.GradientNorm, Is.EqualTo(plain.Norm).Within(1e-12).Percent);
                    Assert.That(status.ClipFactor, Is.EqualTo(Math.Min(1, maxNorm / (plain.Norm + 1e-6))).Within(1e-12).Percent);
                    Assert.That((status.Step, status.Skipped, status.LastStepCounted), Is.EqualTo((step + 1L, 0L, true)));
                }

                AssertClose([.. values.SelectMany(Read)], plain.Values, type == DType.Float32 ? 6e-6 : 1e-13, "values");
            }),
            iter: 25,
            threads: 1);

    [TestCase(1)]
    [TestCase(300)]
    public void A_step_is_three_launches_however_many_parameters_there_are(int count) => Run(context =>
    {
        using var scope = TensorScope.Begin();
        using var bucket = new GradientBucket(Enumerable.Range(0, count).Select(k => ($"p{k}", Make(context, DType.Float32, [(k % 5) + 1], i => i))));
        using var optimizer = new AdamW(bucket, new AdamWOptions { MaxNorm = 1 });
        using var average = new ExponentialMovingAverage(optimizer);
        Launches.Clear();
        optimizer.Step();
        average.Update();
        Assert.That(Launches, Is.EqualTo(new[] { "sum_of_squares_f32", "adamw_prepare_f64", "adamw_f32", "moving_average_f32" }));
    });

    [TestCase(double.NaN)]
    [TestCase(double.PositiveInfinity)]
    [TestCase(double.NegativeInfinity)]
    public void A_gradient_that_is_not_finite_leaves_everything_as_it_was(double bad) => Run(context =>
    {
        using var p = Make(context, DType.Float32, [5], i => i);
        using var bucket = new GradientBucket([("p", p)]);
        using var optimizer = new AdamW(bucket, new AdamWOptions { MaxNorm = 1 });
        using var average = new ExponentialMovingAverage(optimizer);
        Assert.That(optimizer.ReadStatus().LastStepCounted, Is.False);
        Set([1, 2, 3, 4, 5]);
        optimizer.Step();
        average.Update();
        var before = Everything();
        Set([1, 2, (float)bad, 4, 5]);
        optimizer.Step();
        average.Update();
        Assert.That(Everything(), Is.EqualTo(before));
        var status = optimizer.ReadStatus();
        Assert.That((status.Step, status.Skipped, status.ClipFactor, status.LastStepCounted), Is.EqualTo((1L, 1L, 0.0, false)));
        Assert.That(double.IsFinite(status.GradientNorm), Is.False);

        Set([1, 2, 3, 4, 5]);
        optimizer.Step();
        average.Update();
        status = optimizer.ReadStatus();
        Assert.That((status.Step, status.Skipped, status.LastStepCounted), Is.EqualTo((2L, 1L, true)));
        Assert.That(Everything(), Is.Not.EqualTo(before));

        void Set(float[] gradient) => bucket["p"].CopyFrom<float>(gradient);

        byte[] Everything()
        {
            using var state = new StateFile([.. optimizer.State(), .. average.State(), new SafetensorsTensor("p", p)]);
            return File.ReadAllBytes(state.Path);
        }
    });

    [Test]
    public void A_state_taken_up_again_continues_bit_for_bit() => Run(context =>
    {
        using var scope = TensorScope.Begin();
        var (whole, resumed) = (Start(), Start());
        Advance(whole, 0, 4);
        Advance(resumed, 0, 2);
        using var file = new StateFile(
            [.. resumed.Optimizer.State(), .. resumed.Average.State(), .. resumed.Values.Select((value, k) => new SafetensorsTensor($"p{k}", value))]);
        Assert.That(
            file.File.Tensors.Keys.Order(StringComparer.Ordinal),
            Is.EqualTo(new[] { "ema.p0", "ema.p1", "exp_avg.p0", "exp_avg.p1", "exp_avg_sq.p0", "exp_avg_sq.p1", "p0", "p1", "step" }));
        Assert.That(file.File.Tensors["exp_avg.p1"].Shape, Is.EqualTo(new Shape(7, 11)));
        var again = Start();
        again.Optimizer.Load(file.File);
        again.Average.Load(file.File);
        for (var k = 0; k < again.Values.Length; k++)
        {
            file.File.Load($"p{k}", again.Values[k]);
        }

        Assert.That(again.Optimizer.ReadStatus().Step, Is.EqualTo(2));
        Advance(again, 2, 4);
        Assert.That(Bits(again), Is.EqualTo(Bits(whole)));
        foreach (var run in new[] { whole, resumed, again })
        {
            run.Average.Dispose();
            run.Optimizer.Dispose();
            run.Optimizer.Bucket.Dispose();
        }

        (AdamW Optimizer, ExponentialMovingAverage Average, Tensor[] Values) Start()
        {
            Tensor[] values = [Make(context, DType.Float32, [33], i => Scattered(i, 1)), Make(context, DType.Float32, [7, 11], i => Scattered(i, 2))];
            var optimizer = new AdamW(new GradientBucket([("p0", values[0]), ("p1", values[1])]), new AdamWOptions { MaxNorm = 2 });
            return (optimizer, new ExponentialMovingAverage(optimizer, 0.99), values);
        }

        static void Advance((AdamW Optimizer, ExponentialMovingAverage Average, Tensor[] Values) run, int from, int to)
        {
            for (var step = from; step < to; step++)
            {
                run.Optimizer.LearningRate = 0.01 / (step + 1);
                for (var k = 0; k < run.Values.Length; k++)
                {
                    run.Optimizer.Bucket[$"p{k}"].CopyFrom<float>([.. Enumerable.Range(0, (int)run.Values[k].Count).Select(i => (float)Scattered(i, step + 7))]);
                }

                run.Optimizer.Step();
                run.Average.Update();
            }
        }

        static byte[] Bits((AdamW Optimizer, ExponentialMovingAverage Average, Tensor[] Values) run)
        {
            using var file = new StateFile(
                [.. run.Optimizer.State(), .. run.Average.State(), .. run.Values.Select((value, k) => new SafetensorsTensor($"p{k}", value))]);
            return File.ReadAllBytes(file.Path);
        }
    });

    [Test]
    public void A_state_that_does_not_fit_is_refused_by_the_first_tensor_and_changes_nothing() => Run(context =>
    {
        using var p = Make(context, DType.Float32, [3], i => i);
        using var bucket = new GradientBucket([("p", p)]);
        using var optimizer = new AdamW(bucket);
        using var average = new ExponentialMovingAverage(optimizer);
        bucket["p"].CopyFrom<float>([1, 2, 3]);
        optimizer.Step();
        using var good = new StateFile(optimizer.State());
        var step = SafetensorsTensor.Of<long>("step", [], [9]);
        var first = new SafetensorsTensor("exp_avg.p", [3], [7, 7, 7]);
        Refused([step, first], SafetensorsError.TensorNotFound, "there is no tensor \"exp_avg_sq.p\"");
        Refused([first], SafetensorsError.TensorNotFound, "there is no tensor \"step\"");
        Refused(
            [step, first, new SafetensorsTensor("exp_avg_sq.p", [1, 3], [7, 7, 7])],
            SafetensorsError.InvalidTensorView,
            "tensor \"exp_avg_sq.p\" is F32 [1, 3], not F32 [3]");
        Refused(
            [step, SafetensorsTensor.Of<double>("exp_avg.p", [3], [7, 7, 7])],
            SafetensorsError.InvalidTensorView,
            "tensor \"exp_avg.p\" is F64 [3], not F32 [3]");
        using (var negative = new StateFile([SafetensorsTensor.Of<long>("step", [], [-1]), first, new SafetensorsTensor("exp_avg_sq.p", [3], [7, 7, 7])]))
        {
            Assert.That(() => optimizer.Load(negative.File), Throws.TypeOf<InvalidDataException>().With.Message.EqualTo("an optimizer's state with a negative step, -1"));
            Assert.That(
                () => average.Load(negative.File),
                Throws.TypeOf<SafetensorsException>().With.Message.EqualTo($"{negative.Path}: there is no tensor \"ema.p\""));
        }

        using var after = new StateFile(optimizer.State());
        Assert.That(File.ReadAllBytes(after.Path), Is.EqualTo(File.ReadAllBytes(good.Path)));

        void Refused(SafetensorsTensor[] tensors, SafetensorsError error, string message)
        {
            using var file = new StateFile(tensors);
            Assert.That(
                () => optimizer.Load(file.File),
                Throws.TypeOf<SafetensorsException>().With.Message.EqualTo($"{file.Path}: {message}").And.Property("Error").EqualTo(error));
        }
    });

    [Test]
    public void Settings_out_of_range_are_named() => Run(context =>
    {
        using var p = Make(context, DType.Float32, [3], i => i);
        using var bucket = new GradientBucket([("p", p)]);
        Refused(new AdamWOptions { Beta1 = 1 }, "beta1 is 1, not in [0, 1)");
        Refused(new AdamWOptions { Beta2 = -0.5 }, "beta2 is -0.5, not in [0, 1)");
        Refused(new AdamWOptions { Epsilon = 0 }, "epsilon is 0, not positive");
        Refused(new AdamWOptions { WeightDecay = double.NaN }, "weight decay is NaN, not a number from 0 on");
        Refused(new AdamWOptions { MaxNorm = 0 }, "the gradients' largest norm is 0, not positive");
        using var optimizer = new AdamW(bucket);
        Assert.That(
            () => optimizer.LearningRate = -1, Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.StartsWith("a learning rate of -1 is not a number from 0 on"));
        p.Dispose();
        Assert.That(optimizer.Step, Throws.TypeOf<ObjectDisposedException>());

        void Refused(AdamWOptions options, string message) => Assert.That(() => new AdamW(bucket, options), Throws.ArgumentException.With.Message.EqualTo(message));
    });

    private static double[] Widen(float[] values) => Array.ConvertAll(values, value => (double)value);

    /// <summary>Fails unless values are within a tolerance relative to the largest.</summary>
    private static void AssertClose(double[] ours, double[] expected, double tolerance, string what)
    {
        var largest = expected.Max(Math.Abs);
        Assert.That(ours, Is.EqualTo(expected).Within(tolerance * largest), what);
    }

    /// <summary>The formula, one element after another.</summary>
    private sealed class PlainAdamW(double[] values, double beta1, double beta2, double epsilon, double weightDecay, double maxNorm)
    {
        private readonly double[] _average = new double[values.Length];
        private readonly double[] _square = new double[values.Length];
        private int _step;

        public double[] Values => values;

        public double Norm { get; private set; }

        public void Step(double[] gradients, double rate)
        {
            _step++;
            Norm = Math.Sqrt(gradients.Sum(g => g * g));
            var clip = Math.Min(1, maxNorm / (Norm + 1e-6));
            for (var i = 0; i < values.Length; i++)
            {
                var g = clip * gradients[i];
                _average[i] = (beta1 * _average[i]) + ((1 - beta1) * g);
                _square[i] = (beta2 * _square[i]) + ((1 - beta2) * g * g);
                var root = Math.Sqrt(_square[i]) / Math.Sqrt(1 - Math.Pow(beta2, _step));
                values[i] = (values[i] * (1 - (rate * weightDecay))) - (rate / (1 - Math.Pow(beta1, _step)) * _average[i] / (root + epsilon));
            }
        }
    }

    /// <summary>Tensors in a safetensors file of a folder of its own.</summary>
    private sealed class StateFile : IDisposable
    {
        private readonly TemporaryFolder _folder = new();

        public StateFile(IReadOnlyList<SafetensorsTensor> tensors)
        {
            SafetensorsWriter.Write(Path, tensors);
            File = SafetensorsFile.Open(Path);
        }

        public string Path => _folder["state.safetensors"];

        public SafetensorsFile File { get; }

        public void Dispose()
        {
            File.Dispose();
            _folder.Dispose();
        }
    }
}
