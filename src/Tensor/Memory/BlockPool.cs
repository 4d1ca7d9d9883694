// The free blocks of one size class, kept in order so that the best fit is a binary search away.
namespace FashionFlow.Tensors.Memory;

/// <summary>
/// Free blocks ordered by size, then by address. The order depends on the history of requests alone, so that two equal runs
/// lay out memory equally.
/// </summary>
/// <param name="segmentGranularity">Segments taken from the device are multiples of this many bytes.</param>
/// <param name="smallestRemainder">A rest of fewer bytes than this is not split off a block.</param>
internal sealed class BlockPool(long segmentGranularity, long smallestRemainder)
{
    private static readonly Comparer<Block> BySizeThenAddress = Comparer<Block>.Create((left, right) =>
    {
        var bySize = left.Bytes.CompareTo(right.Bytes);
        return bySize != 0 ? bySize : left.Pointer.Address.CompareTo(right.Pointer.Address);
    });

    private readonly List<Block> _free = [];

    public long SmallestRemainder => smallestRemainder;

    /// <summary>Whether the blocks are one user's: see <see cref="PrivateMemory"/>.</summary>
    public bool IsPrivate { get; init; }

    /// <summary>Whether its user is gone, so that what still comes back goes on to the device.</summary>
    public bool IsOrphaned { get; set; }

    public IReadOnlyList<Block> Free => _free;

    public long SegmentBytes(long bytes) => checked((bytes + segmentGranularity - 1) / segmentGranularity * segmentGranularity);

    /// <summary>Takes the smallest free block of at least so many bytes, the lowest address first.</summary>
    public Block? TakeBestFit(long bytes)
    {
        var probe = new Block(default, bytes, this);
        var index = _free.BinarySearch(probe, BySizeThenAddress);
        index = index < 0 ? ~index : index;
        if (index == _free.Count)
        {
            return null;
        }

        var block = _free[index];
        _free.RemoveAt(index);
        return block;
    }

    public void Add(Block block) => _free.Insert(~_free.BinarySearch(block, BySizeThenAddress), block);

    public void Remove(Block block) => _free.RemoveAt(_free.BinarySearch(block, BySizeThenAddress));

    /// <summary>Takes out every free block that is a whole segment.</summary>
    public List<Block> TakeWholeSegments()
    {
        var whole = _free.FindAll(block => block.IsWholeSegment);
        _free.RemoveAll(block => block.IsWholeSegment);
        return whole;
    }
}
