// All gradients in one flat buffer: cleared by one fill, normed in one pass, updated by one launch.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd.Optimization;

/// <summary>
/// Makes parameters leaves whose gradients gather in one flat buffer, each aligned to 256 bytes; the values stay their own
/// tensors. Padding between gradients is zero and stays so: norms and sums may run over the whole buffer.
/// </summary>
public sealed class GradientBucket : IDisposable
{
    private readonly Tensor[] _gradients;
    private readonly string[] _names;
    private readonly Dictionary<string, int> _indices = new(StringComparer.Ordinal);
    private bool _disposed;

    /// <summary>Makes the buffer, zero, and the parameters leaves.</summary>
    /// <param name="parameters">
    /// Names and values, one at least: all Float32 or all Float64, in one context, no leaves yet. They must outlive the bucket's use.
    /// </param>
    /// <exception cref="ArgumentException">They are not that, or a name or a value is there twice; nothing was made a leaf.</exception>
    public GradientBucket(IEnumerable<(string Name, Tensor Value)> parameters)
    {
        (string Name, Tensor Value)[] list = [.. parameters];
        _names = [.. list.Select(parameter => parameter.Name)];
        var values = new HashSet<Tensor>(ReferenceEqualityComparer.Instance);
        for (var i = 0; i < list.Length; i++)
        {
            var (name, value) = list[i];
            if (!_indices.TryAdd(name, i) || !values.Add(value))
            {
                throw new ArgumentException($"parameter \"{name}\" is there twice, by name or by value", nameof(parameters));
            }

            var first = list[0].Value;
            if (value.DType is not (DType.Float32 or DType.Float64) || value.DType != first.DType || value.Context != first.Context)
            {
                throw new ArgumentException(
                    $"parameter \"{name}\", {value}, is not Float32 or Float64 as the others are, in their context", nameof(parameters));
            }

            if (value.RequiresGradient())
            {
                throw new ArgumentException($"parameter \"{name}\", {value}, is a leaf already or computed from one", nameof(parameters));
            }
        }

        Values = new TensorList([.. list.Select(parameter => parameter.Value)]);
        Flat = Values.NewFlat();
        _gradients = [.. list.Select((_, i) => Values.View(Flat, i))];
        for (var i = 0; i < list.Length; i++)
        {
            list[i].Value.RequireGradient(_gradients[i]);
        }
    }

    /// <summary>The parameters' names, in the order of their gradients.</summary>
    public IReadOnlyList<string> Names => _names;

    /// <summary>The parameters' values, and the layout of flat buffers.</summary>
    public TensorList Values { get; }

    /// <summary>All gradients: [n], with padding.</summary>
    public Tensor Flat { get; }

    /// <summary>Where it all lives.</summary>
    public DeviceContext Context => Values.Context;

    /// <summary>The parameters' element type.</summary>
    public DType DType => Values.DType;

    /// <summary>A parameter's gradient, of its shape. It belongs to the bucket.</summary>
    /// <exception cref="KeyNotFoundException">There is no such parameter.</exception>
    public Tensor this[string name] => _gradients[IndexOf(name)];

    /// <summary>Sets all gradients to zero.</summary>
    public void Clear()
    {
        Flat.MarkWritten();
        if (Flat.Count > 0)
        {
            Context.Device.Fill(Flat.Pointer<byte>(), 0, Flat.Bytes, Context.Stream);
        }
    }

    /// <summary>Frees the gradients; the parameters are no leaves any more.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        foreach (var value in Values.Tensors)
        {
            value.History = null;
        }

        foreach (var gradient in _gradients)
        {
            gradient.Dispose();
        }

        Flat.Dispose();
        Values.Dispose();
    }

    /// <summary>A parameter's place in the order.</summary>
    internal int IndexOf(string name)
        => _indices.TryGetValue(name, out var index) ? index : throw new KeyNotFoundException($"there is no parameter \"{name}\"");

    /// <summary>Views of a flat buffer, one a parameter.</summary>
    internal Tensor[] Views(Tensor flat) => [.. _names.Select((_, i) => Values.View(flat, i))];
}
