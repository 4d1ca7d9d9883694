// The gradient check must catch every lie: backwards that are wrong in one way each, and their honest twins, which pass.
using CsCheck;
using FashionFlow.Autograd.Checking;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Tests;

public sealed class LiarTests
{
    // More rows than the threads of a block that sums them, and three elements more than a multiple of four.
    private static readonly Shape s_shape = [131, 17];

    private static readonly KernelSourceSet s_kernels = KernelSourceSet.FromAssembly(typeof(LiarTests).Assembly);

    private static int s_calls;

    /// <summary>As in liars.cu, then those that need no kernel.</summary>
    public enum Lie
    {
        Honest,
        Sign,
        MissingFactor,
        OffByOne,
        DroppedReduction,
        Transposed,
        StaleBuffer,
        MissingBarrier,
        Tail,
        LargeIndex,
        OnePercent,
        OnePercentInSingle,
        OutOfBounds,
        MissingInput,
        MissingWhenAlone,
        WrongSize,
        WrongType,
        WritesInput,
        WritesGradient,
        Leaks,
        NotTheSameTwice,
        NotRecorded,
        ResultOfAnotherType,
        Throws,
    }

    private static IEnumerable<TestCaseData> Lies =>
        from lie in (IEnumerable<(Lie Lie, GradCheckFailureKind Kind, string Message)>)
        [
            (Lie.Sign, GradCheckFailureKind.Value, "the gradient of x is wrong at ["),
            (Lie.MissingFactor, GradCheckFailureKind.Value, "the gradient of x is wrong at ["),
            (Lie.OffByOne, GradCheckFailureKind.Value, "the gradient of x is wrong at ["),
            (Lie.DroppedReduction, GradCheckFailureKind.Value, "the gradient of w is wrong at ["),
            (Lie.Transposed, GradCheckFailureKind.Value, "the gradient of x is wrong at ["),
            (Lie.StaleBuffer, GradCheckFailureKind.NotFinite, "the float64 gradient of w is NaN at [0]; new memory holds NaN here"),
            (Lie.MissingBarrier, GradCheckFailureKind.NotRepeatable, "the float64 gradient of w differs between two runs at ["),
            (Lie.Tail, GradCheckFailureKind.Value, "the gradient of x is wrong at [130, 1"),
            (Lie.LargeIndex, GradCheckFailureKind.Value, "the gradient of x is wrong at [78, 11]: backward gives "),
            (Lie.OnePercent, GradCheckFailureKind.Value, "the gradient of x is wrong at ["),
            (Lie.OnePercentInSingle, GradCheckFailureKind.Single, "the float32 gradient of x is wrong at ["),
            (Lie.OutOfBounds, GradCheckFailureKind.Error, "the float64 pass failed: GpuException: CUDA_ERROR_ILLEGAL_ADDRESS: kernel row_scale_dx_f64"),
            (Lie.MissingInput, GradCheckFailureKind.Missing, "no float64 gradient came for w, which asked for one"),
            (Lie.MissingWhenAlone, GradCheckFailureKind.Alone, "no gradient came for w when no other input asked for one"),
            (Lie.WrongSize, GradCheckFailureKind.Error, "the float64 pass failed: InvalidOperationException: RowScale: its backward gave Float64 [17] for input 0"),
            (Lie.WrongType, GradCheckFailureKind.Error, "the float64 pass failed: InvalidOperationException: RowScale: its backward gave Float32 [131, 17] for input 0"),
            (Lie.WritesInput, GradCheckFailureKind.Overwritten, "input x was written to: [0, 0] was "),
            (Lie.WritesGradient, GradCheckFailureKind.Overwritten, "the gradient that backward starts from was written to: [0, 0] was "),
            (Lie.Leaks, GradCheckFailureKind.Leak, "tensors alive: 2 before the forward pass, 3 after the backward pass"),
            (Lie.NotTheSameTwice, GradCheckFailureKind.NotRepeatable, "the float64 gradient of x differs between two runs at [0, 0]"),
            (Lie.NotRecorded, GradCheckFailureKind.Missing, "the result was not recorded on the tape"),
            (Lie.ResultOfAnotherType, GradCheckFailureKind.Type, "the result is Float32 [131, 17] for inputs of type Float64"),
            (Lie.Throws, GradCheckFailureKind.Error, "the float64 pass failed: ArgumentException: no such thing"),
        ]
        from mode in Enum.GetValues<GradCheckMode>()
        select new TestCaseData(lie.Lie, lie.Kind, lie.Message, mode).SetArgDisplayNames($"{lie.Lie}", $"{mode}");

    [TestCaseSource(nameof(Lies))]
    public void A_lie_is_caught_and_named(Lie lie, GradCheckFailureKind kind, string message, GradCheckMode mode) => CheckDevices.Run(
        80,
        context =>
        {
            var report = GradCheck.Run(context, CaseOf(lie), new() { Mode = mode, Seed = 5 });
            using (Assert.EnterMultipleScope())
            {
                Assert.That(report.Passed, Is.False);
                Assert.That(report.Failures.Select(failure => failure.Kind), Does.Contain(kind), report.Message);
                Assert.That(report.Failures.First(failure => failure.Kind == kind).Message, Does.StartWith(message));
                Assert.That(report.Message, Does.StartWith($"{CaseOf(lie)}: ").And.Contain("seed 5; to see it again: "));
                Assert.That(report.Mode, Is.EqualTo(mode));
            }
        },
        mayFail: true);

    [TestCase(GradCheckMode.Full)]
    [TestCase(GradCheckMode.Fast)]
    public void The_honest_twins_pass(GradCheckMode mode) => CheckDevices.Run(80, context =>
    {
        GradCheck.Assert(context, CaseOf(Lie.Honest), new() { Mode = mode, Seed = 5 });
        GradCheck.Assert(context, Product(Lie.Honest), new() { Mode = mode, Seed = 5 });
    });

    [Test]
    public void Lies_are_caught_from_any_seed() => CheckDevices.Run(80, context =>
    {
        Lie[] lies = [Lie.Sign, Lie.MissingFactor, Lie.OffByOne, Lie.DroppedReduction, Lie.Tail, Lie.LargeIndex, Lie.OnePercent, Lie.OnePercentInSingle, Lie.MissingBarrier];
        Gen.Select(Gen.ULong, Gen.Int[0, lies.Length - 1].Select(i => lies[i]))
            .Sample(
                (seed, lie) =>
                {
                    Assert.That(GradCheck.Run(context, CaseOf(lie), new() { Mode = GradCheckMode.Fast, Seed = seed }).Passed, Is.False, $"{lie}, seed {seed}");
                    Assert.That(GradCheck.Run(context, CaseOf(Lie.Honest), new() { Mode = GradCheckMode.Fast, Seed = seed }).Message, Does.EndWith("right"));
                },
                iter: 30,
                threads: 1);
    });

    private static GradCheckCase CaseOf(Lie lie) => lie == Lie.Transposed ? Product(lie) : new()
    {
        Operator = "RowScale",
        Variant = $"{s_shape}",
        Inputs = [new("x", s_shape), new("w", [s_shape[1]], Mean: 2, Deviation: 0.25)],
        Run = x => RowScale(x[0], x[1], lie),
    };

    private static GradCheckCase Product(Lie lie) => new()
    {
        Operator = "Product",
        Variant = "[4, 6] by [6, 6]",
        Inputs = [new("x", [4, 6]), new("w", [6, 6], Differentiable: false)],
        Run = x => Product(x[0], x[1], lie),
    };

    private static Tensor RowScale(Tensor x, Tensor w, Lie lie)
    {
        var (rows, columns) = (x.Shape[0], x.Shape[1]);
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        Launch("row_scale", y, (rows * columns / 256) + 1, 256, x, w, y, rows, columns);
        if (lie == Lie.NotRecorded)
        {
            return y;
        }

        if (lie == Lie.ResultOfAnotherType)
        {
            return Ops.Cast(y, DType.Float32);
        }

        if (lie == Lie.Leaks)
        {
            TensorScope.Detach(x.AddReference()).History = null;
        }

        return Tape.Record("RowScale", y, [x, w], [x, w], call =>
        {
            var (x, w, g) = (call.Saved(0), call.Saved(1), call.Gradient);
            switch (lie)
            {
                case Lie.WrongSize:
                    call.Set(0, w);
                    return;
                case Lie.WrongType:
                    call.Set(0, Ops.Cast(g, g.DType == DType.Float64 ? DType.Float32 : DType.Float64));
                    return;
                case Lie.WritesInput:
                    Ops.Fill(x, 7);
                    break;
                case Lie.WritesGradient:
                    Ops.Fill(g, 7);
                    break;
                case Lie.Throws:
                    throw new ArgumentException("no such thing");
            }

            if (call.Needs(0))
            {
                var dx = Tensor.Empty(x.Context, x.Shape, x.DType);
                Launch("row_scale_dx", dx, (rows * columns / 256) + 1, 256, w, g, dx, rows, columns, (int)lie);
                if (lie == Lie.NotTheSameTwice)
                {
                    dx = Ops.Scale(dx, 1 + (1e-12 * Interlocked.Increment(ref s_calls)));
                }

                call.Set(0, dx);
            }

            if (call.Needs(1) && lie != Lie.MissingInput && (call.Needs(0) || lie != Lie.MissingWhenAlone))
            {
                var dw = Tensor.Empty(x.Context, w.Shape, x.DType);
                Launch("row_scale_dw", dw, columns, 64, x, g, dw, rows, columns, (int)lie);
                call.Set(1, dw);
            }
        });
    }

    private static Tensor Product(Tensor x, Tensor w, Lie lie)
    {
        var (rows, n) = (x.Shape[0], x.Shape[1]);
        var y = Tensor.Empty(x.Context, x.Shape, x.DType);
        Launch("product", y, (rows * n / 64) + 1, 64, x, w, y, rows, n, 0);
        return Tape.Record("Product", y, [x], [w], call =>
        {
            var dx = Tensor.Empty(call.Gradient.Context, call.Gradient.Shape, call.Gradient.DType);
            Launch("product", dx, (rows * n / 64) + 1, 64, call.Gradient, call.Saved(0), dx, rows, n, lie == Lie.Transposed ? 0 : 1);
            call.Set(0, dx);
        });
    }

    private static void Launch(string name, Tensor result, int blocks, int threads, Tensor a, Tensor b, Tensor c, params ReadOnlySpan<int> numbers)
    {
        KernelArgument[] arguments = [a.Pointer<byte>(), b.Pointer<byte>(), c.Pointer<byte>(), .. numbers.ToArray().Select(n => (KernelArgument)n)];
        result.Context.Device.KernelsOf(s_kernels)
            .GetFunction("liars.cu", name + (result.DType == DType.Float64 ? "_f64" : "_f32"))
            .LaunchWith(result.Context.Stream, new LaunchShape(blocks, threads), arguments);
    }
}
