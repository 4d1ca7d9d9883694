// Reference-counted ownership of one block: tensors that share memory share a Storage.
namespace FashionFlow.Tensors.Memory;

/// <summary>The memory behind one or more tensors. It goes back to the allocator with the last of them.</summary>
internal sealed class Storage(CachingAllocator allocator, long bytes)
{
    private readonly Block _block = allocator.Allocate(bytes);
    private int _references = 1;

    /// <summary>Where the memory starts.</summary>
    public Gpu.DevicePointer<byte> Pointer => _block.Pointer;

    /// <summary>Whether more than one tensor holds it.</summary>
    public bool IsShared => Volatile.Read(ref _references) > 1;

    /// <summary>How often its contents were overwritten in place.</summary>
    public int Version { get; private set; }

    public void MarkWritten() => Version++;

    public Storage AddReference()
    {
        Interlocked.Increment(ref _references);
        return this;
    }

    public void Release()
    {
        if (Interlocked.Decrement(ref _references) == 0)
        {
            allocator.Free(_block);
        }
    }
}
