// Cases of the operator of Ops.SumRows.cs: a row, a chunk of 256 rows and its neighbours, and so many that a third pass is needed.
namespace FashionFlow.Tensors.Tests.Operators;

public sealed class SumRowsCases : IOperatorCases
{
    public static IEnumerable<OperatorCase> Cases =>
    [
        .. from sizes in (int[][])[[1, 1], [1, 33], [3, 5], [255, 31], [256, 33], [257, 127], [513, 1], [70000, 3], [9, 1025]]
           from @case in SumRows(new Shape(sizes), 1)
           select @case,
        .. SumRows([2, 3, 5, 7], 2),
        .. SumRows([3, 1, 33], 2),
        .. SumRows([5, 3], 0),
    ];

    private static IEnumerable<OperatorCase> SumRows(Shape shape, int rowAxes)
    {
        Shape row = shape.Lengths[^rowAxes..].ToArray();
        var columns = (int)row.Count;
        var passes = shape.Count / columns > 256 * 256 ? 3 : shape.Count / columns > 256 ? 2 : 1;
        HostTensor Sum(HostTensor x, Func<double, double> term)
        {
            var sum = new HostTensor(row);
            for (var i = 0; i < x.Data.Length; i++)
            {
                sum.Data[i % columns] += term(x.Data[i]);
            }

            return sum;
        }

        var single = new OperatorCase
        {
            Name = $"SumRows {shape} to {row}",
            Kernels = passes == 1 ? ["sum_rows"] : ["sum_rows_f32_to_f64", "sum_rows_f64_to_f32"],
            Inputs = [Operand.Normal(shape)],
            Run = x => Ops.SumRows(x[0], row),
            Oracle = x => Sum(x[0], v => v),
            Tolerance = Tolerance.OfSize(1, x => Sum(x[0], Math.Abs), "the sum is in double and rounded once"),
            Types = [Gpu.DType.Float32],
        };
        return
        [
            single,
            single with
            {
                Name = $"SumRows {shape} to {row} in double",
                Kernels = ["sum_rows"],
                Tolerance = Tolerance.OfSize(20 * passes, x => Sum(x[0], Math.Abs), "a term goes through 32 + 7 additions of half an epsilon each in a pass"),
                Types = [Gpu.DType.Float64],
            },
        ];
    }
}
