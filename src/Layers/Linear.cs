// A linear map of the last axis; in channels-last it is also every 1x1 and 1x1x1 convolution.
using FashionFlow.Autograd;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>How PyTorch stores the weight of a linear map, which in channels-last is a matrix all the same.</summary>
public enum LinearStorage
{
    /// <summary>nn.Linear: [o, i].</summary>
    Matrix,

    /// <summary>nn.Conv2d of size 1: [o, i, 1, 1].</summary>
    Convolution2d,

    /// <summary>nn.Conv3d of size 1: [o, i, 1, 1, 1].</summary>
    Convolution3d,
}

/// <summary>y = x W^T + b over the last axis: x [.., in] to [.., out].</summary>
public sealed class Linear : Module
{
    private readonly Parameter _weight;
    private readonly Parameter? _bias;

    /// <summary>Describes the map.</summary>
    /// <param name="inputs">Channels in.</param>
    /// <param name="outputs">Channels out.</param>
    /// <param name="bias">Whether there is a bias.</param>
    /// <param name="storage">How PyTorch stores the weight.</param>
    /// <param name="foldedColumns">Sub-pixels or frames that space-to-depth folded into the input channels.</param>
    /// <param name="foldedRows">Sub-pixels or frames that depth-to-space will take out of the output channels.</param>
    /// <param name="weight">How the weight starts, if not by PyTorch's default.</param>
    public Linear(
        int inputs,
        int outputs,
        bool bias = true,
        LinearStorage storage = LinearStorage.Matrix,
        int foldedColumns = 1,
        int foldedRows = 1,
        Initialization? weight = null)
    {
        Shape shape = storage switch
        {
            LinearStorage.Convolution2d => [outputs, inputs, 1, 1],
            LinearStorage.Convolution3d => [outputs, inputs, 1, 1, 1],
            _ => [outputs, inputs],
        };
        var layout = foldedColumns > 1 ? WeightLayout.FoldedColumns(shape, foldedColumns)
            : foldedRows > 1 ? WeightLayout.FoldedRows(shape, foldedRows)
            : WeightLayout.Unchanged([outputs, inputs]);
        var start = foldedRows > 1 ? Initialization.SubPixel(inputs, foldedRows) : Initialization.PyTorchDefault(inputs);
        _weight = Declare("weight", shape, weight ?? start, layout);
        if (bias)
        {
            _bias = Declare(
                "bias",
                [outputs],
                foldedRows > 1 ? Initialization.Zero(inputs) : Initialization.PyTorchDefault(inputs),
                foldedRows > 1 ? WeightLayout.FoldedRows([outputs], foldedRows) : null);
        }
    }

    /// <summary>The weight's element type.</summary>
    public DType Type => _weight.Value.DType;

    /// <summary>Applies the map, adds <paramref name="residual"/> of the result's shape, then applies <paramref name="epilogue"/>.</summary>
    public Tensor Forward(Tensor x, Epilogue epilogue = Epilogue.None, Tensor? residual = null)
    {
        using var scope = TensorScope.Begin();
        return Return(scope, Functional.Linear(x, _weight.Value, _bias?.Value, epilogue, residual));
    }
}
