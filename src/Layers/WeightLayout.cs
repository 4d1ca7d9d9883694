// How a PyTorch parameter lies in device memory: the one transposition that makes it fit channels-last activations.
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>
/// The order of a parameter's elements in device memory, relative to PyTorch's. Every repacking that channels-last
/// activations need is one exchange of two neighbouring axes: the parameter is seen as [outer, m, n, inner] and stored as
/// [outer, n, m, inner]. A parameter is repacked once when it is loaded, and back when it is saved.
/// </summary>
/// <param name="Outer">Product of the axes before the exchanged two.</param>
/// <param name="M">PyTorch's first axis of the two.</param>
/// <param name="N">PyTorch's second axis of the two.</param>
/// <param name="Inner">Product of the axes behind them.</param>
/// <param name="DeviceShape">The shape in device memory.</param>
public readonly record struct WeightLayout(int Outer, int M, int N, int Inner, Shape DeviceShape)
{
    /// <summary>PyTorch's own order, seen as <paramref name="shape"/>.</summary>
    public static WeightLayout Unchanged(Shape shape) => new(1, 1, 1, checked((int)shape.Count), shape);

    /// <summary>A 2-D convolution's [o, i, kh, kw], stored as [o, kh, kw, i].</summary>
    public static WeightLayout Convolution(Shape torch) => new(torch[0], torch[1], torch[2] * torch[3], 1, [torch[0], torch[2], torch[3], torch[1]]);

    /// <summary>A temporal convolution's [o, i, kt], stored as [o, kt, i].</summary>
    public static WeightLayout Temporal(Shape torch) => new(torch[0], torch[1], torch[2], 1, [torch[0], torch[2], torch[1]]);

    /// <summary>
    /// A 1x1 convolution behind space-to-depth: its columns are in the order (c p) in PyTorch and in (p c) here, where p
    /// counts the <paramref name="parts"/> sub-pixels or frames that were folded into the channels.
    /// </summary>
    public static WeightLayout FoldedColumns(Shape torch, int parts)
        => new(torch[0], torch[1] / parts, parts, 1, [torch[0], torch[1]]);

    /// <summary>A 1x1 convolution (or its bias) before depth-to-space: its rows are in the order (c p) in PyTorch, (p c) here.</summary>
    public static WeightLayout FoldedRows(Shape torch, int parts)
    {
        var inner = checked((int)(torch.Count / torch[0]));
        return new(1, torch[0] / parts, parts, inner, torch.Rank == 1 ? [torch[0]] : [torch[0], inner]);
    }

    /// <summary>PyTorch's order to the device's.</summary>
    public T[] Pack<T>(T[] torch) => Exchange(torch, M, N);

    /// <summary>The device's order to PyTorch's.</summary>
    public T[] Unpack<T>(T[] device) => Exchange(device, N, M);

    private T[] Exchange<T>(T[] source, int m, int n)
    {
        if (m == 1 || n == 1)
        {
            return source;
        }

        var target = new T[source.Length];
        for (var outer = 0; outer < Outer; outer++)
        {
            var start = (long)outer * m * n * Inner;
            for (var i = 0; i < m; i++)
            {
                for (var j = 0; j < n; j++)
                {
                    Array.Copy(source, start + ((((long)i * n) + j) * Inner), target, start + ((((long)j * m) + i) * Inner), Inner);
                }
            }
        }

        return target;
    }
}
