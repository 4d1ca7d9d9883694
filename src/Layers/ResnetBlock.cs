// Two convolution blocks around a shortcut, the first one steered by the timestep.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>Pseudo-3D convolution, group norm, optional x * (scale + 1) + shift, SiLU; x [b, f, h, w, c].</summary>
public sealed class Block : Module
{
    private readonly PseudoConv3d _project;
    private readonly GroupNorm _norm;

    /// <summary>Describes the block.</summary>
    public Block(int inputs, int outputs, int groups = 8)
    {
        _project = Add("project", new PseudoConv3d(inputs, outputs));
        _norm = Add("norm", new GroupNorm(groups, outputs));
    }

    /// <summary>Applies the block; <paramref name="scaleShift"/> is [b, 2c] or null.</summary>
    public Tensor Forward(Tensor x, Tensor? scaleShift = null, bool enableTime = true)
    {
        using var scope = TensorScope.Begin();
        return Return(scope, _norm.Forward(_project.Forward(x, enableTime), scaleShift, silu: true));
    }
}

/// <summary>
/// block2(block1(x, timestep)) + x, where x goes through a pointwise convolution if the channels change. The timestep's
/// embedding [b, t] gives scale and shift of the first block through SiLU and a linear layer.
/// </summary>
public sealed class ResnetBlock : Module
{
    private readonly Linear? _timestep;
    private readonly Block _block1;
    private readonly Block _block2;
    private readonly PseudoConv3d? _shortcut;

    /// <summary>Describes the block; without <paramref name="timestepChannels"/> it takes no timestep.</summary>
    public ResnetBlock(int inputs, int outputs, int? timestepChannels = null, int groups = 8)
    {
        _timestep = timestepChannels is { } t ? Add("timestep_mlp.1", new Linear(t, outputs * 2)) : null;
        _block1 = Add("block1", new Block(inputs, outputs, groups));
        _block2 = Add("block2", new Block(outputs, outputs, groups));
        _shortcut = inputs == outputs ? null : Add("res_conv", new PseudoConv3d(inputs, outputs, kernelSize: 1));
    }

    /// <summary>Applies the block.</summary>
    /// <exception cref="ArgumentException">A timestep was given to a block that takes none, or not to one that does.</exception>
    public Tensor Forward(Tensor x, Tensor? timestep = null, bool enableTime = true)
    {
        if (timestep is null != _timestep is null)
        {
            throw new ArgumentException(_timestep is null ? "this block takes no timestep" : "this block needs a timestep", nameof(timestep));
        }

        using var scope = TensorScope.Begin();
        var scaleShift = timestep is null ? null : _timestep!.Forward(Functional.Silu(timestep));
        using var h = _block1.Forward(x, scaleShift, enableTime);
        using var y = _block2.Forward(h, enableTime: enableTime);
        h.Dispose();
        return Return(scope, _shortcut is null ? Functional.Add(y, x) : _shortcut.Forward(x, residual: y));
    }
}
