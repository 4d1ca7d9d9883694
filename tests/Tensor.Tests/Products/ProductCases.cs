// Cases of the operators of Ops.Gemm.cs, and of each kernel behind them on shapes that the operators would give to another.
using FashionFlow.Gpu;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests.Products;

public sealed class ProductCases : IOperatorCases
{
    /// <summary>Rows, columns and sums: one of everything; odd ones; whole vectors; whole tiles; one more than a tile.</summary>
    private static readonly (int M, int N, int K)[] s_shapes = [(1, 1, 1), (3, 5, 31), (33, 15, 9), (127, 31, 3), (64, 64, 16), (128, 16, 24), (65, 33, 1025), (129, 130, 12)];

    public static IEnumerable<OperatorCase> Cases => Linears.Concat(MatMuls).Concat(Kernels);

    private static IEnumerable<OperatorCase> Linears =>
        from backend in (MatmulBackend[])[MatmulBackend.Kernels, MatmulBackend.Library]
        from layer in ((Shape X, int N, string Kernel, Epilogue Epilogue, bool Bias, bool Residual)[])
        [
            ([1, 1], 1, "gemm_nt_rows", Epilogue.None, false, false),
            ([3], 5, "gemm_nt_rows", Epilogue.Silu, true, false),
            ([2, 2, 127], 33, "gemm_nt_rows", Epilogue.QuickGelu, true, true),
            ([1, 1025], 31, "gemm_nt_rows", Epilogue.Gelu, false, true),
            ([4, 256], 9, "gemm_nt_rows", Epilogue.None, true, false),
            ([5, 33], 3, "gemm_nt_narrow", Epilogue.None, true, false),
            ([2, 3, 5, 31], 16, "gemm_nt_narrow", Epilogue.Gelu, true, true),
            ([9, 127], 17, "gemm_nt_small", Epilogue.Silu, true, true),
            ([2, 64, 24], 72, "gemm_nt_small", Epilogue.None, false, true),
            ([3, 43, 1025], 31, "gemm_nt_small", Epilogue.QuickGelu, true, false),
        ]
        let case_ = Product(
            $"Linear {layer.X} to {layer.N}, {layer.Epilogue}{(layer.Bias ? ", bias" : "")}{(layer.Residual ? ", residual" : "")}, {backend}",
            layer.X, [layer.N, layer.X[-1]], layer.Bias, layer.Residual, layer.X.With(-1, layer.N), layer.Epilogue, transposeA: false, transposeB: true,
            (x, bias, residual) => Ops.Linear(x[0], x[1], bias, layer.Epilogue, residual))
        select case_ with { Backend = backend, Kernels = backend == MatmulBackend.Kernels ? [layer.Kernel] : [] };

    private static IEnumerable<OperatorCase> MatMuls =>
        from backend in (MatmulBackend[])[MatmulBackend.Kernels, MatmulBackend.Library]
        from transposeA in (bool[])[false, true]
        from transposeB in (bool[])[false, true]
        from sizes in ((int[] Batch, int M, int N, int K, bool SharedA, bool Shared)[])
        [
            ([], 5, 33, 31, false, true), ([3], 33, 5, 7, false, false), ([2, 2], 17, 36, 40, false, false), ([2], 31, 127, 8, false, true),
            ([3], 17, 5, 9, true, false),
        ]
        let shapeA = (Shape)(int[])[.. sizes.SharedA ? [] : sizes.Batch, transposeA ? sizes.K : sizes.M, transposeA ? sizes.M : sizes.K]
        let shapeB = (Shape)(int[])[.. sizes.Shared ? [] : sizes.Batch, transposeB ? sizes.N : sizes.K, transposeB ? sizes.K : sizes.N]
        let case_ = Product(
            $"MatMul {shapeA}{(transposeA ? "^T" : "")} by {shapeB}{(transposeB ? "^T" : "")}, {backend}",
            shapeA, shapeB, bias: false, residual: false, (int[])[.. sizes.Batch, sizes.M, sizes.N], Epilogue.None, transposeA, transposeB,
            (x, _, _) => Ops.MatMul(x[0], x[1], transposeA, transposeB, alpha: 0.375), alpha: 0.375)
        select case_ with { Backend = backend, Kernels = [] };

    private static IEnumerable<OperatorCase> Kernels =>
        from tile in Enum.GetValues<ProductTile>()
        from transposeA in (bool[])[false, true]
        where !transposeA || tile is ProductTile.Large or ProductTile.Small
        from transposeB in (bool[])[false, true]
        where transposeB || tile != ProductTile.Rows
        from size in s_shapes
        let batch = tile == ProductTile.Rows ? 1 : 2
        let epilogue = (Epilogue)((size.M + size.K) % 4)
        let name = $"gemm_{(transposeA ? 't' : 'n')}{(transposeB ? 't' : 'n')}{(tile == ProductTile.Large ? "" : "_" + tile.ToString().ToLowerInvariant())}"
        let case_ = Product(
            $"{name} {batch} x {size.M} x {size.N} x {size.K}",
            [batch, transposeA ? size.K : size.M, transposeA ? size.M : size.K],
            [batch, transposeB ? size.N : size.K, transposeB ? size.K : size.N],
            bias: size.K != 9, residual: size.N != 33, [batch, size.M, size.N], epilogue, transposeA, transposeB,
            (x, bias, residual) => Launch(tile, x[0], x[1], bias, residual, [batch, size.M, size.N], size.K, epilogue, transposeA, transposeB, 0.75),
            alpha: 0.75)
        select case_ with { Kernels = [name] };

    private static Tensor Launch(
        ProductTile tile, Tensor a, Tensor b, Tensor? bias, Tensor? residual, Shape shape, int k, Epilogue epilogue, bool transposeA, bool transposeB, double alpha)
    {
        var (batch, m, n) = (shape[0], shape[1], shape[2]);
        var y = Tensor.Empty(a.Context, shape, a.DType);
        var description = new GemmDescription
        {
            ElementType = a.DType,
            AccumulationType = a.DType.Accumulation(),
            M = m,
            N = n,
            K = k,
            TransposeA = transposeA,
            TransposeB = transposeB,
            LeadingDimensionA = transposeA ? m : k,
            LeadingDimensionB = transposeB ? k : n,
            LeadingDimensionC = n,
            BatchCount = batch,
            BatchStrideA = (long)m * k,
            BatchStrideB = (long)k * n,
            BatchStrideC = (long)m * n,
            Alpha = alpha,
            Epilogue = epilogue,
        };
        Ops.ProductByKernels(
            a.Context.Stream, description, tile, a.Pointer<byte>(), b.Pointer<byte>(), bias?.Pointer<byte>() ?? default, residual?.Pointer<byte>() ?? default,
            y.Pointer<byte>());
        return y;
    }

    /// <summary>A case on a, b and, where asked for, bias and residual.</summary>
    private static OperatorCase Product(
        string name,
        Shape a,
        Shape b,
        bool bias,
        bool residual,
        Shape result,
        Epilogue epilogue,
        bool transposeA,
        bool transposeB,
        Func<OperatorArguments, Tensor?, Tensor?, Tensor> run,
        double alpha = 1)
    {
        // A vector is a matrix of one row to the oracle.
        HostTensor Oracle(HostTensor[] x, Epilogue finish)
        {
            var left = a.Rank == 1 ? x[0].Reshape([1, a[0]]) : x[0];
            return ProductOracle.Finish(
                ProductOracle.Product(left, x[1], transposeA, transposeB, alpha).Reshape(result),
                bias ? x[2] : null,
                residual ? x[^1] : null,
                finish);
        }

        return new()
        {
            Name = name,
            Kernels = [],
            Types = OperatorCase.AllTypes,
            Inputs =
            [
                Operand.Normal(a), Operand.Normal(b),
                .. bias ? (Operand[])[Operand.Normal([result[-1]])] : [],
                .. residual ? (Operand[])[Operand.Normal(result)] : [],
            ],
            Run = x => run(x, bias ? x[2] : null, residual ? x.Inputs[^1] : null),
            Oracle = x => Oracle(x, epilogue),
            Tolerance = ProductOracle.Bound(a[transposeA ? -2 : -1], x => Oracle(ProductOracle.Sizes(x), Epilogue.None)),
        };
    }
}
