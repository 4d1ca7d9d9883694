// The virtual GPU behind the driver's stand-in: the table of tests/native/standin.h, filled with calls of a device.
using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu;

namespace FashionFlow.StandIns;

/// <summary>
/// What the stand-in driver hands its calls to. There is one a process, as there is one driver. Errors of the device come back as the
/// driver's; what must not be done and the driver would not notice is kept in <see cref="Misuses"/>.
/// </summary>
public sealed unsafe class StandInDevice : IDisposable
{
    private const int MaxDynamicSharedMemory = 8;

    private static StandInDevice? s_connected;

    private readonly VirtualDevice _device = new(new VirtualDeviceOptions { PoisonReusedMemory = true });
    private readonly ConcurrentDictionary<ulong, GpuModule> _modules = new();
    private readonly ConcurrentDictionary<ulong, GpuFunction> _functions = new();
    private readonly ConcurrentQueue<string> _misuses = new();
    private readonly delegate* unmanaged<int> _live;
    private readonly delegate* unmanaged<int> _cublasLive;
    private readonly delegate* unmanaged<int> _cudnnLive;
    private readonly Table* _table;
    private long _count;

    internal StandInDevice(nint library)
    {
        if (Interlocked.CompareExchange(ref s_connected, this, null) is not null)
        {
            throw new InvalidOperationException("the stand-in driver of this process has a device already");
        }

        _live = (delegate* unmanaged<int>)NativeLibrary.GetExport(library, "standin_live");
        _cublasLive = (delegate* unmanaged<int>)NativeLibrary.GetExport(library, "standin_cublas_live");
        _cudnnLive = (delegate* unmanaged<int>)NativeLibrary.GetExport(library, "standin_cudnn_live");
        _table = (Table*)NativeMemory.Alloc((nuint)sizeof(Table));
        *_table = new Table
        {
            Name = &Name,
            TotalMemory = &TotalMemory,
            Attribute = &Attribute,
            MemoryInfo = &MemoryInfo,
            Allocate = &Allocate,
            Release = &Release,
            Contains = &Contains,
            CopyToDevice = &CopyToDevice,
            CopyToHost = &CopyToHost,
            Copy = &Copy,
            Fill = &Fill,
            LoadModule = &LoadModule,
            UnloadModule = &UnloadModule,
            Function = &Function,
            Variable = &Variable,
            FunctionAttribute = &FunctionAttribute,
            SetDynamicSharedMemory = &SetDynamicSharedMemory,
            Occupancy = &Occupancy,
            Launch = &Launch,
            Misuse = &Misuse,
        };
        ((delegate* unmanaged<Table*, void>)NativeLibrary.GetExport(library, "standin_connect"))(_table);
    }

    /// <summary>What was done that must not be done, in order.</summary>
    public IReadOnlyCollection<string> Misuses => _misuses;

    /// <summary>Contexts, streams, events, modules, allocations, handles and descriptors that are alive.</summary>
    public int Live => _live() + _cublasLive() + _cudnnLive();

    /// <summary>Forgets what was misused so far.</summary>
    public void ForgetMisuses() => _misuses.Clear();

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var module in _modules.Values)
        {
            module.Dispose();
        }

        _device.Dispose();
    }

    // Every call of the table ends here: an exception must not cross into C.
    private static int Do(Action<StandInDevice> action)
    {
        try
        {
            action(s_connected!);
            return 0;
        }
        catch (GpuException e)
        {
            return (int)e.Result;
        }
        catch (Exception e)
        {
            s_connected!._misuses.Enqueue($"the stand-in device failed: {e}");
            return (int)CudaResult.CUDA_ERROR_UNKNOWN;
        }
    }

    private static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";

    private static void Write(string text, byte* target, long bytes)
    {
        if (target == null || bytes <= 0)
        {
            return;
        }

        var encoded = Encoding.UTF8.GetBytes(text);
        var length = (int)Math.Min(encoded.Length, bytes - 1);
        encoded.AsSpan(0, length).CopyTo(new Span<byte>(target, length));
        target[length] = 0;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Name(byte* text, int bytes) => Do(d => Write("Stand-in for a GPU", text, bytes));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int TotalMemory(ulong* bytes) => Do(d => *bytes = (ulong)d._device.Properties.TotalMemory);

    // The numbers are CUdevice_attribute's.
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Attribute(int* value, int attribute) => Do(d =>
    {
        var p = d._device.Properties;
        *value = attribute switch
        {
            1 => p.MaxThreadsPerBlock,
            2 => p.MaxBlockDim.X,
            3 => p.MaxBlockDim.Y,
            4 => p.MaxBlockDim.Z,
            5 => p.MaxGridDim.X,
            6 => p.MaxGridDim.Y,
            7 => p.MaxGridDim.Z,
            8 => p.MaxSharedMemoryPerBlock,
            10 => p.WarpSize,
            12 => p.MaxRegistersPerBlock,
            16 => p.MultiprocessorCount,
            39 => p.MaxThreadsPerMultiprocessor,
            75 => p.ComputeCapability.Major,
            76 => p.ComputeCapability.Minor,
            81 => p.MaxSharedMemoryPerMultiprocessor,
            97 => p.MaxSharedMemoryPerBlockOptin,
            _ => throw new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, $"attribute {attribute}"),
        };
    });

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int MemoryInfo(ulong* free, ulong* total) => Do(d => (*free, *total) = ((ulong)d._device.MemoryInfo.Free, (ulong)d._device.MemoryInfo.Total));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Allocate(ulong* address, ulong bytes) => Do(d => *address = d._device.Allocate((long)bytes).Address);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Release(ulong address) => Do(d => d._device.Free(new(address)));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Contains(ulong address, ulong bytes) => s_connected!._device.Memory.Contains(address, (long)bytes) ? 1 : 0;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int CopyToDevice(ulong destination, byte* source, ulong bytes)
        => Do(d => d._device.CopyToDevice(new(destination), new ReadOnlySpan<byte>(source, checked((int)bytes)), d._device.DefaultStream));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int CopyToHost(byte* destination, ulong source, ulong bytes)
        => Do(d => d._device.CopyToHost(new Span<byte>(destination, checked((int)bytes)), new(source), d._device.DefaultStream));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Copy(ulong destination, ulong source, ulong bytes)
        => Do(d => d._device.Copy(new(destination), new(source), (long)bytes, d._device.DefaultStream));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Fill(ulong destination, int value, ulong bytes)
        => Do(d => d._device.Fill(new(destination), (byte)value, (long)bytes, d._device.DefaultStream));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int LoadModule(ulong* module, byte* image, byte* log, ulong logBytes) => Do(d =>
    {
        try
        {
            // The program's modules are PTX, which is text that ends in a zero.
            var loaded = d._device.LoadModule(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(image));
            *module = (ulong)Interlocked.Increment(ref d._count);
            d._modules[*module] = loaded;
        }
        catch (GpuException e)
        {
            Write(e.Detail, log, (long)logBytes);
            throw;
        }
    });

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int UnloadModule(ulong module) => Do(d =>
    {
        if (d._modules.TryRemove(module, out var loaded))
        {
            loaded.Dispose();
        }
    });

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Function(ulong* function, ulong module, byte* name) => Do(d =>
    {
        var found = d._modules[module].GetFunction(Text(name));
        *function = (ulong)Interlocked.Increment(ref d._count);
        d._functions[*function] = found;
    });

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Variable(ulong* address, ulong* bytes, ulong module, byte* name) => Do(d =>
    {
        *address = d._modules[module].GetGlobal(Text(name), out var size).Address;
        *bytes = (ulong)size;
    });

    // The numbers are CUfunction_attribute's.
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int FunctionAttribute(int* value, ulong function, int attribute) => Do(d =>
    {
        var attributes = d._functions[function].Attributes;
        *value = attribute switch
        {
            0 => attributes.MaxThreadsPerBlock,
            1 => attributes.StaticSharedMemory,
            2 => attributes.ConstantMemory,
            3 => attributes.LocalMemory,
            4 => attributes.Registers,
            MaxDynamicSharedMemory => attributes.MaxDynamicSharedMemory,
            _ => throw new GpuException(CudaResult.CUDA_ERROR_INVALID_VALUE, $"attribute {attribute}"),
        };
    });

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int SetDynamicSharedMemory(ulong function, int bytes) => Do(d => d._functions[function].SetMaxDynamicSharedMemory(bytes));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Occupancy(int* blocks, ulong function, int threads, ulong sharedMemory)
        => Do(d => *blocks = d._functions[function].MaxActiveBlocksPerMultiprocessor(threads, (int)sharedMemory));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static int Launch(ulong function, uint* grid, uint* block, uint sharedMemory, byte* parameters, ulong bytes) => Do(d =>
        d._functions[function].Launch(
            d._device.DefaultStream,
            new LaunchShape(
                new Dim3((int)grid[0], (int)grid[1], (int)grid[2]), new Dim3((int)block[0], (int)block[1], (int)block[2]), (int)sharedMemory),
            new ReadOnlySpan<byte>(parameters, checked((int)bytes))));

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Misuse(byte* what) => s_connected!._misuses.Enqueue(Text(what));

    /// <summary>Device of tests/native/standin.h, in its order.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Table
    {
        public delegate* unmanaged[Cdecl]<byte*, int, int> Name;
        public delegate* unmanaged[Cdecl]<ulong*, int> TotalMemory;
        public delegate* unmanaged[Cdecl]<int*, int, int> Attribute;
        public delegate* unmanaged[Cdecl]<ulong*, ulong*, int> MemoryInfo;
        public delegate* unmanaged[Cdecl]<ulong*, ulong, int> Allocate;
        public delegate* unmanaged[Cdecl]<ulong, int> Release;
        public delegate* unmanaged[Cdecl]<ulong, ulong, int> Contains;
        public delegate* unmanaged[Cdecl]<ulong, byte*, ulong, int> CopyToDevice;
        public delegate* unmanaged[Cdecl]<byte*, ulong, ulong, int> CopyToHost;
        public delegate* unmanaged[Cdecl]<ulong, ulong, ulong, int> Copy;
        public delegate* unmanaged[Cdecl]<ulong, int, ulong, int> Fill;
        public delegate* unmanaged[Cdecl]<ulong*, byte*, byte*, ulong, int> LoadModule;
        public delegate* unmanaged[Cdecl]<ulong, int> UnloadModule;
        public delegate* unmanaged[Cdecl]<ulong*, ulong, byte*, int> Function;
        public delegate* unmanaged[Cdecl]<ulong*, ulong*, ulong, byte*, int> Variable;
        public delegate* unmanaged[Cdecl]<int*, ulong, int, int> FunctionAttribute;
        public delegate* unmanaged[Cdecl]<ulong, int, int> SetDynamicSharedMemory;
        public delegate* unmanaged[Cdecl]<int*, ulong, int, ulong, int> Occupancy;
        public delegate* unmanaged[Cdecl]<ulong, uint*, uint*, uint, byte*, ulong, int> Launch;
        public delegate* unmanaged[Cdecl]<byte*, void> Misuse;
    }
}
