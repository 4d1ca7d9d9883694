// Host memory that a library routine works in: grows to what is asked for and is kept for the next call.
using System.Runtime.InteropServices;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>A growing buffer aligned to cache lines. One user at a time.</summary>
internal sealed unsafe class ScratchBuffer : IDisposable
{
    private void* _start;
    private long _bytes;

    ~ScratchBuffer() => Release();

    /// <summary>At least <paramref name="bytes"/> bytes of undefined contents, valid until the next call.</summary>
    public void* Reserve(long bytes)
    {
        if (bytes > _bytes)
        {
            Release();
            _start = NativeMemory.AlignedAlloc((nuint)bytes, 4096);
            _bytes = bytes;
        }

        return _start;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    private void Release()
    {
        NativeMemory.AlignedFree(_start);
        _start = null;
        _bytes = 0;
    }
}
