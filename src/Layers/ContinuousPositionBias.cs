// A position bias for attention that a small network computes from the offset between two positions.
using System.Collections.Concurrent;
using FashionFlow.Autograd;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>
/// Continuous relative position bias (Liu et al. 2022, Swin V2): an MLP gives every relative offset (query minus key, in
/// whole steps, unscaled) a value a head; pairs of positions look theirs up. Result [heads, n, n] for n positions.
/// </summary>
public sealed class ContinuousPositionBias : Module
{
    private readonly int _axes;
    private readonly Linear _first;
    private readonly Linear _second;
    private readonly Linear _last;
    private readonly ConcurrentDictionary<string, Tensor> _offsets = new(StringComparer.Ordinal);

    /// <summary>Describes the network.</summary>
    /// <param name="width">Width of the hidden layers.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="axes">Axes of a position: 2 for pixels, 1 for frames.</param>
    public ContinuousPositionBias(int width, int heads, int axes)
    {
        _axes = axes;
        _first = Add("net.0.0", new Linear(axes, width));
        _second = Add("net.1.0", new Linear(width, width));
        _last = Add("net.2", new Linear(width, heads));
    }

    /// <summary>The bias for a grid of positions of these lengths, row-major.</summary>
    public Tensor Forward(DeviceContext context, params int[] dimensions)
    {
        if (dimensions.Length != _axes)
        {
            throw new ArgumentException($"this position bias has {_axes} axes, not {dimensions.Length}", nameof(dimensions));
        }

        using var scope = TensorScope.Begin();
        var first = _first.Forward(Offsets(context, dimensions), Epilogue.Silu);
        var second = _second.Forward(first, Epilogue.Silu);
        return Return(scope, Functional.PositionBias(_last.Forward(second), dimensions));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        foreach (var table in _offsets.Values)
        {
            table.Dispose();
        }

        _offsets.Clear();
        base.Dispose(disposing);
    }

    /// <summary>Every offset, row-major: [prod(2 d - 1), axes]. It depends on the grid alone and is kept.</summary>
    private Tensor Offsets(DeviceContext context, int[] dimensions)
        => _offsets.GetOrAdd(string.Join('x', dimensions), _ =>
        {
            var count = dimensions.Aggregate(1, (product, d) => checked(product * ((2 * d) - 1)));
            var table = new double[count * _axes];
            for (var row = 0; row < count; row++)
            {
                for (int axis = _axes - 1, rest = row; axis >= 0; axis--)
                {
                    var span = (2 * dimensions[axis]) - 1;
                    table[(row * _axes) + axis] = (rest % span) - (dimensions[axis] - 1);
                    rest /= span;
                }
            }

            return TensorScope.Detach(_first.Type == DType.Float64
                ? Tensor.FromArray<double>(context, table, [count, _axes])
                : Tensor.FromArray<float>(context, Array.ConvertAll(table, x => (float)x), [count, _axes]));
        });
}
