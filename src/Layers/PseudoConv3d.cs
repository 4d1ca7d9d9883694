// A 3-D convolution made of two: over each frame, then over time at each pixel (Singer et al. 2022, Make-A-Video).
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>
/// Conv2d on each frame, then Conv1d over the frames, nothing between them. Size 1 has no temporal part and is a linear
/// map. Takes videos [b, f, h, w, c] and pictures [n, h, w, c]; pictures, and videos without time, skip the temporal part.
/// </summary>
public sealed class PseudoConv3d : Module
{
    private readonly Linear? _pointwise;
    private readonly Parameter? _spatialWeight;
    private readonly Parameter? _spatialBias;
    private readonly Parameter? _temporalWeight;
    private readonly Parameter? _temporalBias;

    /// <summary>Describes the convolution.</summary>
    /// <param name="inputs">Channels in.</param>
    /// <param name="outputs">Channels out.</param>
    /// <param name="kernelSize">Height and width of the spatial kernel, odd.</param>
    /// <param name="temporalKernelSize">Length of the temporal kernel, odd; <paramref name="kernelSize"/> if not given.</param>
    public PseudoConv3d(int inputs, int outputs, int kernelSize = 3, int? temporalKernelSize = null)
    {
        var taps = temporalKernelSize ?? kernelSize;
        if (kernelSize % 2 == 0 || taps % 2 == 0)
        {
            throw new ArgumentException($"a pseudo-3D convolution keeps its input's size, so its kernels are odd, not {kernelSize} and {taps}");
        }

        if (kernelSize == 1)
        {
            _pointwise = Add("spatial_conv", new Linear(inputs, outputs, storage: LinearStorage.Convolution2d));
            return;
        }

        Shape spatial = [outputs, inputs, kernelSize, kernelSize];
        Shape temporal = [outputs, outputs, taps];
        var fanIn = inputs * kernelSize * kernelSize;
        _spatialWeight = Declare("spatial_conv.weight", spatial, Initialization.PyTorchDefault(fanIn), WeightLayout.Convolution(spatial));
        _spatialBias = Declare("spatial_conv.bias", [outputs], Initialization.PyTorchDefault(fanIn));
        _temporalWeight = Declare("temporal_conv.weight", temporal, Initialization.Identity(outputs * taps), WeightLayout.Temporal(temporal));
        _temporalBias = Declare("temporal_conv.bias", [outputs], Initialization.Zero(outputs * taps));
    }

    /// <summary>Applies the convolution; the residual, of the result's shape, is for size 1 only.</summary>
    public Tensor Forward(Tensor x, bool enableTime = true, Tensor? residual = null)
    {
        using var scope = TensorScope.Begin();
        if (_pointwise is not null)
        {
            return Return(scope, _pointwise.Forward(x, residual: residual));
        }

        if (residual is not null)
        {
            throw new ArgumentException("only a pseudo-3D convolution of size 1 takes a residual", nameof(residual));
        }

        var s = x.Shape;
        var picture = s.Rank == 4;
        var video = picture ? x.Reshape(s[0], 1, s[1], s[2], s[3]) : x;
        var time = enableTime && !picture;
        var y = Functional.PseudoConv3d(
            video,
            _spatialWeight!.Value,
            _spatialBias!.Value,
            time ? _temporalWeight!.Value : null,
            time ? _temporalBias!.Value : null);
        return Return(scope, picture ? y.Reshape(s[0], s[1], s[2], y.Shape[-1]) : y);
    }
}
