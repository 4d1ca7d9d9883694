// The slow side of memory checks: finding the allocation, and saying precisely what was wrong.
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

internal static unsafe class MemoryFaults
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int GroupOf(WarpContext* context, nint group) => (int)((group - context->Frame - context->HeaderBytes) / context->GroupBytes);

    public static BlockWorker WorkerOf(WarpContext* context) => (BlockWorker)GCHandle.FromIntPtr(context->Worker).Target!;

    /// <summary>Checks one lane's access; caches the allocation that it lies in.</summary>
    public static void Check(WarpContext* context, nint group, int lane, nint range, int access, long address)
    {
        var size = AccessCode.Size(access);
        if ((address & AccessCode.AlignmentMask(access)) != 0)
        {
            Throw(context, (GroupOf(context, group) * FrameLayout.LanesPerGroup) + lane, access, address, CudaResult.CUDA_ERROR_MISALIGNED_ADDRESS);
        }

        var bounds = (long*)range;
        if (address >= bounds[0] && address <= bounds[1] - size)
        {
            return;
        }

        if (!TryResolve(context, range, address, address + size))
        {
            Throw(context, (GroupOf(context, group) * FrameLayout.LanesPerGroup) + lane, access, address, CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS);
        }
    }

    /// <summary>Looks for memory that holds <c>[low, high)</c>; the range of shared and local memory is what it is.</summary>
    public static bool TryResolve(WarpContext* context, nint range, long low, long high)
    {
        var isFixed = range >= (nint)context && range < (nint)(context + 1);
        if (isFixed)
        {
            return low >= ((long*)range)[0] && high <= ((long*)range)[1];
        }

        var bounds = (long*)range;
        if (WorkerOf(context).Memory.TryFind((ulong)low, out var start, out var end))
        {
            if ((ulong)high > end)
            {
                return false;
            }

            bounds[0] = (long)start;
            bounds[1] = (long)end;
            return true;
        }

        // A generic address may point into the block's shared or the warp's local memory. Those ranges are not cached, since
        // the next block has others.
        return (low >= context->SharedLow && high <= context->SharedHigh) || (low >= context->LocalLow && high <= context->LocalHigh);
    }

    public static void ThrowLocal(WarpContext* context, int lane, int access, long offset)
        => Throw(context, lane, access, offset, CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS);

    public static void Throw(WarpContext* context, int lane, int access, long address, CudaResult result)
    {
        var worker = WorkerOf(context);
        var verb = AccessCode.IsStore(access) ? "stored" : "loaded";
        var size = AccessCode.Size(access);
        var space = AccessCode.Space(access);
        string what;
        if (result == CudaResult.CUDA_ERROR_MISALIGNED_ADDRESS)
        {
            what = $"{verb} {size} bytes at 0x{address:x}, which is no multiple of {AccessCode.AlignmentMask(access) + 1}";
        }
        else if (space == PtxSpace.Shared)
        {
            var offset = address - context->SharedLow;
            what = $"{verb} {size} bytes at offset {offset} of the block's {context->SharedHigh - context->SharedLow} bytes of shared memory";
        }
        else if (space == PtxSpace.Local)
        {
            what = $"{verb} {size} bytes at offset {address} of the thread's {context->LocalBytes} bytes of local memory";
        }
        else if (space == PtxSpace.Param)
        {
            what = $"{verb} {size} bytes outside of the kernel's parameters";
        }
        else
        {
            what = $"{verb} {size} bytes at 0x{address:x}: {worker.Memory.Describe((ulong)address)}";
        }

        throw new GpuException(result, $"{worker.DescribeThread(lane)} {what}");
    }

}
