// A training step after the backward pass: the gradients' norm, AdamW and moving averages, each one launch for all parameters.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

/// <summary>
/// Places in the control block of an optimizer: doubles in device memory through which a step learns what the last one left,
/// so that no step waits for the host.
/// </summary>
public static class AdamWControl
{
    /// <summary>The learning rate; the one number that the host writes.</summary>
    public const int LearningRate = 0;

    /// <summary>Steps that counted.</summary>
    public const int Step = 1;

    /// <summary>Steps that did not, since a gradient was not finite.</summary>
    public const int Skipped = 2;

    /// <summary>The norm of all gradients at the last step, before clipping.</summary>
    public const int Norm = 3;

    /// <summary>What the last step multiplied gradients by; 0 where it did not count.</summary>
    public const int Clip = 4;

    /// <summary>1 if the last step counted, else 0; also 0 before the first.</summary>
    public const int Counts = 5;

    /// <summary>Numbers in the block; those from 6 on are for the kernels alone.</summary>
    public const int Length = 9;
}

public static partial class Ops
{
    /// <summary>Partial sums of squares in double: the first pass of a norm, in an order that depends on the size alone.</summary>
    /// <param name="x">Any shape.</param>
    /// <param name="partial">Float64 [<see cref="SumOfSquaresPartials"/>], overwritten: one sum for each 4096 elements.</param>
    public static void SumOfSquares(Tensor x, Tensor partial)
    {
        RequireFloating(x);
        var blocks = SumOfSquaresPartials(x.Count);
        Require(partial.DType == DType.Float64 && partial.Count == blocks, $"partial sums of {x} go to Float64 [{blocks}], not {partial}");
        partial.MarkWritten();
        if (x.Count == 0)
        {
            return;
        }

        var launch = new LaunchShape(blocks, ElementwiseThreads);
        if (x.DType == DType.Float32)
        {
            OptimizerKernels.SumOfSquaresF32(x.Context.Stream, launch, x.Pointer<float>(), partial.Pointer<double>(), (int)x.Count);
        }
        else
        {
            OptimizerKernels.SumOfSquaresF64(x.Context.Stream, launch, x.Pointer<double>(), partial.Pointer<double>(), (int)x.Count);
        }
    }

    /// <summary>How many partial sums <see cref="SumOfSquares"/> makes of so many elements.</summary>
    public static int SumOfSquaresPartials(long count) => (int)((count + TensorList.Chunk - 1) / TensorList.Chunk);

    /// <summary>
    /// From the partial sums of squares of all gradients to the numbers of a step: norm, clip factor
    /// min(1, maxNorm / (norm + 1e-6)) (Pascanu et al. 2013, arXiv 1211.5063; as torch.nn.utils.clip_grad_norm_), step counter and
    /// bias corrections. If the norm is not finite the step does not count, and the counter stays.
    /// </summary>
    /// <param name="partial">What <see cref="SumOfSquares"/> gave.</param>
    /// <param name="control">Float64 [<see cref="AdamWControl.Length"/>], updated.</param>
    /// <param name="maxNorm">The norm that gradients are clipped to; infinity for none.</param>
    /// <param name="beta1">Decay of the first moment.</param>
    /// <param name="beta2">Decay of the second moment.</param>
    /// <param name="weightDecay">Weight decay.</param>
    public static void AdamWPrepare(Tensor partial, Tensor control, double maxNorm, double beta1, double beta2, double weightDecay)
    {
        Require(partial.DType == DType.Float64, $"partial sums are Float64, not {partial}");
        RequireControl(control);
        control.MarkWritten();
        OptimizerKernels.AdamwPrepareF64(
            control.Context.Stream, new LaunchShape(1, ElementwiseThreads), partial.Pointer<double>(), control.Pointer<double>(),
            maxNorm, beta1, beta2, weightDecay, CountInt32(partial));
    }

    /// <summary>
    /// AdamW's update of all tensors of a list, in place, in one launch (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm
    /// 2, in PyTorch's order). Nothing is written if <see cref="AdamWPrepare"/> found that the step does not count.
    /// </summary>
    /// <param name="values">The parameters.</param>
    /// <param name="gradients">Their gradients, flat.</param>
    /// <param name="averages">First moments, flat, updated.</param>
    /// <param name="squares">Second moments, flat, updated.</param>
    /// <param name="control">As <see cref="AdamWPrepare"/> left it.</param>
    /// <param name="beta1">Decay of the first moment.</param>
    /// <param name="beta2">Decay of the second moment.</param>
    /// <param name="epsilon">Added to the root of the second moment.</param>
    public static void AdamW(
        TensorList values, Tensor gradients, Tensor averages, Tensor squares, Tensor control, double beta1, double beta2, double epsilon)
    {
        RequireControl(control);
        RequireFlat(values, gradients);
        RequireFlat(values, averages);
        RequireFlat(values, squares);
        values.MarkWritten();
        averages.MarkWritten();
        squares.MarkWritten();
        if (values.Blocks == 0)
        {
            return;
        }

        var (stream, launch) = (values.Context.Stream, new LaunchShape(values.Blocks, ElementwiseThreads));
        var (table, map) = (values.Table.Pointer<long>(), values.TensorOfBlock.Pointer<int>());
        if (values.DType == DType.Float32)
        {
            OptimizerKernels.AdamwF32(
                stream, launch, table, map, gradients.Pointer<float>(), averages.Pointer<float>(), squares.Pointer<float>(),
                control.Pointer<double>(), beta1, beta2, epsilon);
        }
        else
        {
            OptimizerKernels.AdamwF64(
                stream, launch, table, map, gradients.Pointer<double>(), averages.Pointer<double>(), squares.Pointer<double>(),
                control.Pointer<double>(), beta1, beta2, epsilon);
        }
    }

    /// <summary>
    /// averages = d averages + (1 - d) values for all tensors of a list in one launch, where d is the decay or, with warm-up,
    /// min(decay, (1 + t) / (10 + t)) at the control block's step t. Nothing is written if that step did not count.
    /// </summary>
    /// <param name="values">The parameters.</param>
    /// <param name="averages">Their averages, flat, updated.</param>
    /// <param name="control">The optimizer's control block after its step.</param>
    /// <param name="decay">In [0, 1].</param>
    /// <param name="warmUp">Whether early averages follow the values faster.</param>
    public static void MovingAverage(TensorList values, Tensor averages, Tensor control, double decay, bool warmUp)
    {
        RequireControl(control);
        RequireFlat(values, averages);
        averages.MarkWritten();
        if (values.Blocks == 0)
        {
            return;
        }

        var (stream, launch) = (values.Context.Stream, new LaunchShape(values.Blocks, ElementwiseThreads));
        var (table, map) = (values.Table.Pointer<long>(), values.TensorOfBlock.Pointer<int>());
        if (values.DType == DType.Float32)
        {
            OptimizerKernels.MovingAverageF32(
                stream, launch, table, map, averages.Pointer<float>(), control.Pointer<double>(), (float)(1 - decay), warmUp ? 1 : 0);
        }
        else
        {
            OptimizerKernels.MovingAverageF64(
                stream, launch, table, map, averages.Pointer<double>(), control.Pointer<double>(), 1 - decay, warmUp ? 1 : 0);
        }
    }

    /// <summary>Exchanges the elements of all tensors of a list with those in a flat buffer, in one launch. Padding stays.</summary>
    public static void Exchange(TensorList values, Tensor flat)
    {
        RequireFlat(values, flat);
        values.MarkWritten();
        flat.MarkWritten();
        if (values.Blocks == 0)
        {
            return;
        }

        var (stream, launch) = (values.Context.Stream, new LaunchShape(values.Blocks, ElementwiseThreads));
        var (table, map) = (values.Table.Pointer<long>(), values.TensorOfBlock.Pointer<int>());
        if (values.DType == DType.Float32)
        {
            OptimizerKernels.ExchangeF32(stream, launch, table, map, flat.Pointer<float>());
        }
        else
        {
            OptimizerKernels.ExchangeF64(stream, launch, table, map, flat.Pointer<double>());
        }
    }

    private static void RequireControl(Tensor control, [CallerMemberName] string operation = "")
        => Require(
            control.DType == DType.Float64 && control.Count == AdamWControl.Length,
            $"a control block is Float64 [{AdamWControl.Length}], not {control}",
            operation);

    /// <summary>Fails unless a buffer has the layout of a list whose tensors are all alive.</summary>
    private static void RequireFlat(TensorList values, Tensor flat, [CallerMemberName] string operation = "")
    {
        values.CheckAlive();
        Require(
            flat.DType == values.DType && flat.Count == values.FlatCount && flat.Context == values.Context,
            $"a flat buffer {flat} does not fit tensors that take {values.DType} [{values.FlatCount}]",
            operation);
    }
}
