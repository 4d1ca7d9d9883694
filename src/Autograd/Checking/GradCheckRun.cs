// One gradient check from start to end: backward passes on one side, central differences on the other, and everything that is
// watched on the way.
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

/// <summary>The check of one case. It is used once.</summary>
internal sealed class GradCheckRun(DeviceContext context, GradCheckCase @case, GradCheckOptions options)
{
    private readonly List<GradCheckFailure> _failures = [];
    private readonly Dictionary<DType, Tensor[]> _inputs = [];
    private string _operator = @case.Operator;
    private GradCheckMode _mode = options.Mode;
    private double[][] _values = [];
    private Shape? _resultShape;
    private double _worstDifference;
    private double _worstShare;
    private double? _worstSingle;

    /// <summary>The result's shape; there is one from the first pass on.</summary>
    private Shape ResultShape => _resultShape ?? throw new InvalidOperationException("no pass was made yet");

    private IEnumerable<int> Differentiable => Enumerable.Range(0, @case.Inputs.Length).Where(i => @case.Inputs[i].Differentiable);

    public GradCheckReport Run()
    {
        options.Validate();
        var clock = Stopwatch.StartNew();
        var poison = context.PoisonMemory;
        context.PoisonMemory = true;
        try
        {
            using var pause = Tape.NoGrad();
            _values = [.. @case.Inputs.Select(input => GradCheckValues.Input(context, input, options.Seed, Purpose(input.Name)))];
            CheckDouble();
            if (options.Single)
            {
                CheckSingle();
            }
        }
        catch (Stop stop)
        {
            _failures.Add(stop.Failure);
        }
        finally
        {
            context.PoisonMemory = poison;
            foreach (var input in _inputs.Values.SelectMany(inputs => inputs))
            {
                input.Dispose();
            }
        }

        return new()
        {
            Operator = _operator.Length == 0 ? "the operator" : _operator,
            Variant = @case.Variant,
            Mode = _mode,
            Seed = options.Seed,
            Failures = _failures,
            WorstDifference = _worstDifference,
            WorstShare = _worstShare,
            WorstSingle = _worstSingle,
            Elapsed = clock.Elapsed,
            Reproduction = Reproduction(),
        };
    }

    private void CheckDouble()
    {
        var first = Differentiate(DType.Float64, Cotangent(0), Differentiable);
        CheckPresent(first, DType.Float64);
        CheckRepeatable(first, DType.Float64);
        CheckAlone(first);
        var jacobian = ResultShape.Count * Differentiable.Sum(i => @case.Inputs[i].Shape.Count);
        if (jacobian > GradCheckOptions.LargestJacobian)
        {
            _mode = GradCheckMode.Fast;
        }

        if (_mode == GradCheckMode.Full)
        {
            CheckJacobian(first);
        }
        else
        {
            CheckProducts(first);
        }
    }

    /// <summary>Full mode: every element of the Jacobian, and that a backward pass from everything at once is the sum of its rows.</summary>
    private void CheckJacobian(Pass first)
    {
        var rows = new Pass[ResultShape.Count];
        for (var j = 0; j < rows.Length; j++)
        {
            var one = new double[rows.Length];
            one[j] = 1;
            rows[j] = Differentiate(DType.Float64, _ => one, Differentiable);
        }

        var all = Cotangent(0)(ResultShape);
        foreach (var i in Present(first))
        {
            var worst = default(Worst);
            var worstSum = default(Worst);
            for (var k = 0L; k < @case.Inputs[i].Shape.Count; k++)
            {
                var column = Differences(i, Element(i, k));
                var sum = 0.0;
                for (var j = 0; j < rows.Length; j++)
                {
                    worst.Add(Compared(rows[j].Gradients[i]?[k] ?? double.NaN, column[j], k, j));
                    sum += all[j] * column[j];
                }

                worstSum.Add(Compared(first.Gradients[i]![k], sum, k, row: -1));
            }

            Conclude(i, worst.Wrong > 0 || worstSum.Wrong == 0 ? worst : worstSum);
        }
    }

    /// <summary>Fast mode: products of the Jacobian with random vectors from both sides.</summary>
    private void CheckProducts(Pass first)
    {
        var wrong = new HashSet<int>();
        for (var d = 0; d < GradCheckOptions.Directions; d++)
        {
            var cotangent = Cotangent(d)(ResultShape);
            var pass = d == 0 ? first : Differentiate(DType.Float64, Cotangent(d), Differentiable);
            foreach (var i in Present(first).Where(i => !wrong.Contains(i)))
            {
                var direction = GradCheckValues.Direction(context, @case.Inputs[i].Shape.Count, options.Seed, Purpose($"{@case.Inputs[i].Name}/direction {d}"));
                var gradient = pass.Gradients[i] ?? [.. direction.Select(_ => double.NaN)];
                var product = default(Worst);
                product.Add(Compared(Dot(gradient, direction), Dot(cotangent, Differences(i, direction)), element: -1, row: -1));
                if (product.Wrong == 0)
                {
                    Note(product);
                    continue;
                }

                // PyTorch too goes over all elements then, to say where it is wrong.
                wrong.Add(i);
                var worst = default(Worst);
                for (var k = 0L; k < gradient.Length; k++)
                {
                    worst.Add(Compared(gradient[k], Dot(cotangent, Differences(i, Element(i, k))), k, row: -1));
                }

                Conclude(i, worst.Wrong > 0 ? worst : product);
            }
        }
    }

    /// <summary>The float32 backward against the float64 one, from the same inputs and the same start.</summary>
    private void CheckSingle()
    {
        const double Epsilon = 1.0 / (1 << 23);
        var cotangent = Cotangent(0);
        var precise = Differentiate(DType.Float64, cotangent, Differentiable);
        var single = Differentiate(DType.Float32, cotangent, Differentiable);
        CheckPresent(single, DType.Float32);
        CheckRepeatable(single, DType.Float32);
        foreach (var i in Present(single).Intersect(Present(precise)))
        {
            // Where double shows nothing but its own rounding, terms cancel, and what cancelled has the size of what came in.
            var largest = precise.Gradients[i]!.Select(Math.Abs).DefaultIfEmpty().Max();
            var start = cotangent(ResultShape).Select(Math.Abs).DefaultIfEmpty().Max();
            var size = largest > 1e-9 * start ? largest : start;
            var (worst, at) = (0.0, 0L);
            for (var k = 0L; k < single.Gradients[i]!.Length; k++)
            {
                var epsilons = Math.Abs(single.Gradients[i]![k] - precise.Gradients[i]![k]) / (size * Epsilon);
                if (epsilons > worst)
                {
                    (worst, at) = (epsilons, k);
                }
            }

            _worstSingle = Math.Max(_worstSingle ?? 0, worst);
            if (worst > @case.SingleEpsilons)
            {
                var (a, b) = (single.Gradients[i]![at], precise.Gradients[i]![at]);
                Fail(
                    GradCheckFailureKind.Single,
                    i,
                    $"the float32 gradient of {Name(i)} is wrong at {Place(i, at)}: it is {a:G9}, in float64 {b:G9}, "
                        + $"which is {worst:G3} epsilons of the largest element apart; {@case.SingleEpsilons:G3} are allowed",
                    at,
                    a,
                    b);
            }
        }
    }

    /// <summary>Every gradient that was asked for came, and is a number.</summary>
    private void CheckPresent(Pass pass, DType type)
    {
        if (Array.FindIndex(pass.Result, value => !double.IsFinite(value)) is >= 0 and var bad)
        {
            throw new Stop(GradCheckFailureKind.NotFinite, $"the {Bits(type)} result is {pass.Result[bad]} at {Coordinates(ResultShape, bad)}");
        }

        foreach (var i in Differentiable)
        {
            if (pass.Gradients[i] is not { } gradient)
            {
                Fail(GradCheckFailureKind.Missing, i, $"no {Bits(type)} gradient came for {Name(i)}, which asked for one");
            }
            else if (Array.FindIndex(gradient, value => !double.IsFinite(value)) is >= 0 and var at)
            {
                Fail(
                    GradCheckFailureKind.NotFinite,
                    i,
                    $"the {Bits(type)} gradient of {Name(i)} is {gradient[at]} at {Place(i, at)}; new memory holds NaN here, so that reading it before it is written shows so",
                    at,
                    gradient[at]);
            }
        }
    }

    /// <summary>The same bits once more, and under every schedule that the device can be told.</summary>
    private void CheckRepeatable(Pass first, DType type)
    {
        Compare("the same again", Differentiate(type, Cotangent(0), Differentiable));
        foreach (var schedule in GradCheckOptions.Schedules)
        {
            using var change = context.Device.UseSchedule(schedule);
            if (change is not null)
            {
                Compare(schedule.ToString(), Differentiate(type, Cotangent(0), Differentiable));
            }
        }

        void Compare(string how, Pass again)
        {
            if (FirstDifference(first.Result, again.Result) is { } place)
            {
                throw new Stop(
                    GradCheckFailureKind.NotRepeatable,
                    $"the {Bits(type)} result differs between two runs at {Coordinates(ResultShape, place)}: {first.Result[place]:R}, then {again.Result[place]:R} ({how})");
            }

            foreach (var i in Present(first).Where(i => !_failures.Any(f => f.Kind == GradCheckFailureKind.NotRepeatable && f.Input == @case.Inputs[i].Name)))
            {
                if (again.Gradients[i] is not { } gradient)
                {
                    Fail(GradCheckFailureKind.NotRepeatable, i, $"the {Bits(type)} gradient of {Name(i)} came once, and then not ({how})");
                }
                else if (FirstDifference(first.Gradients[i]!, gradient) is { } at)
                {
                    var (a, b) = (first.Gradients[i]![at], gradient[at]);
                    Fail(
                        GradCheckFailureKind.NotRepeatable,
                        i,
                        $"the {Bits(type)} gradient of {Name(i)} differs between two runs at {Place(i, at)}: {a:R}, then {b:R} ({how})",
                        at,
                        b,
                        a);
                }
            }
        }
    }

    /// <summary>An input's gradient does not depend on which other inputs ask for theirs.</summary>
    private void CheckAlone(Pass all)
    {
        foreach (var i in Differentiable.Count() > 1 ? Present(all) : [])
        {
            var alone = Differentiate(DType.Float64, Cotangent(0), [i]).Gradients[i];
            var worst = default(Worst);
            for (var k = 0L; k < all.Gradients[i]!.Length; k++)
            {
                worst.Add(Compared(alone?[k] ?? double.NaN, all.Gradients[i]![k], k, row: -1));
            }

            if (worst.Wrong > 0)
            {
                var at = worst.Entry;
                Fail(
                    GradCheckFailureKind.Alone,
                    i,
                    alone is null
                        ? $"no gradient came for {Name(i)} when no other input asked for one"
                        : $"the gradient of {Name(i)} is another when no other input asks for one: at {Place(i, at.Element)} it is {at.Backward:G9}, with the others {at.Expected:G9}",
                    at.Element,
                    at.Backward,
                    at.Expected);
            }
        }
    }

    /// <summary>One forward and backward pass on the tape, watched for what outlives it and what it overwrites.</summary>
    private Pass Differentiate(DType type, Func<Shape, double[]> cotangent, IEnumerable<int> wanted)
    {
        var inputs = InputsOf(type);
        var gradients = new double[]?[inputs.Length];
        double[] result;
        var alive = context.LiveTensors;
        try
        {
            using var scope = TensorScope.Begin();
            foreach (var i in wanted)
            {
                inputs[i].RequireGradient();
            }

            using var tape = Tape.Begin();
            var y = @case.Run([.. inputs]);
            _operator = _operator.Length == 0 ? tape.LastOperation ?? "" : _operator;
            CheckResult(y, type);
            result = GradCheck.Download(y);
            var start = cotangent(y.Shape);
            var gradient = TensorScope.Detach(Upload(type, start, y.Shape));
            try
            {
                if (!y.RequiresGradient())
                {
                    throw new Stop(GradCheckFailureKind.Missing, "the result was not recorded on the tape, so that no input gets a gradient");
                }

                tape.Backward(y, gradient);
                for (var i = 0; i < inputs.Length; i++)
                {
                    gradients[i] = inputs[i].Gradient() is { } came ? GradCheck.Download(came) : null;
                }

                CheckUntouched(gradient, type, start, "the gradient that backward starts from", "");
            }
            finally
            {
                gradient.Dispose();
            }
        }
        catch (Exception e) when (e is not (Stop or KernelCompilationException or OutOfMemoryException or OperationCanceledException))
        {
            throw new Stop(GradCheckFailureKind.Error, $"the {Bits(type)} pass failed: {e.GetType().Name}: {e.Message.ReplaceLineEndings(" ")}");
        }
        finally
        {
            foreach (var input in inputs)
            {
                input.ClearGradient();
                input.History = null;
            }
        }

        for (var i = 0; i < inputs.Length; i++)
        {
            CheckUntouched(inputs[i], type, _values[i], $"input {@case.Inputs[i].Name}", @case.Inputs[i].Name);
        }

        if (context.LiveTensors is var now && now != alive)
        {
            throw new Stop(GradCheckFailureKind.Leak, $"tensors alive: {alive} before the forward pass, {now} after the backward pass{Leaked(alive)}");
        }

        return new(result, gradients);
    }

    /// <summary>(f(x + step direction) - f(x - step direction)) / (2 step), for every element of the result; without a tape.</summary>
    private double[] Differences(int input, double[] direction)
    {
        var above = Evaluate(input, direction, options.Step);
        var below = Evaluate(input, direction, -options.Step);
        for (var j = 0; j < above.Length; j++)
        {
            above[j] = (above[j] - below[j]) / (2 * options.Step);
        }

        return above;
    }

    private double[] Evaluate(int input, double[] direction, double step)
    {
        var inputs = InputsOf(DType.Float64);
        var values = _values[input];
        var moved = new double[values.Length];
        for (var k = 0; k < moved.Length; k++)
        {
            moved[k] = values[k] + (step * direction[k]);
        }

        try
        {
            using var scope = TensorScope.Begin();
            inputs[input].CopyFrom<double>(moved);
            var y = @case.Run([.. inputs]);
            CheckResult(y, DType.Float64);
            return y.ToArray<double>();
        }
        catch (Exception e) when (e is not (Stop or KernelCompilationException or OutOfMemoryException or OperationCanceledException))
        {
            throw new Stop(GradCheckFailureKind.Error, $"the forward pass without a tape failed: {e.GetType().Name}: {e.Message.ReplaceLineEndings(" ")}");
        }
        finally
        {
            RestoreQuietly(inputs[input], values);
        }
    }

    // A device that a kernel failed on takes no copy; that kernel's error is on its way.
    private static void RestoreQuietly(Tensor input, double[] values)
    {
        try
        {
            input.CopyFrom<double>(values);
        }
        catch (GpuException)
        {
        }
    }

    private void CheckResult(Tensor y, DType type)
    {
        if (y.DType != type)
        {
            throw new Stop(GradCheckFailureKind.Type, $"the result is {y} for inputs of type {type}; differences need it in theirs");
        }

        if (_resultShape is { } before && before != y.Shape)
        {
            throw new Stop(GradCheckFailureKind.Type, $"the result is {y}, and was {before} before");
        }

        _resultShape = y.Shape;
    }

    private void CheckUntouched(Tensor tensor, DType type, double[] values, string what, string input)
    {
        var now = GradCheck.Download(tensor);
        if (FirstDifference(type == DType.Float32 ? Array.ConvertAll(values, v => (double)(float)v) : values, now) is { } place)
        {
            throw new Stop(
                GradCheckFailureKind.Overwritten,
                $"{what} was written to: {Coordinates(tensor.Shape, place)} was {values[place]:G9} and is {now[place]:G9}",
                input);
        }
    }

    /// <summary>The gradient that a backward pass starts from: a random vector of length 1.</summary>
    private Func<Shape, double[]> Cotangent(int number)
        => shape => GradCheckValues.Direction(context, shape.Count, options.Seed, Purpose($"result/direction {number}"));

    private double[] Element(int input, long element)
    {
        var direction = new double[@case.Inputs[input].Shape.Count];
        direction[element] = 1;
        return direction;
    }

    private Tensor[] InputsOf(DType type)
    {
        if (!_inputs.TryGetValue(type, out var inputs))
        {
            inputs = [.. @case.Inputs.Select((input, i) => TensorScope.Detach(Upload(type, _values[i], input.Shape)))];
            _inputs.Add(type, inputs);
        }

        return inputs;
    }

    private Tensor Upload(DType type, double[] values, Shape shape) => type == DType.Float32
        ? Tensor.FromArray<float>(context, Array.ConvertAll(values, v => (float)v), shape)
        : Tensor.FromArray<double>(context, values, shape);

    /// <summary>Inputs whose gradient came and is finite: those that numbers can be compared for.</summary>
    private IEnumerable<int> Present(Pass pass) => Differentiable.Where(i => pass.Gradients[i] is { } gradient && Array.TrueForAll(gradient, double.IsFinite));

    private Entry Compared(double backward, double expected, long element, long row)
    {
        var allowed = options.AbsoluteTolerance + (options.RelativeTolerance * Math.Abs(expected));
        var difference = Math.Abs(backward - expected);
        return new(element, row, backward, expected, allowed, difference == 0 ? 0 : difference / allowed);
    }

    private void Note(in Worst worst)
    {
        var difference = Math.Abs(worst.Entry.Backward - worst.Entry.Expected);
        _worstDifference = difference > _worstDifference || double.IsNaN(difference) ? difference : _worstDifference;
        _worstShare = worst.Entry.Share > _worstShare || double.IsNaN(worst.Entry.Share) ? worst.Entry.Share : _worstShare;
    }

    /// <summary>Notes the worst entry of an input, and fails if it is wrong.</summary>
    private void Conclude(int input, in Worst worst)
    {
        Note(worst);
        if (worst.Wrong == 0)
        {
            return;
        }

        var entry = worst.Entry;
        var start = entry.Row >= 0 ? $"from a gradient of 1 at result {Coordinates(ResultShape, entry.Row)}" : "from a random gradient of the result";
        Fail(
            GradCheckFailureKind.Value,
            input,
            entry.Element >= 0
                ? $"the gradient of {Name(input)} is wrong at {Place(input, entry.Element)}: backward gives {entry.Backward:G9}, central differences {entry.Expected:G9} "
                    + $"({start}; {entry.Allowed:G3} apart is allowed); {worst.Wrong} of {worst.Count} elements{(entry.Row >= 0 ? " of the Jacobian" : "")} are wrong"
                : $"the gradient of {Name(input)} is wrong: along a random direction backward gives {entry.Backward:G9}, a central difference {entry.Expected:G9} "
                    + $"({start}; {entry.Allowed:G3} apart is allowed), though no element alone is beyond its tolerance",
            entry.Element >= 0 ? entry.Element : null,
            entry.Backward,
            entry.Expected);
    }

    private void Fail(GradCheckFailureKind kind, int input, string message, long? element = null, double? backward = null, double? expected = null)
        => _failures.Add(new(kind, @case.Inputs[input].Name, message) { Element = element, Backward = backward, Expected = expected });

    private string Name(int input) => @case.Inputs[input].Name;

    private string Place(int input, long element) => Coordinates(@case.Inputs[input].Shape, element);

    private string Purpose(string what) => $"gradcheck/{@case}/{what}";

    // The report of a context that knows where tensors were made says it in several lines.
    private string Leaked(int expected)
    {
        try
        {
            context.CheckLeaks(expected);
            return "";
        }
        catch (TensorLeakException e)
        {
            return $": {e.Message.ReplaceLineEndings("; ")}";
        }
    }

    private string Reproduction()
    {
        if (!GradCheckTable.Cases.Contains(@case))
        {
            return $"GradCheckOptions {{ Seed = {options.Seed}, Mode = {options.Mode} }}";
        }

        var device = context.Device.Kind == "virtual" ? $"virtual:{context.Device.Properties.ComputeCapability}" : context.Device.Kind;
        return $"fashionflow gradcheck --op {@case.Operator} --seed {options.Seed}{(options.Mode == GradCheckMode.Fast ? " --fast" : "")} -d {device}";
    }

    private static string Bits(DType type) => type == DType.Float32 ? "float32" : "float64";

    private static string Coordinates(Shape shape, long element)
    {
        var coordinates = new long[shape.Rank];
        for (var axis = shape.Rank - 1; axis >= 0; axis--)
        {
            (element, coordinates[axis]) = Math.DivRem(element, shape[axis]);
        }

        return $"[{string.Join(", ", coordinates)}]";
    }

    private static long? FirstDifference(double[] a, double[] b)
    {
        for (var i = 0; i < a.Length; i++)
        {
            if (BitConverter.DoubleToInt64Bits(a[i]) != BitConverter.DoubleToInt64Bits(b[i]) && !(double.IsNaN(a[i]) && double.IsNaN(b[i])))
            {
                return i;
            }
        }

        return null;
    }

    private static double Dot(double[] a, double[] b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }

    /// <summary>What a pass gave: the result, and the gradients that came.</summary>
    private sealed record Pass(double[] Result, double[]?[] Gradients);

    /// <summary>Two numbers that should agree: element of the input, element of the result (-1: all of them), and how much of the tolerance is used.</summary>
    private readonly record struct Entry(long Element, long Row, double Backward, double Expected, double Allowed, double Share)
    {
        // NaN is the worst there is.
        public bool IsWrong => !(Share <= 1);
    }

    /// <summary>The worst of many entries, and how many are wrong.</summary>
    private struct Worst
    {
        public Entry Entry;
        public long Count;
        public long Wrong;

        public void Add(in Entry entry)
        {
            if (Count++ == 0 || entry.Share > Entry.Share || (double.IsNaN(entry.Share) && !double.IsNaN(Entry.Share)))
            {
                Entry = entry;
            }

            Wrong += entry.IsWrong ? 1 : 0;
        }
    }

    /// <summary>Ends a check early: nothing more can be compared.</summary>
    [SuppressMessage("Design", "CA1064:Exceptions should be public", Justification = "It never leaves Run.")]
    private sealed class Stop(GradCheckFailureKind kind, string message, string input = "") : Exception(message)
    {
        public GradCheckFailure Failure { get; } = new(kind, input, message);
    }
}
