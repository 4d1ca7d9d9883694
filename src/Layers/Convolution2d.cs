// A plain 2-D convolution of pictures, as the encoders use it.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>A 2-D convolution: x [n, h, w, in] to [n, h', w', out]. PyTorch's weight [out, in, k, k] is stored as [out, k, k, in].</summary>
public sealed class Convolution2d : Module
{
    private readonly Parameter _weight;
    private readonly Parameter? _bias;
    private readonly int _stride;
    private readonly Padding2d _padding;

    /// <summary>Describes the convolution.</summary>
    public Convolution2d(
        int inputs,
        int outputs,
        int kernelSize,
        int stride = 1,
        Padding2d padding = default,
        bool bias = true,
        Initialization? weightStart = null,
        Initialization? biasStart = null)
    {
        Shape shape = [outputs, inputs, kernelSize, kernelSize];
        var fanIn = inputs * kernelSize * kernelSize;
        _weight = Declare("weight", shape, weightStart ?? Initialization.PyTorchDefault(fanIn), WeightLayout.Convolution(shape));
        _bias = bias ? Declare("bias", [outputs], biasStart ?? Initialization.PyTorchDefault(fanIn)) : null;
        _stride = stride;
        _padding = padding;
    }

    /// <summary>Applies the convolution to a part of a picture, which brings rows of its neighbours where others would pad with zeros.</summary>
    internal Tensor Forward(Tensor x, Padding2d padding, Tensor? residual = null)
        => Functional.Conv2d(x, _weight.Value, _bias?.Value, _stride, padding, residual: residual);

    /// <summary>Applies the convolution and adds <paramref name="residual"/> of the result's shape.</summary>
    public Tensor Forward(Tensor x, Tensor? residual = null)
    {
        using var scope = TensorScope.Begin();
        return Return(scope, Functional.Conv2d(x, _weight.Value, _bias?.Value, _stride, _padding, residual: residual));
    }
}
