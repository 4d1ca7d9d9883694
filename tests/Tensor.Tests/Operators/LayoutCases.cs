// Cases of the operators of Ops.Layout.cs.
namespace FashionFlow.Tensors.Tests.Operators;

public sealed class LayoutCases : IOperatorCases
{
    private static readonly Tolerance s_moved = Tolerance.Exact("elements are moved, nothing is computed");

    public static IEnumerable<OperatorCase> Cases =>
        from @case in (OperatorCase[])[.. ConcatChannels, .. ConcatTokens, .. SliceChannels, .. Permute, .. SpaceToDepth, .. FoldFrames, .. Resample]
        select @case with { Types = OperatorCase.AllTypes };

    private static IEnumerable<OperatorCase> ConcatChannels =>
        from sizes in (int[][])[[1, 1, 1], [3, 5, 1], [5, 3, 31], [33, 4, 8], [2, 127, 33], [3, 1025, 5], [2, 512, 1024], [17, 64, 64], [70, 96, 32], [9, 3, 64]]
        let scale = (double)MathF.Sqrt(0.5f)
        select new OperatorCase
        {
            Name = $"ConcatChannels [{sizes[0]}, {sizes[1]} + {sizes[2]}]",
            Kernels = ["concat_channels"],
            Inputs = [Operand.Normal([1, sizes[0], sizes[1]]), Operand.Normal([1, sizes[0], sizes[2]])],
            Run = x => Ops.ConcatChannels(x[0], scale, x[1]),
            Oracle = x => HostTensor.Generate(
                [1, sizes[0], sizes[1] + sizes[2]],
                i => i[2] < sizes[1] ? x[0][i] * scale : x[1][0, i[1], i[2] - sizes[1]]),
            Tolerance = Tolerance.Exact("the product is rounded once"),
        };

    private static IEnumerable<OperatorCase> ConcatTokens =>
        from sizes in (int[][])[[1, 1, 1, 1], [2, 3, 5, 7], [3, 1, 32, 33], [2, 4, 12, 127], [1, 33, 31, 64]]
        select new OperatorCase
        {
            Name = $"ConcatTokens [{sizes[0]}, {sizes[1]} + {sizes[2]}, {sizes[3]}]",
            Kernels = ["concat_channels"],
            Inputs = [Operand.Normal([sizes[0], sizes[1], sizes[3]]), Operand.Normal([sizes[0], sizes[2], sizes[3]])],
            Run = x => Ops.ConcatTokens(x[0], x[1]),
            Oracle = x => HostTensor.Generate(
                [sizes[0], sizes[1] + sizes[2], sizes[3]],
                i => i[1] < sizes[1] ? x[0][i] : x[1][i[0], i[1] - sizes[1], i[2]]),
            Tolerance = s_moved,
        };

    private static IEnumerable<OperatorCase> SliceChannels =>
        from sizes in (int[][])[[1, 1, 0, 1], [5, 3, 1, 2], [3, 33, 31, 2], [9, 64, 32, 32], [2, 1025, 1, 1024], [3, 2048, 4, 1028], [127, 8, 3, 5]]
        select new OperatorCase
        {
            Name = $"SliceChannels {sizes[2]}..{sizes[2] + sizes[3]} of [{sizes[0]}, {sizes[1]}]",
            Kernels = ["slice_channels"],
            Inputs = [Operand.Normal([sizes[0], sizes[1]])],
            Run = x => Ops.SliceChannels(x[0], sizes[2], sizes[3]),
            Oracle = x => HostTensor.Generate([sizes[0], sizes[3]], i => x[0][i[0], sizes[2] + i[1]]),
            Tolerance = s_moved,
        };

    private static IEnumerable<OperatorCase> Permute =>
        from item in ((Shape Shape, int[] Axes, string[] Kernels)[])
        [
            ([1, 1], [1, 0], []),
            ([5, 1, 3], [1, 0, 2], []),
            ([3, 5], [1, 0], ["transpose"]),
            ([32, 64], [1, 0], ["transpose"]),
            ([31, 33], [1, 0], ["transpose"]),
            ([127, 1025], [1, 0], ["transpose"]),
            ([2, 3, 4, 5], [0, 2, 3, 1], ["transpose"]),
            ([3, 4, 1, 2, 33], [0, 2, 3, 4, 1], ["transpose"]),
            ([2, 3, 5, 7], [0, 2, 1, 3], ["swap_axes"]),
            ([3, 4, 8], [1, 0, 2], ["swap_axes"]),
            ([2, 3, 4, 5, 6], [2, 3, 0, 1, 4], ["swap_axes"]),
            ([2, 9, 3, 1028], [0, 2, 1, 3], ["swap_axes"]),
            ([3, 5, 7], [2, 1, 0], ["permute"]),
            ([2, 3, 4, 5], [3, 1, 0, 2], ["permute"]),
            ([5, 3, 2, 3, 7], [4, 1, 3, 0, 2], ["permute"]),
            ([2, 3, 2, 5, 3, 4], [5, 3, 1, 4, 2, 0], ["permute"]),
        ]
        select new OperatorCase
        {
            Name = $"Permute {item.Shape} to [{string.Join(", ", item.Axes)}]",
            Kernels = item.Kernels,
            Inputs = [Operand.Normal(item.Shape)],
            Run = x => Ops.Permute(x[0], item.Axes),
            Oracle = x =>
            {
                var source = new int[item.Axes.Length];
                return HostTensor.Generate([.. item.Axes.Select(axis => item.Shape[axis])], i =>
                {
                    for (var axis = 0; axis < source.Length; axis++)
                    {
                        source[item.Axes[axis]] = i[axis];
                    }

                    return x[0][source];
                });
            },
            Tolerance = s_moved,
        };

    private static IEnumerable<OperatorCase> SpaceToDepth =>
        from sizes in (int[][])[[1, 1, 1, 1, 1, 2], [2, 3, 1, 5, 3, 2], [1, 3, 5, 3, 31, 2], [1, 2, 3, 5, 33, 1], [2, 1, 3, 1, 5, 3], [1, 2, 4, 6, 64, 2], [1, 1, 1, 3, 127, 4]]
        let b = sizes[0]
        let f = sizes[1]
        let h = sizes[2]
        let w = sizes[3]
        let c = sizes[4]
        let p = sizes[5]
        let large = new Shape(b, f, h * p, w * p, c)
        let deep = new Shape(b, f, h, w, p * p * c)
        from @case in (OperatorCase[])
        [
            new()
            {
                Name = $"SpaceToDepth {large} by {p}",
                Kernels = ["swap_axes"],
                Inputs = [Operand.Normal(large)],
                Run = x => Ops.SpaceToDepth(x[0], p),
                Oracle = x => HostTensor.Generate(
                    deep, i => x[0][i[0], i[1], (i[2] * p) + (i[4] / (p * c)), (i[3] * p) + (i[4] / c % p), i[4] % c]),
                Tolerance = s_moved,
            },
            new()
            {
                Name = $"DepthToSpace {deep} by {p}",
                Kernels = ["swap_axes"],
                Inputs = [Operand.Normal(deep)],
                Run = x => Ops.DepthToSpace(x[0], p),
                Oracle = x => HostTensor.Generate(
                    large, i => x[0][i[0], i[1], i[2] / p, i[3] / p, (((i[2] % p * p) + (i[3] % p)) * c) + i[4]]),
                Tolerance = s_moved,
            },
        ]
        select @case;

    private static IEnumerable<OperatorCase> FoldFrames =>
        from sizes in (int[][])[[1, 1, 1, 1, 1], [2, 3, 1, 5, 3], [1, 2, 5, 3, 31], [1, 3, 3, 5, 33], [1, 2, 4, 6, 64], [1, 1, 1, 2, 1025]]
        let b = sizes[0]
        let f = sizes[1]
        let h = sizes[2]
        let w = sizes[3]
        let c = sizes[4]
        let apart = new Shape(b, 2 * f, h, w, c)
        let folded = new Shape(b, f, h, w, 2 * c)
        let kernel = c == 1 ? "transpose" : "swap_axes"
        from @case in (OperatorCase[])
        [
            new()
            {
                Name = $"FoldFrames {apart}",
                Kernels = [kernel],
                Inputs = [Operand.Normal(apart)],
                Run = x => Ops.FoldFrames(x[0]),
                Oracle = x => HostTensor.Generate(folded, i => x[0][i[0], (2 * i[1]) + (i[4] / c), i[2], i[3], i[4] % c]),
                Tolerance = s_moved,
            },
            new()
            {
                Name = $"UnfoldFrames {folded}",
                Kernels = [kernel],
                Inputs = [Operand.Normal(folded)],
                Run = x => Ops.UnfoldFrames(x[0]),
                Oracle = x => HostTensor.Generate(apart, i => x[0][i[0], i[1] / 2, i[2], i[3], (i[1] % 2 * c) + i[4]]),
                Tolerance = s_moved,
            },
        ]
        select @case;

    private static IEnumerable<OperatorCase> Resample =>
        from sizes in (int[][])[[1, 2, 2, 1], [2, 3, 5, 3], [1, 5, 3, 31], [3, 2, 4, 33], [1, 7, 6, 64], [1, 2, 3, 1025]]
        let n = sizes[0]
        let h = sizes[1]
        let w = sizes[2]
        let c = sizes[3]
        let shape = new Shape(n, h, w, c)
        from @case in (OperatorCase[])
        [
            new()
            {
                Name = $"UpsampleNearest2x {shape}",
                Kernels = ["upsample_nearest_2x"],
                Inputs = [Operand.Normal(shape)],
                Run = x => Ops.UpsampleNearest2x(x[0]),
                Oracle = x => HostTensor.Generate([n, 2 * h, 2 * w, c], i => x[0][i[0], i[1] / 2, i[2] / 2, i[3]]),
                Tolerance = s_moved,
            },
            new()
            {
                Name = $"MaxPool2x2 {shape}",
                Kernels = ["max_pool_2x2"],
                Inputs = [Operand.Normal(shape)],
                Run = x => Ops.MaxPool2x2(x[0]),
                Oracle = x => HostTensor.Generate([n, h / 2, w / 2, c], i => Math.Max(
                    Math.Max(x[0][i[0], 2 * i[1], 2 * i[2], i[3]], x[0][i[0], 2 * i[1], (2 * i[2]) + 1, i[3]]),
                    Math.Max(x[0][i[0], (2 * i[1]) + 1, 2 * i[2], i[3]], x[0][i[0], (2 * i[1]) + 1, (2 * i[2]) + 1, i[3]]))),
                Tolerance = Tolerance.Exact("elements are chosen, nothing is computed"),
            },
        ]
        select @case;
}
