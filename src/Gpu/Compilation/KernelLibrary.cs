// The kernels of one device: finds the PTX of a kernel file (shipped, cached or compiled now), loads it once, and hands out its
// functions.
using System.Collections.Concurrent;

namespace FashionFlow.Gpu;

/// <summary>Where a kernel's code came from.</summary>
public enum KernelOrigin
{
    /// <summary>The PTX that the assembly carries.</summary>
    Shipped,

    /// <summary>The disk cache.</summary>
    Cache,

    /// <summary>NVRTC, just now.</summary>
    Compiled,
}

/// <summary>The modules and functions of a device. Safe for use from several threads; each file is loaded once.</summary>
public sealed class KernelLibrary : IDisposable
{
    private readonly GpuDevice _device;
    private readonly KernelSourceSet _sources;
    private readonly ShippedKernels _shipped;
    private readonly KernelCache _cache;
    private readonly IKernelCompiler _compiler;
    private readonly ConcurrentDictionary<string, Lazy<LoadedFile>> _files = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();
    private GpuFunction?[] _functions = [];
    private bool _disposed;

    internal KernelLibrary(GpuDevice device)
        : this(device, KernelSourceSet.Embedded, ShippedKernels.Embedded, KernelCache.Default, Nvrtc.Compiler)
    {
    }

    /// <summary>Kernels without PTX made ahead: NVRTC compiles them when they are first used, and the disk cache keeps them.</summary>
    internal KernelLibrary(GpuDevice device, KernelSourceSet sources)
        : this(device, sources, ShippedKernels.None, KernelCache.Default, Nvrtc.Compiler)
    {
    }

    internal KernelLibrary(GpuDevice device, KernelSourceSet sources, ShippedKernels shipped, KernelCache cache, IKernelCompiler compiler)
    {
        _device = device;
        _sources = sources;
        _shipped = shipped;
        _cache = cache;
        _compiler = compiler;
    }

    /// <summary>The function of an entry; its file is loaded on first use.</summary>
    /// <exception cref="KernelCompilationException">The file must be compiled, and cannot be.</exception>
    /// <exception cref="GpuException">The device cannot load it.</exception>
    public GpuFunction GetFunction(KernelEntry entry)
    {
        LastCall = entry;
        return Find(entry);
    }

    /// <summary>
    /// What did the latest work on tensors: a <see cref="KernelEntry"/> or a library's name. It costs an assignment a launch, and
    /// lets a check that finds something wrong say which kernel ran before it.
    /// </summary>
    public object? LastCall { get; set; }

    private GpuFunction Find(KernelEntry entry)
    {
        var functions = Volatile.Read(ref _functions);
        return (uint)entry.Index < (uint)functions.Length && functions[entry.Index] is { } function ? function : AddFunction(entry);
    }

    /// <summary>The function of an entry by the names of its file and itself; its file is loaded on first use.</summary>
    /// <exception cref="KernelCompilationException">There is no such file, or it must be compiled and cannot be.</exception>
    /// <exception cref="GpuException">CUDA_ERROR_NOT_FOUND: there is no such entry. Or the device cannot load the file.</exception>
    public GpuFunction GetFunction(string file, string name) => Load(file).GetFunction(name);

    /// <summary>
    /// Loads kernels ahead on another thread, while the caller does something else, such as reading weights. An error is kept
    /// for whoever uses the kernel.
    /// </summary>
    public Task PreloadAsync(IEnumerable<KernelEntry> entries) => Task.Run(() =>
    {
        foreach (var entry in entries)
        {
            try
            {
                Find(entry);
            }
            catch (Exception exception) when (exception is KernelCompilationException or GpuException or ObjectDisposedException)
            {
                // The first launch says it again, to somebody who can act on it.
            }
        }
    });

    /// <summary>The module of a kernel file.</summary>
    public GpuModule GetModule(string file) => Load(file).Module;

    /// <summary>Where the code of a kernel file came from; loads it.</summary>
    public KernelOrigin OriginOf(string file) => Load(file).Origin;

    /// <summary>Finds the PTX of a kernel file for a compute capability, without a device.</summary>
    /// <exception cref="KernelCompilationException">It must be compiled, and cannot be.</exception>
    internal byte[] GetImage(string file, ComputeCapability capability, out KernelOrigin origin)
    {
        var source = _sources.Get(file);
        var target = source.TargetFor(capability);
        if (_shipped.TryGet(source, $"compute_{target}") is { } shipped)
        {
            origin = KernelOrigin.Shipped;
            return shipped;
        }

        if (_compiler.Version is not { } version)
        {
            throw new KernelCompilationException(
                file,
                $"kernels/{file} {(_shipped == ShippedKernels.None ? "comes without PTX" : "differs from the source of the shipped PTX")} and must be compiled, but NVRTC is missing\ninstall it: {Nvrtc.InstallHint}",
                "");
        }

        var architecture = $"compute_{ArchitectureOf(target, capability, file)}";
        var key = source.Hash(architecture, version);
        if (_cache.TryRead(key) is { } cached)
        {
            origin = KernelOrigin.Cache;
            return cached;
        }

        var image = _compiler.Compile(source, architecture);
        _cache.TryWrite(key, image);
        origin = KernelOrigin.Compiled;
        return image;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _functions = [];
        }

        foreach (var file in _files.Values)
        {
            if (file.IsValueCreated)
            {
                file.Value.Module.Dispose();
            }
        }

        _files.Clear();
    }

    /// <summary>A compiler that no longer knows the target (NVRTC 13 starts at compute_75) takes the next one that the device can run.</summary>
    private int ArchitectureOf(int target, ComputeCapability capability, string file)
    {
        var known = _compiler.Architectures;
        var chosen = known.Where(a => a >= target && a <= capability.Number).DefaultIfEmpty(-1).Min();
        return chosen >= 0
            ? chosen
            : throw new KernelCompilationException(
                file, $"kernels/{file} must be compiled for {capability}, which NVRTC {_compiler.Version} does not know (it knows {string.Join(", ", known)})", "");
    }

    private GpuFunction AddFunction(KernelEntry entry)
    {
        var function = Load(entry.File).GetFunction(entry.Name);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            // Readers take no lock: the array that they hold is never written to again.
            var functions = new GpuFunction?[Math.Max(_functions.Length, entry.Index + 1)];
            _functions.CopyTo(functions, 0);
            functions[entry.Index] ??= function;
            Volatile.Write(ref _functions, functions);
            return functions[entry.Index]!;
        }
    }

    private LoadedFile Load(string file)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        return _files.GetOrAdd(file, name => new(() =>
        {
            var image = GetImage(name, _device.Properties.ComputeCapability, out var origin);
            return new(_device.LoadModule(image), origin);
        })).Value;
    }

    private sealed record LoadedFile(GpuModule Module, KernelOrigin Origin)
    {
        private readonly ConcurrentDictionary<string, GpuFunction> _functions = new(StringComparer.Ordinal);

        public GpuFunction GetFunction(string name) => _functions.GetOrAdd(name, static (entry, module) => module.GetFunction(entry), Module);
    }
}
