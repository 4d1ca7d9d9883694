// Cases of the operators of Ops.GemmBackward.cs: gradients against sums written out from the product's definition.
using FashionFlow.Gpu;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests.Products;

public sealed class ProductBackwardCases : IOperatorCases
{
    private static readonly MatmulBackend[] s_backends = [MatmulBackend.Kernels, MatmulBackend.Library];

    public static IEnumerable<OperatorCase> Cases => Linears.Concat(MatMuls);

    private static IEnumerable<OperatorCase> Linears =>
        from backend in s_backends
        from layer in ((Shape X, int N)[])[([1], 1), ([7], 5), ([2, 3, 31], 33), ([1025, 9], 3), ([3, 5, 0, 4], 2), ([129, 24], 16)]
        from weight in (bool[])[false, true]
        let dy = layer.X.With(-1, layer.N)
        let k = layer.X[-1]
        let rows = (int)(layer.X.Count / k)
        let case_ = weight
            ? Case(layer.X, dy, (x, gradient) => Ops.LinearBackwardWeight(x, gradient), (x, gradient) => WeightOracle(x, gradient, rows, layer.N, k), rows)
            : Case(dy, [layer.N, k], (gradient, w) => Ops.LinearBackwardInput(gradient, w), (gradient, w) => InputOracle(gradient, w, layer.X), layer.N)
        select case_ with { Name = $"LinearBackward{(weight ? "Weight" : "Input")} {layer.X} to {layer.N}, {backend}", Backend = backend };

    private static IEnumerable<OperatorCase> MatMuls =>
        from backend in s_backends
        from transposeA in (bool[])[false, true]
        from transposeB in (bool[])[false, true]
        from sizes in ((int[] A, int[] B)[])[([], []), ([3], [3]), ([2, 2], []), ([], [3])]
        from ofB in (bool[])[false, true]
        let a = (Shape)(int[])[.. sizes.A, transposeA ? 9 : 17, transposeA ? 17 : 9]
        let b = (Shape)(int[])[.. sizes.B, transposeB ? 5 : 9, transposeB ? 9 : 5]
        let dy = (Shape)(int[])[.. sizes.A.Length > 0 ? sizes.A : sizes.B, 17, 5]
        let case_ = ofB
            ? Case(
                a, dy, (x, gradient) => Ops.MatMulBackwardB(x, gradient, b, transposeA, transposeB, 0.375),
                (x, gradient) => MatMulOracle(gradient, x, b, isA: false, transposeA, transposeB), 17 * 4)
            : Case(
                dy, b, (gradient, x) => Ops.MatMulBackwardA(gradient, x, a, transposeA, transposeB, 0.375),
                (gradient, x) => MatMulOracle(gradient, x, a, isA: true, transposeA, transposeB), 5 * 4)
        select case_ with
        {
            Name = $"MatMulBackward{(ofB ? 'B' : 'A')} {a}{(transposeA ? "^T" : "")} by {b}{(transposeB ? "^T" : "")}, {backend}",
            Backend = backend,
        };

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

    private static HostTensor InputOracle(HostTensor gradient, HostTensor w, Shape x) => HostTensor.Generate(x, at =>
    {
        var row = 0;
        for (var axis = 0; axis < x.Rank - 1; axis++)
        {
            row = (row * x[axis]) + at[axis];
        }

        var (n, sum) = (w.Shape[0], 0.0);
        for (var j = 0; j < n; j++)
        {
            sum += gradient.Data[(row * n) + j] * w[j, at[^1]];
        }

        return sum;
    });

    private static HostTensor WeightOracle(HostTensor x, HostTensor gradient, int rows, int n, int k) => HostTensor.Generate([n, k], at =>
    {
        var sum = 0.0;
        for (var row = 0; row < rows; row++)
        {
            sum += gradient.Data[(row * n) + at[0]] * x.Data[(row * k) + at[1]];
        }

        return sum;
    });

    // Of y[i, j] = alpha sum over p of op(a)[i, p] op(b)[p, j], the gradient of one operand's element takes the other's.
    private static HostTensor MatMulOracle(HostTensor gradient, HostTensor other, Shape operand, bool isA, bool transposeA, bool transposeB)
    {
        const int M = 17, N = 5, K = 9;
        var result = new HostTensor(operand);
        for (var at = 0; at < gradient.Data.Length; at++)
        {
            var (matrix, i, j) = (at / (M * N), at / N % M, at % N);
            for (var p = 0; p < K; p++)
            {
                var inA = transposeA ? (p * M) + i : (i * K) + p;
                var inB = transposeB ? (j * K) + p : (p * N) + j;
                var (own, theirs) = isA ? (inA, inB) : (inB, inA);
                var ownMatrix = operand.Rank == 2 ? 0 : matrix * (isA ? M : N) * K;
                var theirMatrix = other.Shape.Rank == 2 ? 0 : matrix * (isA ? N : M) * K;
                result.Data[ownMatrix + own] += 0.375 * gradient.Data[at] * other.Data[theirMatrix + theirs];
            }
        }

        return result;
    }
}
