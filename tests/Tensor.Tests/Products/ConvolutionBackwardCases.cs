// Cases of the operators of Ops.ConvolutionBackward.cs, and of each kernel behind them on shapes that the operators would give
// to another.
using FashionFlow.Gpu;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests.Products;

public sealed class ConvolutionBackwardCases : IOperatorCases
{
    /// <summary>
    /// One of everything; odd sizes; whole vectors; a stride with asymmetric padding, as the autoencoder's; temporal; more than a
    /// tile; strides beyond the kernel, so that pixels meet no tap; padding beyond the kernel; pixels that no window reaches.
    /// </summary>
    private static readonly (Shape X, Shape W, int Stride, Padding2d Padding)[] s_shapes =
    [
        ([1, 1, 1, 1], [1, 1, 1, 1], 1, default),
        ([2, 5, 7, 3], [5, 3, 3, 3], 1, Padding2d.All(1)),
        ([1, 9, 6, 8], [33, 3, 3, 8], 1, Padding2d.All(1)),
        ([1, 8, 7, 5], [7, 3, 3, 5], 2, new Padding2d(0, 0, 1, 1)),
        ([2, 8, 6, 16], [12, 3, 3, 16], 2, new Padding2d(0, 0, 1, 1)),
        ([2, 6, 35, 12], [65, 3, 1, 12], 1, new Padding2d(1, 0, 1, 0)),
        ([1, 9, 8, 4], [31, 5, 5, 4], 1, Padding2d.All(2)),
        ([1, 5, 6, 31], [17, 2, 4, 31], 3, new Padding2d(2, 1, 0, 3)),
        ([2, 8, 9, 4], [3, 1, 2, 4], 3, default),
        ([1, 4, 5, 130], [4, 1, 3, 130], 1, new Padding2d(0, 2, 0, 2)),
        ([1, 3, 3, 6], [5, 2, 2, 6], 1, new Padding2d(3, 2, 4, 3)),
    ];

    public static IEnumerable<OperatorCase> Cases => Conv2ds.Concat(TemporalConvs).Concat(Kernels);

    private static IEnumerable<OperatorCase> Conv2ds =>
        from backend in (MatmulBackend[])[MatmulBackend.Kernels, MatmulBackend.Library]
        from layer in ((Shape X, Shape W, int Stride, Padding2d Padding)[])
        [
            .. s_shapes,
            ([3, 7, 5, 33], [31, 1, 1, 33], 1, default),
            ([2, 4, 4, 8], [5, 1, 1, 8], 2, default),
            ([1, 48, 33, 3], [4, 3, 3, 3], 1, Padding2d.All(1)),
            ([0, 4, 4, 3], [5, 3, 3, 3], 1, Padding2d.All(1)),
        ]
        from weight in (bool[])[false, true]
        let case_ = weight
            ? Weight(layer.X, layer.W, layer.Stride, layer.Padding, (x, dy) => Ops.Conv2dBackwardWeight(x, dy, layer.W, layer.Stride, layer.Padding))
            : Input(layer.X, layer.W, layer.Stride, layer.Padding, (dy, w) => Ops.Conv2dBackwardInput(dy, w, layer.X, layer.Stride, layer.Padding))
        select case_ with
        {
            Name = $"Conv2dBackward{(weight ? "Weight" : "Input")} {layer.X} by {layer.W}, stride {layer.Stride}, {backend}", Backend = backend,
        };

    private static IEnumerable<OperatorCase> TemporalConvs =>
        from backend in (MatmulBackend[])[MatmulBackend.Kernels, MatmulBackend.Library]
        from layer in ((Shape X, int Out, int Kernel)[])[([1, 1, 1, 1, 1], 1, 1), ([2, 1, 3, 2, 5], 7, 3), ([1, 5, 3, 1, 33], 31, 3), ([2, 7, 4, 4, 8], 8, 5)]
        from weight in (bool[])[false, true]
        let rows = (Shape)(int[])[layer.X[0], layer.X[1], layer.X[2] * layer.X[3], layer.X[4]]
        let kernel = (Shape)(int[])[layer.Out, layer.Kernel, 1, layer.X[4]]
        let video = layer.X.With(-1, layer.Out)
        let padding = new Padding2d(layer.Kernel / 2, 0, layer.Kernel / 2, 0)
        let case_ = weight
            ? Weight(rows, kernel, 1, padding, (x, dy) => Ops.TemporalConvBackwardWeight(
                x.Reshape(layer.X), dy.Reshape(video), [layer.Out, layer.Kernel, layer.X[4]]).Reshape(kernel))
            : Input(rows, kernel, 1, padding, (dy, w) => Ops.TemporalConvBackwardInput(
                dy.Reshape(video), w.Reshape(layer.Out, layer.Kernel, layer.X[4])).Reshape(rows))
        select case_ with
        {
            Name = $"TemporalConvBackward{(weight ? "Weight" : "Input")} {layer.X} to {layer.Out}, kernel {layer.Kernel}, {backend}", Backend = backend,
        };

    private static IEnumerable<OperatorCase> Kernels =>
        from size in s_shapes
        from tile in (ProductTile[])[ProductTile.Large, ProductTile.Small, ProductTile.Narrow]
        let suffix = tile == ProductTile.Large ? "" : "_" + tile.ToString().ToLowerInvariant()
        from case_ in (OperatorCase[])
        [
            Input(size.X, size.W, size.Stride, size.Padding, (dy, w) => LaunchData(tile, dy, w, size)) with
            {
                Name = $"conv2d_backward_data{suffix} {size.X} by {size.W}, stride {size.Stride}", Kernels = [$"conv2d_backward_data{suffix}"],
            },
            .. tile == ProductTile.Narrow ? [] :
                from chunk in (int[])[8, 48, 1 << 16]
                select Weight(size.X, size.W, size.Stride, size.Padding, (x, dy) => Ops.BackwardFilterByKernels(Describe(x.DType, size), tile, chunk, x, dy, size.W)) with
                {
                    Name = $"conv2d_backward_filter{suffix} {size.X} by {size.W}, stride {size.Stride}, chunks of {chunk}",
                    Kernels = [$"conv2d_backward_filter{suffix}"],
                },
        ]
        select case_;

    private static Tensor LaunchData(ProductTile tile, Tensor dy, Tensor w, (Shape X, Shape W, int Stride, Padding2d Padding) size)
    {
        var dx = Tensor.Empty(dy.Context, size.X, dy.DType);
        Ops.BackwardDataByKernels(dy.Context.Stream, Describe(dy.DType, size), tile, dy.Pointer<byte>(), w.Pointer<byte>(), dx.Pointer<byte>());
        return dx;
    }

    private static ConvolutionDescription Describe(DType type, (Shape X, Shape W, int Stride, Padding2d Padding) size) => new()
    {
        ElementType = type,
        AccumulationType = type,
        N = size.X[0],
        H = size.X[1],
        W = size.X[2],
        InChannels = size.X[3],
        OutChannels = size.W[0],
        KernelH = size.W[1],
        KernelW = size.W[2],
        StrideH = size.Stride,
        StrideW = size.Stride,
        PadTop = size.Padding.Top,
        PadLeft = size.Padding.Left,
        PadBottom = size.Padding.Bottom,
        PadRight = size.Padding.Right,
    };

    private static Shape ResultOf(Shape x, Shape w, int stride, Padding2d padding)
        => [x[0], ((x[1] + padding.Top + padding.Bottom - w[1]) / stride) + 1, ((x[2] + padding.Left + padding.Right - w[2]) / stride) + 1, w[0]];

    private static OperatorCase Input(Shape x, Shape w, int stride, Padding2d padding, Func<Tensor, Tensor, Tensor> run)
        => Case(
            ResultOf(x, w, stride, padding), w, run, (dy, weight) => ProductOracle.ConvolutionBackwardInput(dy, weight, x, stride, padding),
            w[0] * w[1] * w[2]);

    private static OperatorCase Weight(Shape x, Shape w, int stride, Padding2d padding, Func<Tensor, Tensor, Tensor> run)
    {
        var result = ResultOf(x, w, stride, padding);
        return Case(
            x, result, run, (input, dy) => ProductOracle.ConvolutionBackwardWeight(input, dy, w, stride, padding), result[0] * result[1] * result[2]);
    }

    private static OperatorCase Case(
        Shape first, Shape second, Func<Tensor, Tensor, Tensor> run, Func<HostTensor, HostTensor, HostTensor> oracle, int terms) => new()
        {
            Name = "",
            Kernels = [],
            Inputs = [Operand.Normal(first), Operand.Normal(second)],
            Run = x => run(x[0], x[1]),
            Oracle = x => oracle(x[0], x[1]),
            Tolerance = ProductOracle.Bound(terms, x => oracle(x[0].Map(Math.Abs), x[1].Map(Math.Abs))),
        };
}
