// The blocks that operators launch, held to those that the kernels declare (__launch_bounds__): registers were given out for the
// declared blocks, and the occupancies in docs/kernels.md are theirs.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Tensors.Tests.Operators;

public sealed class LaunchBoundTests
{
    /// <summary>
    /// Rows so long, or of such a length, that blocks are as large as they get: the operator table stays below. The way back,
    /// and attention's matrix of scores, are of float and double alone.
    /// </summary>
    private static readonly (bool OfFloatAlone, Action<DeviceContext, DType> Run)[] s_largestBlocks =
    [
        (true, (context, type) => Ops.AttentionByProducts(
            Make(context, type, 1, 1, 8), Make(context, type, 1, 8192, 8), Make(context, type, 1, 8192, 8), heads: 1, scale: 1, bias: null, scoresAtATime: 1 << 20)),
        (false, (context, type) => Ops.LayerNorm(Make(context, type, 1, 8192), Make(context, type, 8192), Make(context, type, 8192), 1e-5)),
        (true, (context, type) => Ops.LayerNormBackward(Make(context, type, 1, 8192), Make(context, type, 8192), 1e-5, Make(context, type, 1, 8192))),
        (false, (context, type) => Ops.ChanLayerNorm(Make(context, type, 1, 1, 1, 1, 8192), Make(context, type, 8192), 1e-5)),
        (true, (context, type) => Ops.ChanLayerNormBackward(
            Make(context, type, 1, 1, 1, 1, 8192), Make(context, type, 8192), 1e-5, tokenShift: false, Make(context, type, 1, 1, 1, 1, 8192))),
        (false, (context, type) => Ops.Geglu(Make(context, type, 1, 2 * 31 * 4))),
        (true, (context, type) => Ops.GegluBackward(Make(context, type, 1, 2 * 31 * 4), Make(context, type, 1, 31 * 4))),
        .. from silu in new[] { false, true }
           from shape in new[] { (Channels: 4096, Groups: 32), (Channels: 1024, Groups: 512) }
           from isBackward in new[] { false, true }
           select (isBackward, (Action<DeviceContext, DType>)((context, type) => GroupNorm(context, type, shape.Channels, shape.Groups, silu, isBackward))),
    ];

    [Test]
    public void Operators_launch_the_blocks_that_kernels_declare()
    {
        using var model = new VirtualDevice(new VirtualDeviceOptions { ComputeCapability = new ComputeCapability(8, 0) });
        using var device = new RecordingDevice(new MeasuringDevice(model));
        using var context = new DeviceContext(device, ownsDevice: false, DeviceContextOptions.Default);
        foreach (var @case in OperatorTable.Cases)
        {
            foreach (var type in @case.Types)
            {
                using var scope = TensorScope.Begin();
                context.Backend = @case.Backend;
                @case.Run(new OperatorArguments(context, type, [.. @case.Inputs.Select(input => Tensor.Empty(context, input.Shape, input.Type ?? type))]));
            }
        }

        foreach (var (ofFloatAlone, run) in s_largestBlocks)
        {
            foreach (var type in (DType[])[DType.Float32, DType.Float64, .. ofFloatAlone ? [] : (DType[])[DType.Float16, DType.BFloat16]])
            {
                using var scope = TensorScope.Begin();
                run(context, type);
            }
        }

        var bounds = KernelSourceSet.Embedded.Files
            .SelectMany(file => KernelDeclaration.ReadAll(KernelSourceSet.Embedded.Get(file).File))
            .ToDictionary(declaration => declaration.Name, StringComparer.Ordinal);
        using (Assert.EnterMultipleScope())
        {
            foreach (var entry in KernelCatalog.Entries)
            {
                var declared = model.Kernels.GetFunction(entry).Attributes.MaxThreadsPerBlock;
                var (smallest, largest) = device.Blocks.GetValueOrDefault(entry.Name);
                Assert.That(largest, Is.EqualTo(declared), $"{entry.Name}: threads of the largest block");
                Assert.That(
                    bounds[entry.Name].IsUpperBound ? smallest < largest : smallest == largest, Is.True,
                    $"{entry.Name}: blocks of {smallest} to {largest} threads, bound {bounds[entry.Name].LaunchBounds} (MAX is for blocks of several sizes)");
            }
        }
    }

    private static void GroupNorm(DeviceContext context, DType type, int channels, int groups, bool silu, bool isBackward)
    {
        var (x, weight, bias) = (Make(context, type, 1, 8, channels), Make(context, type, channels), Make(context, type, channels));
        if (!isBackward)
        {
            Ops.GroupNorm(x, groups, weight, bias, 1e-5, scaleShift: null, silu);
            return;
        }

        Ops.GroupNormBackward(x, groups, weight, bias, scaleShift: null, silu, Make(context, DType.Float64, 1, groups, 2), Make(context, type, 1, 8, channels));
    }

    private static Tensor Make(DeviceContext context, DType type, params int[] shape) => Tensor.Empty(context, new Shape(shape), type);
}
