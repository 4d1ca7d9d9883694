// Cases of kernels/finish.cu, which ends what a vendor's library leaves bare. No operator launches it on the virtual device, whose
// library has every epilogue.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Cuda.Libraries;
using FashionFlow.Tensors.Tests.Operators;

namespace FashionFlow.Tensors.Tests.Products;

public sealed class RowFinishCases : IOperatorCases
{
    private static readonly (int Batch, int Rows, int Columns, int Gap)[] s_sizes =
    [
        (1, 1, 1, 0), (1, 3, 5, 0), (2, 7, 31, 2), (3, 33, 8, 0), (1, 127, 64, 4), (2, 5, 1025, 3), (1, 2, 2052, 0), (5, 1, 128, 0),
    ];

    private static readonly (bool Bias, bool Residual)[] s_added = [(true, false), (false, true), (true, true), (false, false)];

    // Every size with everything that can be added, the activations going round.
    public static IEnumerable<OperatorCase> Cases =>
        from i in Enumerable.Range(0, s_sizes.Length)
        from j in Enumerable.Range(0, s_added.Length)
        let sizes = s_sizes[i]
        let added = s_added[j]
        let epilogue = (Epilogue)((i + j) % Enum.GetValues<Epilogue>().Length)
        where added.Bias || added.Residual || epilogue != Epilogue.None
        select Case(sizes.Batch, sizes.Rows, sizes.Columns, sizes.Columns + sizes.Gap, added.Bias, added.Residual, epilogue);

    private static OperatorCase Case(int batch, int rows, int columns, int stride, bool bias, bool residual, Epilogue epilogue)
    {
        var matrices = (Shape)(int[])[batch, rows, stride];
        double Sum(HostTensor[] x, int i)
            => x[0].Data[i] + (bias ? x[1].Data[i % stride] : 0) + (residual ? x[2].Data[i] : 0);
        HostTensor Result(HostTensor[] x, Func<double, double> of)
            // What lies between the rows stays as it was.
            => new(matrices, [.. Enumerable.Range(0, (int)matrices.Count).Select(i => i % stride < columns ? of(Sum(x, i)) : x[0].Data[i])]);
        return new()
        {
            Name = $"finish_rows [{batch}, {rows}, {columns}], rows {stride} apart{(bias ? ", bias" : "")}{(residual ? ", residual" : "")}, {epilogue}",
            Kernels = ["finish_rows"],
            Inputs = [Operand.Normal(matrices), Operand.Normal([columns]), Operand.Normal(matrices)],
            WritesInputs = true,
            Run = x =>
            {
                RowFinish.Queue(
                    x.Context.Stream, x.Type, x[0].Pointer<byte>(), bias ? x[1].Pointer<byte>() : default, residual ? x[2].Pointer<byte>() : default,
                    rows, columns, stride, batch, (long)rows * stride, epilogue);
                return x[0].AddReference();
            },
            Oracle = x => Result(x, sum => ProductOracle.Activate(epilogue, sum)),
            Tolerance = Tolerance.OfSize(
                6,
                x => new(matrices, [.. Enumerable.Range(0, (int)matrices.Count).Select(
                    i => Math.Abs(x[0].Data[i]) + (bias ? Math.Abs(x[1].Data[Math.Min(i % stride, columns - 1)]) : 0) + (residual ? Math.Abs(x[2].Data[i]) : 0))]),
                "two additions, half an epsilon each of the terms' size, through a slope of at most 1.13; the activation within 4 epsilons as in its own cases"),
        };
    }
}
