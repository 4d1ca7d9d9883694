// The functions of cuda.h that the device needs, with the entry points of the current ABI (_v2 where there is one).
using System.Runtime.InteropServices;

namespace FashionFlow.Gpu.Cuda;

/// <summary>CUdevice_attribute, as far as <see cref="DeviceProperties"/> asks.</summary>
internal enum DeviceAttribute
{
    MaxThreadsPerBlock = 1,
    MaxBlockDimX = 2,
    MaxBlockDimY = 3,
    MaxBlockDimZ = 4,
    MaxGridDimX = 5,
    MaxGridDimY = 6,
    MaxGridDimZ = 7,
    MaxSharedMemoryPerBlock = 8,
    WarpSize = 10,
    MaxRegistersPerBlock = 12,
    MultiprocessorCount = 16,
    MaxThreadsPerMultiprocessor = 39,
    ComputeCapabilityMajor = 75,
    ComputeCapabilityMinor = 76,
    MaxSharedMemoryPerMultiprocessor = 81,
    MaxSharedMemoryPerBlockOptin = 97,
}

/// <summary>CUfunction_attribute.</summary>
internal enum FunctionAttribute
{
    MaxThreadsPerBlock = 0,
    SharedSizeBytes = 1,
    ConstSizeBytes = 2,
    LocalSizeBytes = 3,
    NumRegs = 4,
    MaxDynamicSharedSizeBytes = 8,
}

/// <summary>CUstreamCaptureMode.</summary>
internal enum StreamCaptureMode
{
    /// <summary>Calls that could break a capture are refused on the capturing thread; other threads are left alone.</summary>
    ThreadLocal = 1,
}

/// <summary>CUjit_option.</summary>
internal enum JitOption
{
    InfoLogBuffer = 3,
    InfoLogBufferSizeBytes = 4,
    ErrorLogBuffer = 5,
    ErrorLogBufferSizeBytes = 6,
}

/// <summary>The driver's functions. Call <see cref="CudaDriver.Initialize"/> before any but the first three.</summary>
internal static unsafe partial class CudaNative
{
    /// <summary>CU_STREAM_NON_BLOCKING: no hidden ordering with the legacy default stream.</summary>
    public const uint StreamNonBlocking = 1;

    /// <summary>CU_LAUNCH_PARAM_BUFFER_POINTER, _SIZE and _END.</summary>
    public const nint LaunchParamBufferPointer = 1, LaunchParamBufferSize = 2, LaunchParamEnd = 0;

    private const string Library = NativeLibraries.CudaName;

    [LibraryImport(Library)]
    public static partial CudaResult cuInit(uint flags);

    [LibraryImport(Library)]
    public static partial CudaResult cuDriverGetVersion(int* version);

    [LibraryImport(Library)]
    public static partial CudaResult cuGetErrorName(CudaResult error, out nint name);

    [LibraryImport(Library)]
    public static partial CudaResult cuGetErrorString(CudaResult error, out nint text);

    [LibraryImport(Library)]
    public static partial CudaResult cuDeviceGetCount(int* count);

    [LibraryImport(Library)]
    public static partial CudaResult cuDeviceGet(int* device, int ordinal);

    [LibraryImport(Library)]
    public static partial CudaResult cuDeviceGetName(byte* name, int length, int device);

    [LibraryImport(Library)]
    public static partial CudaResult cuDeviceTotalMem_v2(nuint* bytes, int device);

    [LibraryImport(Library)]
    public static partial CudaResult cuDeviceGetAttribute(int* value, DeviceAttribute attribute, int device);

    [LibraryImport(Library)]
    public static partial CudaResult cuDevicePrimaryCtxRetain(nint* context, int device);

    [LibraryImport(Library)]
    public static partial CudaResult cuDevicePrimaryCtxRelease_v2(int device);

    [LibraryImport(Library)]
    public static partial CudaResult cuCtxSetCurrent(nint context);

    [LibraryImport(Library)]
    public static partial CudaResult cuCtxSynchronize();

    [LibraryImport(Library)]
    public static partial CudaResult cuMemGetInfo_v2(nuint* free, nuint* total);

    [LibraryImport(Library)]
    public static partial CudaResult cuMemAlloc_v2(ulong* address, nuint bytes);

    [LibraryImport(Library)]
    public static partial CudaResult cuMemFree_v2(ulong address);

    [LibraryImport(Library)]
    public static partial CudaResult cuMemcpyHtoDAsync_v2(ulong destination, void* source, nuint bytes, CudaStreamHandle stream);

    [LibraryImport(Library)]
    public static partial CudaResult cuMemcpyDtoHAsync_v2(void* destination, ulong source, nuint bytes, CudaStreamHandle stream);

    [LibraryImport(Library)]
    public static partial CudaResult cuMemcpyDtoDAsync_v2(ulong destination, ulong source, nuint bytes, CudaStreamHandle stream);

    [LibraryImport(Library)]
    public static partial CudaResult cuMemsetD8Async(ulong destination, byte value, nuint count, CudaStreamHandle stream);

    [LibraryImport(Library)]
    public static partial CudaResult cuModuleLoadDataEx(nint* module, byte* image, uint optionCount, JitOption* options, void** values);

    [LibraryImport(Library)]
    public static partial CudaResult cuModuleUnload(nint module);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial CudaResult cuModuleGetFunction(nint* function, CudaModuleHandle module, string name);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    public static partial CudaResult cuModuleGetGlobal_v2(ulong* address, nuint* bytes, CudaModuleHandle module, string name);

    [LibraryImport(Library)]
    public static partial CudaResult cuFuncGetAttribute(int* value, FunctionAttribute attribute, nint function);

    [LibraryImport(Library)]
    public static partial CudaResult cuFuncSetAttribute(nint function, FunctionAttribute attribute, int value);

    [LibraryImport(Library)]
    public static partial CudaResult cuOccupancyMaxActiveBlocksPerMultiprocessor(
        int* blocks, nint function, int blockSize, nuint dynamicSharedMemory);

    [LibraryImport(Library)]
    public static partial CudaResult cuLaunchKernel(
        nint function,
        uint gridX,
        uint gridY,
        uint gridZ,
        uint blockX,
        uint blockY,
        uint blockZ,
        uint dynamicSharedMemory,
        CudaStreamHandle stream,
        void** parameters,
        void** extra);

    [LibraryImport(Library)]
    public static partial CudaResult cuStreamCreate(nint* stream, uint flags);

    [LibraryImport(Library)]
    public static partial CudaResult cuStreamDestroy_v2(nint stream);

    [LibraryImport(Library)]
    public static partial CudaResult cuStreamSynchronize(CudaStreamHandle stream);

    [LibraryImport(Library)]
    public static partial CudaResult cuStreamWaitEvent(CudaStreamHandle stream, CudaEventHandle marker, uint flags);

    [LibraryImport(Library)]
    public static partial CudaResult cuStreamBeginCapture_v2(CudaStreamHandle stream, StreamCaptureMode mode);

    [LibraryImport(Library)]
    public static partial CudaResult cuStreamEndCapture(CudaStreamHandle stream, nint* graph);

    [LibraryImport(Library)]
    public static partial CudaResult cuGraphGetNodes(CudaGraphHandle graph, nint* nodes, nuint* count);

    [LibraryImport(Library)]
    public static partial CudaResult cuGraphInstantiateWithFlags(nint* executable, CudaGraphHandle graph, ulong flags);

    [LibraryImport(Library)]
    public static partial CudaResult cuGraphDestroy(nint graph);

    [LibraryImport(Library)]
    public static partial CudaResult cuGraphLaunch(CudaGraphExecutableHandle executable, CudaStreamHandle stream);

    [LibraryImport(Library)]
    public static partial CudaResult cuGraphExecDestroy(nint executable);

    [LibraryImport(Library)]
    public static partial CudaResult cuEventCreate(nint* marker, uint flags);

    [LibraryImport(Library)]
    public static partial CudaResult cuEventDestroy_v2(nint marker);

    [LibraryImport(Library)]
    public static partial CudaResult cuEventRecord(CudaEventHandle marker, CudaStreamHandle stream);

    [LibraryImport(Library)]
    public static partial CudaResult cuEventSynchronize(CudaEventHandle marker);

    [LibraryImport(Library)]
    public static partial CudaResult cuEventElapsedTime(float* milliseconds, CudaEventHandle start, CudaEventHandle end);
}
