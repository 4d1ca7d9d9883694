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

    /// <summary>The groups.</summary>
    internal int Groups => _groups;

    /// <summary>What is added to variances.</summary>
    internal double Epsilon => _epsilon;

    /// <summary>Mean and 1 / sqrt(variance + epsilon) of each group of one sample x [1, .., c], as [1, groups, 2] doubles in host memory.</summary>
    internal double[] Statistics(Tensor x)
    {
        using var scope = TensorScope.Begin();
        var statistics = Tensor.Empty(x.Context, [1, _groups, 2], Gpu.DType.Float64);
        Ops.GroupNormCoefficients(x, _groups, _weight.Value, _bias.Value, _epsilon, scaleShift: null, statistics);
        return statistics.ToArray<double>();
    }

    /// <summary>The coefficients [1, 2, c] of one sample whose statistics are known.</summary>
    /// <param name="statistics">As <see cref="Statistics"/> gives them.</param>
    internal Tensor Coefficients(ReadOnlySpan<double> statistics)
    {
        var (weight, bias) = (_weight.Value.ToArray<float>(), _bias.Value.ToArray<float>());
        var coefficients = new float[2 * weight.Length];
        for (var c = 0; c < weight.Length; c++)
        {
            var group = c / (weight.Length / _groups);
            var scale = statistics[(2 * group) + 1] * weight[c];
            coefficients[c] = (float)scale;
            coefficients[weight.Length + c] = (float)(bias[c] - (statistics[2 * group] * scale));
        }

        return Tensor.FromArray<float>(_weight.Value.Context, coefficients, [1, 2, weight.Length]);
    }

    /// <summary>Normalises a part of a sample with the whole's <see cref="Coefficients"/>; SiLU follows.</summary>
    internal Tensor ForwardPart(Tensor part, Tensor coefficients) => Ops.GroupNormApply(part, _groups, coefficients, silu: true);

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
