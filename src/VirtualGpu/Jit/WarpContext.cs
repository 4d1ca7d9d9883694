// What compiled code sees of the warp that it runs: a block of native memory with fixed places.
using System.Runtime.InteropServices;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>Why compiled code returned. The result's upper 8 bits; the lower 24 are a segment's number.</summary>
internal enum Reason
{
    /// <summary>Go on at that segment, which another method holds.</summary>
    Continue,

    /// <summary>The lanes part at the end of that segment's block; <see cref="WarpContext.Taken"/> says which take the branch.</summary>
    Diverge,

    /// <summary>The fast method cannot do that segment; nothing of it has been done.</summary>
    Leave,

    /// <summary>The lanes have ended.</summary>
    Exit,

    /// <summary>The lanes wait at the barrier which is that segment.</summary>
    Barrier,

    /// <summary>Enough of looping; go on at that segment later.</summary>
    Yield,

    /// <summary>The lanes have reached a warp-level instruction and others may have to come.</summary>
    WarpSync,
}

/// <summary>State of the running warp. One a worker; fields are set before compiled code is called.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct WarpContext
{
    /// <summary>The parameter buffer: start and end.</summary>
    public nint Parameters;
    public nint ParametersEnd;

    /// <summary>The block's shared memory: start and end.</summary>
    public nint SharedLow;
    public nint SharedHigh;

    /// <summary>The warp's local memory: start and end; lanes one after the other.</summary>
    public nint LocalLow;
    public nint LocalHigh;

    /// <summary>Cached allocations, a start and an end for each memory instruction.</summary>
    public nint Sites;

    /// <summary>The frame's places: bytes of the uniform part, bytes of one group of lanes.</summary>
    public nint Frame;
    public int HeaderBytes;
    public int GroupBytes;

    /// <summary>Bytes of local memory a lane.</summary>
    public int LocalBytes;

    /// <summary>Back edges left before a yield.</summary>
    public int Fuel;

    /// <summary>Lanes that run, lanes that have not ended, lanes that take the branch.</summary>
    public uint Mask;
    public uint Alive;
    public uint Taken;

    /// <summary>The lowest segment at which other lanes stand; running lanes may go on alone while they are below it.</summary>
    public int LowestOther;

    /// <summary>The warp-level segment that may be done now, or -1.</summary>
    public int Granted;

    /// <summary>A handle of the worker, for errors and system calls.</summary>
    public nint Worker;

    public static int OffsetOf(string field) => (int)Marshal.OffsetOf<WarpContext>(field);
}
