// Many tensors in one launch: a table on the device says where each lies, and where its place in flat buffers is.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors;

/// <summary>
/// Tensors that kernels work on all at once, however many they are, with flat buffers beside them (gradients, moments,
/// averages) in which each tensor has a place of its own. Places start at multiples of 64 elements, so that they are aligned
/// to 256 bytes, in the same layout for every element type; what lies between them is padding.
/// </summary>
/// <remarks>The tensors stay their owners'. The list knows them by address, so they must outlive its use, which is checked.</remarks>
public sealed class TensorList : IDisposable
{
    /// <summary>Elements that a block of the kernels takes (LIST_CHUNK in kernels/include/tensor_list.cuh).</summary>
    internal const int Chunk = 4096;

    private const int Alignment = 64;
    private const int NumbersPerRow = 4;

    private readonly Tensor[] _tensors;
    private readonly int[] _starts;

    /// <summary>Writes the table of some tensors to the device.</summary>
    /// <param name="tensors">One at least, all Float32 or all Float64, in one context.</param>
    /// <exception cref="ArgumentException">They are not, or there are more than 2^31 elements.</exception>
    public TensorList(IReadOnlyList<Tensor> tensors)
    {
        if (tensors.Count == 0)
        {
            throw new ArgumentException("a list of tensors holds one at least", nameof(tensors));
        }

        (Context, DType) = (tensors[0].Context, tensors[0].DType);
        _tensors = [.. tensors];
        _starts = new int[tensors.Count];
        var table = new long[tensors.Count * NumbersPerRow];
        var blocks = new List<int>();
        var flat = 0L;
        for (var i = 0; i < _tensors.Length; i++)
        {
            var tensor = _tensors[i];
            if (tensor.DType is not (DType.Float32 or DType.Float64) || tensor.DType != DType || tensor.Context != Context)
            {
                throw new ArgumentException($"tensor {i} of a list, {tensor}, is not of the first one's type and context or of no floating-point type", nameof(tensors));
            }

            var end = flat + ((tensor.Count + Alignment - 1) / Alignment * Alignment);
            if (end > int.MaxValue - Chunk)
            {
                throw new ArgumentException($"the tensors of a list hold more elements than kernels count: {end} up to tensor {i}, {tensor}", nameof(tensors));
            }

            _starts[i] = (int)flat;
            long[] row = [(long)tensor.Pointer<byte>().Address, flat, tensor.Count, blocks.Count];
            row.CopyTo(table, i * NumbersPerRow);
            blocks.AddRange(Enumerable.Repeat(i, (int)((tensor.Count + Chunk - 1) / Chunk)));
            flat = end;
        }

        FlatCount = (int)flat;
        Blocks = blocks.Count;
        Table = TensorScope.Detach(Tensor.FromArray<long>(Context, table, [tensors.Count, NumbersPerRow]));
        TensorOfBlock = TensorScope.Detach(Tensor.FromArray<int>(Context, blocks.ToArray(), [Blocks]));
    }

    /// <summary>Where the tensors live.</summary>
    public DeviceContext Context { get; }

    /// <summary>Their element type.</summary>
    public DType DType { get; }

    /// <summary>The tensors, in order.</summary>
    public IReadOnlyList<Tensor> Tensors => _tensors;

    /// <summary>Elements of a flat buffer, padding included.</summary>
    public int FlatCount { get; }

    /// <summary>A row a tensor: address, place in flat buffers, number of elements, first block.</summary>
    internal Tensor Table { get; }

    /// <summary>The tensor that each block works on.</summary>
    internal Tensor TensorOfBlock { get; }

    /// <summary>Blocks of a launch.</summary>
    internal int Blocks { get; }

    /// <summary>A flat buffer of zeros, the caller's: [<see cref="FlatCount"/>], of the tensors' element type.</summary>
    public Tensor NewFlat() => TensorScope.Detach(Tensor.Zeros(Context, [FlatCount], DType));

    /// <summary>A tensor's place in a flat buffer, in the tensor's shape: a view, the caller's.</summary>
    public Tensor View(Tensor flat, int index)
    {
        using var place = flat.Narrow(_starts[index], (int)_tensors[index].Count);
        return TensorScope.Detach(place.Reshape(_tensors[index].Shape));
    }

    /// <summary>Fails if a tensor's memory may be gone.</summary>
    /// <exception cref="ObjectDisposedException">One was disposed.</exception>
    internal void CheckAlive()
    {
        foreach (var tensor in _tensors)
        {
            ObjectDisposedException.ThrowIf(tensor.IsDisposed, tensor);
        }
    }

    /// <summary>Counts an overwriting of every tensor.</summary>
    internal void MarkWritten()
    {
        foreach (var tensor in _tensors)
        {
            tensor.MarkWritten();
        }
    }

    /// <summary>Frees the table. The tensors live on.</summary>
    public void Dispose()
    {
        Table.Dispose();
        TensorOfBlock.Dispose();
    }
}
