// The gradient check: is what backward gives the derivative of what forward computes? The entry points; GradCheckRun does the work.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

/// <summary>
/// Holds the backward of an operator to central differences of its forward, on the device, in double precision; then its float32
/// backward to the float64 one. Also caught: gradients that are missing, not finite, of a wrong size or type, not the same bits each
/// time (where the device can be told, in other orders of blocks and warps too), or different when asked for alone; tensors that
/// outlive the backward pass; inputs that are written to; memory read before it is written. See docs/gradcheck.md.
/// </summary>
/// <remarks>
/// Of first order: the derivative of a backward is not checked, as a backward pass is not recorded. Steps and tolerances are those of
/// PyTorch's <c>torch.autograd.gradcheck</c>.
/// </remarks>
public static class GradCheck
{
    /// <summary>Checks a case and says what is wrong with it.</summary>
    /// <param name="context">Where to compute. New memory is poisoned meanwhile, so that reading it unwritten shows.</param>
    /// <param name="case">An operator with inputs.</param>
    /// <param name="options">How; the defaults if not given.</param>
    /// <returns>What was found: a wrong gradient throws nothing.</returns>
    /// <exception cref="ArgumentException">The options or the inputs' values make no sense, or a higher order is asked for.</exception>
    /// <exception cref="KernelCompilationException">A kernel must be compiled, and cannot be.</exception>
    public static GradCheckReport Run(DeviceContext context, GradCheckCase @case, GradCheckOptions? options = null)
        => new GradCheckRun(context, @case, options ?? GradCheckOptions.Default).Run();

    /// <summary>Checks a case.</summary>
    /// <exception cref="GradCheckException">A gradient is wrong: the message names operator, input, element, both values and the seed.</exception>
    /// <inheritdoc cref="Run"/>
    public static void Assert(DeviceContext context, GradCheckCase @case, GradCheckOptions? options = null)
    {
        var report = Run(context, @case, options);
        if (!report.Passed)
        {
            throw new GradCheckException(report);
        }
    }

    /// <summary>Checks an operator on inputs that are drawn: <c>GradCheck.Assert(context, x => Mine(x[0], x[1]), new GradCheckInput("x", [3, 7]), new GradCheckInput("w", [7]))</c>.</summary>
    /// <param name="context">Where to compute.</param>
    /// <param name="run">Applies the operator; it is named by what it records last on the tape.</param>
    /// <param name="inputs">Its inputs: names, shapes, kinks.</param>
    /// <exception cref="GradCheckException">A gradient is wrong.</exception>
    public static void Assert(DeviceContext context, Func<Tensor[], Tensor> run, params GradCheckInput[] inputs)
        => Assert(context, new GradCheckCase { Operator = "", Variant = "", Inputs = inputs, Run = run });

    /// <summary>Checks an operator at given values; away from its kinks, if it has any.</summary>
    /// <param name="context">Where to compute.</param>
    /// <param name="run">Applies the operator; it is named by what it records last on the tape.</param>
    /// <param name="inputs">The values, float32 or float64. The check works on copies in both types.</param>
    /// <exception cref="GradCheckException">A gradient is wrong.</exception>
    public static void Assert(DeviceContext context, Func<Tensor[], Tensor> run, params Tensor[] inputs)
        => Assert(context, run, [.. inputs.Select((x, i) => new GradCheckInput($"input {i}", x.Shape) { Values = Download(x) })]);

    /// <summary>A tensor's elements as doubles.</summary>
    internal static double[] Download(Tensor x) => x.DType switch
    {
        DType.Float64 => x.ToArray<double>(),
        DType.Float32 => Array.ConvertAll(x.ToArray<float>(), v => (double)v),
        _ => throw new ArgumentException($"GradCheck: {x} is neither Float32 nor Float64"),
    };
}
