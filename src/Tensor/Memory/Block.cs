// A stretch of device memory that the allocator hands out whole; neighbours in the same segment know each other.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Memory;

/// <summary>A range of a segment, in use or free.</summary>
internal sealed class Block(DevicePointer<byte> pointer, long bytes, BlockPool pool)
{
    /// <summary>Where it starts.</summary>
    public DevicePointer<byte> Pointer { get; } = pointer;

    /// <summary>The pool that it returns to; null for an allocation of its own, which returns to the device.</summary>
    public BlockPool Pool { get; } = pool;

    /// <summary>Its size; changes when it is split or merged.</summary>
    public long Bytes { get; set; } = bytes;

    /// <summary>Whether a tensor uses it.</summary>
    public bool InUse { get; set; }

    /// <summary>The block that ends where this one starts, in the same segment.</summary>
    public Block? Previous { get; set; }

    /// <summary>The block that starts where this one ends, in the same segment.</summary>
    public Block? Next { get; set; }

    /// <summary>Keeps the first bytes, and gives the rest to its pool as a free block.</summary>
    public void Split(long bytes)
    {
        var rest = new Block(Pointer.Offset(bytes), Bytes - bytes, Pool) { Previous = this, Next = Next };
        if (Next is { } next)
        {
            next.Previous = rest;
        }

        Next = rest;
        Bytes = bytes;
        Pool.Add(rest);
    }

    /// <summary>Joins it with the free blocks beside it, which leave their pool.</summary>
    /// <returns>The whole.</returns>
    public Block MergeWithFreeNeighbours()
    {
        if (Next is { InUse: false } next)
        {
            next.Pool.Remove(next);
            Absorb(next);
        }

        if (Previous is { InUse: false } previous)
        {
            previous.Pool.Remove(previous);
            previous.Absorb(this);
            return previous;
        }

        return this;
    }

    private void Absorb(Block next)
    {
        Bytes += next.Bytes;
        Next = next.Next;
        if (next.Next is { } afterNext)
        {
            afterNext.Previous = this;
        }
    }

    /// <summary>Whether it is a whole segment, which may go back to the device.</summary>
    public bool IsWholeSegment => Previous is null && Next is null;
}
