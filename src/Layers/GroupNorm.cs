// Group normalisation with what usually follows it: scale and shift by the timestep, and SiLU.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>
/// Group normalisation (Wu and He 2018) of x [b, .., c]: statistics a sample and group, over the group's channels and all
/// positions. Fused with x * (scale + 1) + shift and with SiLU where asked.
/// </summary>
public sealed class GroupNorm : Module
{
    private readonly int _groups;
    private readonly double _epsilon;
    private readonly Parameter _weight;
    private readonly Parameter _bias;

    /// <summary>Describes the norm of <paramref name="channels"/> channels.</summary>
    /// <exception cref="ArgumentException">The groups do not divide the channels.</exception>
    public GroupNorm(int groups, int channels, double epsilon = 1e-5)
    {
        if (groups < 1 || channels % groups != 0)
        {
            throw new ArgumentException($"{channels} channels cannot be split into {groups} groups");
        }

        _groups = groups;
        _epsilon = epsilon;
        _weight = Declare("weight", [channels], Initialization.One);
        _bias = Declare("bias", [channels], Initialization.Zero(channels));
    }

    /// <summary>Normalises.</summary>
    /// <param name="x">[b, .., c].</param>
    /// <param name="scaleShift">[b, 2c], scale then shift; or null.</param>
    /// <param name="silu">Whether SiLU follows in the same kernel.</param>
    public Tensor Forward(Tensor x, Tensor? scaleShift = null, bool silu = false)
    {
        // PyTorch's module ends before scale, shift and activation, and that is what an observer compares with.
        if (silu || scaleShift is not null)
        {
            Show("", () => Functional.GroupNorm(x, _groups, _weight.Value, _bias.Value, _epsilon));
            return Functional.GroupNorm(x, _groups, _weight.Value, _bias.Value, _epsilon, scaleShift, silu);
        }

        using var scope = TensorScope.Begin();
        return Return(scope, Functional.GroupNorm(x, _groups, _weight.Value, _bias.Value, _epsilon));
    }
}
