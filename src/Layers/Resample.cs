// Halving and doubling of pictures, and of frame counts, by folding into channels and back.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>x [b, f, h, w, c] to half height and width, and half the frames if built so; each a linear map of folded channels.</summary>
public sealed class Downsample : Module
{
    private readonly Linear _space;
    private readonly Linear? _time;

    /// <summary>Describes the layer.</summary>
    public Downsample(int channels, bool downsampleTime = false)
    {
        _space = Add("down_space.1", new Linear(channels * 4, channels, bias: false, LinearStorage.Convolution2d, foldedColumns: 4));
        _time = downsampleTime
            ? Add("down_time.1", new Linear(channels * 2, channels, bias: false, LinearStorage.Convolution3d, foldedColumns: 2))
            : null;
    }

    /// <summary>Applies the layer.</summary>
    public Tensor Forward(Tensor x, bool enableTime = true)
    {
        using var scope = TensorScope.Begin();
        var y = _space.Forward(Functional.SpaceToDepth(x));
        return Return(scope, _time is null || !enableTime ? y : _time.Forward(Functional.FoldFrames(y)));
    }
}

/// <summary>x [b, f, h, w, c] to double height and width, and double the frames if built so.</summary>
public sealed class Upsample : Module
{
    private readonly Linear _space;
    private readonly Linear? _time;

    /// <summary>Describes the layer.</summary>
    public Upsample(int channels, bool upsampleTime = false)
    {
        _space = Add("up_space.0", new Linear(channels, channels * 4, storage: LinearStorage.Convolution2d, foldedRows: 4));
        _time = upsampleTime
            ? Add("up_time.0", new Linear(channels, channels * 2, storage: LinearStorage.Convolution3d, foldedRows: 2))
            : null;
    }

    /// <summary>Applies the layer.</summary>
    public Tensor Forward(Tensor x, bool enableTime = true)
    {
        using var scope = TensorScope.Begin();
        var y = Functional.DepthToSpace(_space.Forward(x));
        return Return(scope, _time is null || !enableTime ? y : Functional.UnfoldFrames(_time.Forward(y)));
    }
}
