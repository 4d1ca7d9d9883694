// One entry of a PTX module, compiled to .NET when it is first launched with a block shape.
using System.Collections.Concurrent;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>A kernel that can be launched. Safe to use from several threads.</summary>
internal sealed class KernelProgram
{
    private readonly ConcurrentDictionary<Dim3, FastVersion> _fast = new();
    private readonly Lazy<CompiledVersion> _general;

    private KernelProgram(IrKernel kernel, PtxFunction entry, PtxModule module)
    {
        Kernel = kernel;
        Name = entry.Name;
        StaticSharedMemory = kernel.StaticShared;
        LocalMemory = kernel.LocalBytes;
        ConstantMemory = (int)Math.Min(int.MaxValue, module.Variables.Where(v => v.IsConstant).Sum(v => v.Bytes));
        MaxThreads = entry.MaxThreads;
        RequiredThreads = entry.RequiredThreads;
        var (_, bytes) = Lowering.LayOutParameters(entry);
        ParameterBytes = bytes;
        Layout = new FrameLayout(kernel);
        _general = new Lazy<CompiledVersion>(() => new CompiledVersion(kernel, Layout, forms: null, bytes));
        Specials = [.. kernel.Registers.Where(r => r.Special != SpecialValue.None)];
        BlockSpecials = [.. Specials.Where(r => r.Special is SpecialValue.CtaidX or SpecialValue.CtaidY or SpecialValue.CtaidZ)];
    }

    /// <summary>The entry's name.</summary>
    public string Name { get; }

    /// <summary>Shared memory in bytes that the kernel declares.</summary>
    public int StaticSharedMemory { get; }

    /// <summary>Local memory in bytes a thread.</summary>
    public int LocalMemory { get; }

    /// <summary>Bytes of the module's constant variables.</summary>
    public int ConstantMemory { get; }

    /// <summary>Most threads a block by <c>.maxntid</c>, or 0 where it does not say.</summary>
    public int MaxThreads { get; }

    /// <summary>Threads along each axis that <c>.reqntid</c> demands, or null.</summary>
    public Dim3? RequiredThreads { get; }

    /// <summary>Bytes of the parameter buffer.</summary>
    public int ParameterBytes { get; }

    internal IrKernel Kernel { get; }

    internal FrameLayout Layout { get; }

    /// <summary>Registers that hold special values.</summary>
    internal IrRegister[] Specials { get; }

    /// <summary>Those that differ from block to block.</summary>
    internal IrRegister[] BlockSpecials { get; }

    internal CompiledVersion General => _general.Value;

    /// <summary>Prepares an entry of a module.</summary>
    /// <exception cref="GpuException">CUDA_ERROR_NOT_FOUND: no such entry; CUDA_ERROR_NOT_SUPPORTED: an instruction that the virtual GPU does not know, with its PTX line.</exception>
    public static KernelProgram Create(PtxModule module, string entry)
    {
        var function = module.FindFunction(entry);
        if (function is not { IsEntry: true, HasBody: true })
        {
            throw new GpuException(CudaResult.CUDA_ERROR_NOT_FOUND, $"the module has no kernel {entry}");
        }

        return new KernelProgram(Lowering.Lower(module, function), function, module);
    }

    /// <summary>Runs the whole grid and returns when it is done.</summary>
    /// <exception cref="GpuException">The kernel failed: CUDA_ERROR_ILLEGAL_ADDRESS, CUDA_ERROR_MISALIGNED_ADDRESS, CUDA_ERROR_LAUNCH_FAILED, CUDA_ERROR_ASSERT.</exception>
    public void Run(KernelLaunch launch)
    {
        var blocks = launch.Grid.Count;
        var workers = launch.Workers is { } pool && blocks > 1 ? (int)Math.Min(pool.Threads, blocks) : 1;
        var queue = new BlockQueue(launch.Grid, launch.OrderSeed);
        if (workers == 1)
        {
            RunBlocks(launch, queue);
        }
        else
        {
            launch.Workers!.Run(workers, _ => RunBlocks(launch, queue));
        }
    }

    /// <summary>The fast method for a block shape.</summary>
    internal FastVersion FastFor(Dim3 block) => _fast.GetOrAdd(block, static (shape, program) => new FastVersion(program, shape), this);

    private void RunBlocks(KernelLaunch launch, BlockQueue queue)
    {
        using var worker = new BlockWorker(this, launch, queue);
        try
        {
            worker.Run();
        }
        catch
        {
            queue.Stop();
            throw;
        }
    }
}

/// <summary>The fast method of a kernel for one block shape, as far as its forms have held.</summary>
internal sealed class FastVersion(KernelProgram program, Dim3 block)
{
    private readonly Lock _gate = new();
    private readonly HashSet<int> _givenUp = [];
    private CompiledVersion? _current;

    public CompiledVersion Current
    {
        get
        {
            var current = Volatile.Read(ref _current);
            if (current is not null)
            {
                return current;
            }

            lock (_gate)
            {
                return _current ??= Make();
            }
        }
    }

    /// <summary>Compiles anew with registers as varying whose form did not hold.</summary>
    public void GiveUp(IEnumerable<int> registers)
    {
        lock (_gate)
        {
            var count = _givenUp.Count;
            _givenUp.UnionWith(registers);
            if (_givenUp.Count != count)
            {
                Volatile.Write(ref _current, Make());
            }
        }
    }

    private CompiledVersion Make()
        => new(program.Kernel, program.Layout, FormAnalysis.Analyse(program.Kernel, block, _givenUp), program.ParameterBytes, _current);
}

/// <summary>Hands out a grid's blocks, in ascending order or in one drawn from a seed.</summary>
internal sealed class BlockQueue(Dim3 grid, ulong? seed)
{
    private readonly long _count = grid.Count;
    private long _next;
    private volatile bool _isStopped;

    /// <summary>Another worker failed, so that what a block waits for may never come.</summary>
    public bool IsStopped => _isStopped;

    public bool TryTake(out Dim3 block)
    {
        var number = Interlocked.Increment(ref _next) - 1;
        if (number >= _count || number < 0)
        {
            block = default;
            return false;
        }

        var place = seed is { } s ? Permuted(number, s) : number;
        block = new Dim3((int)(place % grid.X), (int)(place / grid.X % grid.Y), (int)(place / grid.X / grid.Y));
        return true;
    }

    /// <summary>No block is started any more.</summary>
    public void Stop()
    {
        _isStopped = true;
        Interlocked.Exchange(ref _next, long.MaxValue / 2);
    }

    // A bijection of the numbers below the count: an affine map modulo the next power of two, walked until it lands below.
    private long Permuted(long number, ulong s)
    {
        var size = System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)_count);
        var factor = (Mix(s) << 2) | 1;
        var offset = Mix(s + 1);
        var place = (ulong)number;
        do
        {
            place = unchecked((place * factor) + offset) & (size - 1);
            place ^= place >> 1 & (size - 1) >> 1;
        }
        while (place >= (ulong)_count);
        return (long)place;
    }

    /// <summary>SplitMix64's finaliser.</summary>
    public static ulong Mix(ulong x)
    {
        unchecked
        {
            x += 0x9E3779B97F4A7C15;
            x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
            x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
            return x ^ (x >> 31);
        }
    }
}
