// Convolutions: strides, paddings and kernels of the models, and what each may be left without.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Checking;

internal sealed class ConvolutionGradients : IGradCheckCases
{
    public static IEnumerable<GradCheckCase> Cases =>
    [
        Conv2d("3x3", [2, 4, 5, 3], [4, 3, 3, 3], 1, Padding2d.All(1)),
        Conv2d("1x1, a product", [2, 3, 2, 5], [4, 1, 1, 5], 1, default),
        Conv2d("1x1, stride 2", [1, 4, 3, 2], [3, 1, 1, 2], 2, default),
        Conv2d("downsampling of the autoencoder", [1, 6, 5, 3], [2, 3, 3, 3], 2, new Padding2d(0, 0, 1, 1)),
        Conv2d("downsampling by 4x4", [2, 6, 4, 2], [3, 4, 4, 2], 2, Padding2d.All(1)),
        Conv2d("patches", [1, 6, 6, 3], [4, 3, 3, 3], 3, default),
        Conv2d("7x7, wider than the picture", [1, 3, 4, 2], [2, 7, 7, 2], 1, Padding2d.All(3)),
        .. from epilogue in Enum.GetValues<Epilogue>()
           select new GradCheckCase
           {
               Operator = "Conv2d",
               Variant = $"3x3, bias, residual, {epilogue}",
               Inputs =
               [
                   new("x", [1, 3, 4, 2]), new("weight", [3, 3, 3, 2], Deviation: 0.3), new("bias", [3]), new("residual", [1, 3, 4, 3]),
               ],
               Run = x => Functional.Conv2d(x[0], x[1], x[2], 1, Padding2d.All(1), epilogue, x[3]),
           },
        new()
        {
            Operator = "TemporalConv",
            Variant = "3 frames of 5, bias, residual",
            Inputs = [new("x", [2, 5, 2, 3, 3]), new("weight", [4, 3, 3]), new("bias", [4]), new("residual", [2, 5, 2, 3, 4])],
            Run = x => Functional.TemporalConv(x[0], x[1], x[2], x[3]),
        },
        new()
        {
            Operator = "TemporalConv",
            Variant = "5 frames of 2, no bias",
            Inputs = [new("x", [1, 2, 2, 1, 3]), new("weight", [2, 5, 3])],
            Run = x => Functional.TemporalConv(x[0], x[1], bias: null),
        },
        new()
        {
            Operator = "TemporalConv",
            Variant = "one frame at a time, a product",
            Inputs = [new("x", [1, 3, 2, 2, 3]), new("weight", [2, 1, 3]), new("bias", [2])],
            Run = x => Functional.TemporalConv(x[0], x[1], x[2]),
        },
        new()
        {
            Operator = "PseudoConv3d",
            Variant = "3x3 and 3, biases, residual",
            Inputs =
            [
                new("x", [2, 3, 3, 4, 2]), new("spatial weight", [3, 3, 3, 2], Deviation: 0.5), new("spatial bias", [3]),
                new("temporal weight", [3, 3, 3], Deviation: 0.5), new("temporal bias", [3]), new("residual", [2, 3, 3, 4, 3]),
            ],
            Run = x => Functional.PseudoConv3d(x[0], x[1], x[2], x[3], x[4], x[5]),
        },
        new()
        {
            Operator = "PseudoConv3d",
            Variant = "3x3 and 3, no biases",
            Inputs = [new("x", [1, 2, 3, 3, 2]), new("spatial weight", [3, 3, 3, 2]), new("temporal weight", [3, 3, 3])],
            Run = x => Functional.PseudoConv3d(x[0], x[1], null, x[2], null),
        },
        new()
        {
            Operator = "PseudoConv3d",
            Variant = "1x1, space alone, residual",
            Inputs = [new("x", [1, 2, 3, 2, 4]), new("spatial weight", [3, 1, 1, 4]), new("spatial bias", [3]), new("residual", [1, 2, 3, 2, 3])],
            Run = x => Functional.PseudoConv3d(x[0], x[1], x[2], null, null, x[3]),
        },
        new()
        {
            Operator = "PseudoConv3d",
            Variant = "time trained, space not",
            Inputs =
            [
                new("x", [1, 3, 3, 3, 2], Differentiable: false), new("spatial weight", [2, 3, 3, 2], Differentiable: false),
                new("temporal weight", [2, 3, 2]), new("temporal bias", [2]),
            ],
            Run = x => Functional.PseudoConv3d(x[0], x[1], null, x[2], x[3]),
        },
    ];

    private static GradCheckCase Conv2d(string what, Shape x, Shape weight, int stride, Padding2d padding) => new()
    {
        Operator = "Conv2d",
        Variant = $"{what}: {x} by {weight}, stride {stride}",
        Inputs = [new("x", x), new("weight", weight), new("bias", [weight[0]])],
        Run = inputs => Functional.Conv2d(inputs[0], inputs[1], inputs[2], stride, padding),
    };
}
