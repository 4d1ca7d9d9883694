// Cases of the operators of Ops.Convolution.cs, and of each kernel behind them on shapes that the operators would give to another.
using FashionFlow.Gpu;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests.Products;

public sealed class ConvolutionCases : IOperatorCases
{
    private static readonly MatmulBackend[] s_backends = [MatmulBackend.Kernels, MatmulBackend.Library];

    private static readonly (Shape X, Shape W, int Stride, Padding2d Padding)[] s_shapes =
    [
        ([1, 1, 1, 1], [1, 1, 1, 1], 1, default),
        ([2, 5, 7, 3], [5, 3, 3, 3], 1, Padding2d.All(1)),
        ([1, 9, 6, 8], [33, 3, 3, 8], 1, Padding2d.All(1)),
        ([1, 8, 7, 5], [7, 3, 3, 5], 2, new Padding2d(0, 0, 1, 1)),
        ([2, 6, 35, 12], [65, 3, 1, 12], 1, new Padding2d(1, 0, 1, 0)),
        ([1, 12, 11, 4], [31, 7, 7, 4], 1, Padding2d.All(3)),
        ([1, 3, 4, 31], [127, 2, 4, 31], 3, new Padding2d(2, 1, 0, 3)),
        ([1, 16, 16, 32], [3, 3, 3, 32], 1, Padding2d.All(1)),
        ([3, 5, 9, 18], [130, 1, 3, 18], 1, new Padding2d(0, 2, 0, 2)),
    ];

    public static IEnumerable<OperatorCase> Cases => Conv2ds.Concat(TemporalConvs).Concat(PseudoConvs).Concat(Kernels);

    private static IEnumerable<OperatorCase> Conv2ds =>
        from backend in s_backends
        from layer in ((Shape X, Shape W, int Stride, Padding2d Padding, Epilogue Epilogue, bool Bias, bool Residual)[])
        [
            ([1, 1, 1, 3], [5, 3, 3, 3], 1, Padding2d.All(1), Epilogue.None, true, false),
            ([2, 5, 8, 7], [7, 3, 3, 7], 2, new Padding2d(0, 0, 1, 1), Epilogue.Silu, true, true),
            ([1, 31, 5, 16], [33, 3, 3, 16], 1, Padding2d.All(1), Epilogue.Gelu, false, true),
            ([3, 7, 5, 33], [31, 1, 1, 33], 1, default, Epilogue.QuickGelu, true, true),
            ([1, 9, 9, 4], [64, 7, 7, 4], 1, Padding2d.All(3), Epilogue.None, false, false),
            ([2, 32, 32, 3], [127, 32, 32, 3], 32, default, Epilogue.None, false, false),
        ]
        let case_ = Convolution(
            $"Conv2d {layer.X} by {layer.W}, stride {layer.Stride}, {layer.Epilogue}{(layer.Bias ? ", bias" : "")}{(layer.Residual ? ", residual" : "")}, {backend}",
            layer.X, layer.W, layer.Stride, layer.Padding, layer.Epilogue, layer.Bias, layer.Residual,
            (x, bias, residual) => Ops.Conv2d(x[0], x[1], bias, layer.Stride, layer.Padding, layer.Epilogue, residual))
        select case_ with { Backend = backend };

    private static IEnumerable<OperatorCase> TemporalConvs =>
        from backend in s_backends
        from layer in ((Shape X, int Out, int Kernel, bool Bias, bool Residual)[])
            [([1, 1, 1, 1, 1], 1, 1, false, false), ([2, 1, 3, 2, 5], 7, 3, true, false), ([1, 5, 3, 1, 33], 31, 3, true, true), ([2, 7, 4, 4, 8], 8, 5, false, true)]
        let x = layer.X
        let pixels = x[2] * x[3]
        let padding = new Padding2d(layer.Kernel / 2, 0, layer.Kernel / 2, 0)
        let case_ = Convolution(
            $"TemporalConv {x} to {layer.Out}, kernel {layer.Kernel}{(layer.Bias ? ", bias" : "")}{(layer.Residual ? ", residual" : "")}, {backend}",
            [x[0], x[1], pixels, x[4]], [layer.Out, layer.Kernel, 1, x[4]], 1, padding, Epilogue.None, layer.Bias, layer.Residual,
            (inputs, bias, residual) =>
            {
                var video = inputs[0].Reshape(x);
                var weight = inputs[1].Reshape(layer.Out, layer.Kernel, x[4]);
                var added = residual?.Reshape(x.With(-1, layer.Out));
                return Ops.TemporalConv(video, weight, bias, added).Reshape(x[0], x[1], pixels, layer.Out);
            })
        select case_ with { Backend = backend };

    private static IEnumerable<OperatorCase> PseudoConvs =>
        from backend in s_backends
        from layer in ((Shape X, int Out, int Kernel, int KernelT, bool Residual)[])
            [([1, 1, 3, 5, 3], 5, 3, 3, false), ([2, 3, 4, 5, 8], 16, 3, 3, true), ([1, 5, 7, 6, 4], 12, 7, 3, false), ([2, 2, 3, 3, 31], 9, 1, 0, true)]
        select PseudoConv(layer.X, layer.Out, layer.Kernel, layer.KernelT, layer.Residual, backend);

    private static IEnumerable<OperatorCase> Kernels =>
        from tile in (ProductTile[])[ProductTile.Large, ProductTile.Small, ProductTile.Narrow]
        from size in s_shapes
        let name = "conv2d" + (tile == ProductTile.Large ? "" : "_" + tile.ToString().ToLowerInvariant())
        let epilogue = (Epilogue)(size.X[3] % 4)
        let case_ = Convolution(
            $"{name} {size.X} by {size.W}, stride {size.Stride}", size.X, size.W, size.Stride, size.Padding, epilogue, size.X[1] != 9, size.X[2] != 11,
            (x, bias, residual) => Launch(tile, x[0], x[1], bias, residual, size.Stride, size.Padding, epilogue))
        select case_ with { Kernels = [name] };

    private static Tensor Launch(ProductTile tile, Tensor x, Tensor w, Tensor? bias, Tensor? residual, int stride, Padding2d padding, Epilogue epilogue)
    {
        var description = new ConvolutionDescription
        {
            ElementType = x.DType,
            AccumulationType = x.DType.Accumulation(),
            N = x.Shape[0],
            H = x.Shape[1],
            W = x.Shape[2],
            InChannels = x.Shape[3],
            OutChannels = w.Shape[0],
            KernelH = w.Shape[1],
            KernelW = w.Shape[2],
            StrideH = stride,
            StrideW = stride,
            PadTop = padding.Top,
            PadLeft = padding.Left,
            PadBottom = padding.Bottom,
            PadRight = padding.Right,
            Epilogue = epilogue,
        };
        var y = Tensor.Empty(x.Context, [x.Shape[0], description.OutH, description.OutW, w.Shape[0]], x.DType);
        Ops.ConvolveByKernels(
            x.Context.Stream, description, tile, x.Pointer<byte>(), w.Pointer<byte>(), bias?.Pointer<byte>() ?? default,
            residual?.Pointer<byte>() ?? default, y.Pointer<byte>());
        return y;
    }

    private static OperatorCase Convolution(
        string name,
        Shape x,
        Shape w,
        int stride,
        Padding2d padding,
        Epilogue epilogue,
        bool bias,
        bool residual,
        Func<OperatorArguments, Tensor?, Tensor?, Tensor> run)
    {
        Shape result =
        [
            x[0], ((x[1] + padding.Top + padding.Bottom - w[1]) / stride) + 1, ((x[2] + padding.Left + padding.Right - w[2]) / stride) + 1, w[0],
        ];
        HostTensor Oracle(HostTensor[] inputs, Epilogue finish) => ProductOracle.Finish(
            ProductOracle.Convolution(inputs[0], inputs[1], stride, padding), bias ? inputs[2] : null, residual ? inputs[^1] : null, finish);
        return new()
        {
            Name = name,
            Kernels = [],
            Types = OperatorCase.AllTypes,
            Inputs =
            [
                Operand.Normal(x), Operand.Normal(w),
                .. bias ? (Operand[])[Operand.Normal([w[0]])] : [],
                .. residual ? (Operand[])[Operand.Normal(result)] : [],
            ],
            Run = inputs => run(inputs, bias ? inputs[2] : null, residual ? inputs.Inputs[^1] : null),
            Oracle = inputs => Oracle(inputs, epilogue),
            Tolerance = ProductOracle.Bound(w[1] * w[2] * w[3], inputs => Oracle(ProductOracle.Sizes(inputs), Epilogue.None)),
        };
    }

    /// <summary>A pseudo-3D convolution against a spatial and a temporal one in double; no temporal part where its kernel is 0.</summary>
    private static OperatorCase PseudoConv(Shape x, int channels, int kernel, int kernelT, bool residual, MatmulBackend backend)
    {
        var result = x.With(-1, channels);
        HostTensor Oracle(HostTensor[] inputs)
        {
            var frames = inputs[0].Reshape([x[0] * x[1], x[2], x[3], x[4]]);
            var spatial = ProductOracle.Finish(
                ProductOracle.Convolution(frames, inputs[1], 1, Padding2d.Same(kernel, kernel)), inputs[2], null, Epilogue.None);
            var sum = kernelT == 0 ? spatial : ProductOracle.Convolution(
                spatial.Reshape([x[0], x[1], x[2] * x[3], channels]), inputs[3].Reshape([channels, kernelT, 1, channels]), 1, Padding2d.Same(kernelT, 1));
            return ProductOracle.Finish(sum.Reshape(result), kernelT == 0 ? null : inputs[4], residual ? inputs[^1] : null, Epilogue.None);
        }

        return new()
        {
            Name = $"PseudoConv3d {x} to {channels}, kernel {kernel}, {kernelT}{(residual ? ", residual" : "")}, {backend}",
            Kernels = [],
            Types = OperatorCase.AllTypes,
            Backend = backend,
            Inputs =
            [
                Operand.Normal(x), Operand.Normal([channels, kernel, kernel, x[4]]), Operand.Normal([channels]),
                .. kernelT == 0 ? (Operand[])[] : [Operand.Normal([channels, kernelT, channels]), Operand.Normal([channels])],
                .. residual ? (Operand[])[Operand.Normal(result)] : [],
            ],
            Run = i => Ops.PseudoConv3d(
                i[0], i[1], i[2], kernelT == 0 ? null : i[3], kernelT == 0 ? null : i[4], residual ? i.Inputs[^1] : null),
            Oracle = Oracle,

            // The bounds of the two sums add up, to first order, each on the sizes of the whole.
            Tolerance = ProductOracle.Bound((kernel * kernel * x[4]) + (kernelT * channels), inputs => Oracle(ProductOracle.Sizes(inputs))) with
            {
                // What the spatial part hands to the temporal one.
                Intermediates = kernelT == 0 ? 0 : 1,
            },
        };
    }
}
