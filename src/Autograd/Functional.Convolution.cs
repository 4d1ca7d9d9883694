// Convolutions over space, over time, and over one after the other.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

public static partial class Functional
{
    /// <inheritdoc cref="Ops.Conv2d"/>
    /// <remarks>When it is recorded the epilogue is an operator of its own, since its gradient needs what it was applied to.</remarks>
    public static Tensor Conv2d(
        Tensor x,
        Tensor weight,
        Tensor? bias,
        int stride = 1,
        Padding2d padding = default,
        Epilogue epilogue = Epilogue.None,
        Tensor? residual = null)
    {
        if (epilogue != Epilogue.None && IsRecorded(x, weight, bias, residual))
        {
            using var sum = Conv2d(x, weight, bias, stride, padding, Epilogue.None, residual);
            return Activate(sum, epilogue);
        }

        var (shape, weightShape) = (x.Shape, weight.Shape);
        return Tape.Record(
            nameof(Conv2d),
            Ops.Conv2d(x, weight, bias, stride, padding, epilogue, residual),
            [x, weight, bias, residual],
            [If(weight.RequiresGradient(), x), If(x.RequiresGradient(), weight)],
            call =>
            {
                var gradient = call.Gradient;
                if (call.Needs(0))
                {
                    call.Set(0, Ops.Conv2dBackwardInput(gradient, call.Saved(1), shape, stride, padding));
                }

                if (call.Needs(1))
                {
                    call.Set(1, Ops.Conv2dBackwardWeight(call.Saved(0), gradient, weightShape, stride, padding));
                }

                SetSummed(call, 2, gradient);
                call.Set(3, gradient);
            });
    }

    /// <inheritdoc cref="Ops.TemporalConv"/>
    public static Tensor TemporalConv(Tensor x, Tensor weight, Tensor? bias, Tensor? residual = null)
    {
        var weightShape = weight.Shape;
        return Tape.Record(
            nameof(TemporalConv),
            Ops.TemporalConv(x, weight, bias, residual),
            [x, weight, bias, residual],
            [If(weight.RequiresGradient(), x), If(x.RequiresGradient(), weight)],
            call =>
            {
                var gradient = call.Gradient;
                if (call.Needs(0))
                {
                    call.Set(0, Ops.TemporalConvBackwardInput(gradient, call.Saved(1)));
                }

                if (call.Needs(1))
                {
                    call.Set(1, Ops.TemporalConvBackwardWeight(call.Saved(0), gradient, weightShape));
                }

                SetSummed(call, 2, gradient);
                call.Set(3, gradient);
            });
    }

    /// <inheritdoc cref="Ops.PseudoConv3d(Tensor, Tensor, Tensor?, Tensor?, Tensor?, Tensor?)"/>
    public static Tensor PseudoConv3d(
        Tensor x, Tensor spatialWeight, Tensor? spatialBias, Tensor? temporalWeight, Tensor? temporalBias, Tensor? residual = null)
    {
        if (!IsRecorded(x, spatialWeight, spatialBias, temporalWeight, temporalBias, residual))
        {
            return Unrecorded(
                nameof(PseudoConv3d), Ops.PseudoConv3d(x, spatialWeight, spatialBias, temporalWeight, temporalBias, residual));
        }

        var (shape, weightShape, temporalShape) = (x.Shape, spatialWeight.Shape, temporalWeight?.Shape ?? default);
        var beforeTime = IsRecorded(x, spatialWeight, spatialBias);
        var y = Ops.PseudoConv3d(x, spatialWeight, spatialBias, temporalWeight, temporalBias, residual, out var spatial);
        using (spatial)
        {
            return Tape.Record(
                nameof(PseudoConv3d),
                y,
                [x, spatialWeight, spatialBias, temporalWeight, temporalBias, residual],
                [
                    If(spatialWeight.RequiresGradient(), x), If(x.RequiresGradient(), spatialWeight),
                    If(temporalWeight is not null && temporalWeight.RequiresGradient(), spatial), If(beforeTime, temporalWeight),
                ],
                call =>
                {
                    var gradient = call.Gradient;
                    if (call.Needs(3))
                    {
                        call.Set(3, Ops.TemporalConvBackwardWeight(call.Saved(2), gradient, temporalShape));
                    }

                    SetSummed(call, 4, gradient);
                    call.Set(5, gradient);
                    if (!beforeTime)
                    {
                        return;
                    }

                    // From here on it is the spatial convolution's, a picture a frame.
                    var ofFrames = call.SavedOrNull(3) is { } temporal ? Ops.TemporalConvBackwardInput(gradient, temporal) : gradient;
                    SetSummed(call, 2, ofFrames);
                    var frames = shape[0] * shape[1];
                    var dy = ofFrames.Reshape(frames, shape[2], shape[3], weightShape[0]);
                    Shape pictures = [frames, shape[2], shape[3], shape[4]];
                    var padding = Padding2d.Same(weightShape[1], weightShape[2]);
                    if (call.Needs(0))
                    {
                        call.Set(0, Ops.Conv2dBackwardInput(dy, call.Saved(1), pictures, padding: padding));
                    }

                    if (call.Needs(1))
                    {
                        call.Set(1, Ops.Conv2dBackwardWeight(call.Saved(0).Reshape(pictures), dy, weightShape, padding: padding));
                    }
                });
        }
    }
}
