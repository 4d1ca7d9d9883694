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

    /// <summary>Whether it is a whole segment, which may go back to the device.</summary>
    public bool IsWholeSegment => Previous is null && Next is null;
}
