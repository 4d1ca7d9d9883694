// Compiled code of a kernel: the fast method for one block shape and one set of forms, or the general method.
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>
/// The methods of a kernel, each compiled when it is first reached. RyuJIT stops optimising over some 60 KB of IL or a few
/// thousand locals and blocks, so that long kernels are several methods.
/// </summary>
internal sealed class CompiledVersion
{
    private const int MaxInstructionsPerMethod = 360;

    private readonly IrKernel _kernel;
    private readonly Func<nint, nint, int, int>?[] _methods;
    private readonly int[] _methodOf;
    private readonly int[] _firstOf;
    private readonly WarpOpTable _warpOps;

    /// <param name="kernel">What is compiled.</param>
    /// <param name="layout">Its frame.</param>
    /// <param name="forms">Forms of registers; null for the general method.</param>
    /// <param name="parameterBytes">Bytes of the parameter buffer.</param>
    /// <param name="previous">The version before some forms were given up: methods that they do not touch are taken over.</param>
    public CompiledVersion(IrKernel kernel, FrameLayout layout, LaneForm[]? forms, int parameterBytes, CompiledVersion? previous = null)
    {
        _kernel = kernel;
        _warpOps = previous?._warpOps ?? new WarpOpTable(kernel.Segments.Count);
        Constants = previous?.Constants ?? new ConstantPool();
        Layout = layout;
        Forms = forms;
        ParameterBytes = parameterBytes;
        _methodOf = new int[kernel.Segments.Count];
        var firsts = new List<int>();
        var instructions = int.MaxValue / 2;
        foreach (var segment in kernel.Segments)
        {
            var weight = segment.Instructions.Length + 4;
            if (instructions + weight > MaxInstructionsPerMethod)
            {
                firsts.Add(segment.Index);
                instructions = 0;
            }

            instructions += weight;
            _methodOf[segment.Index] = firsts.Count - 1;
        }

        _firstOf = [.. firsts, kernel.Segments.Count];
        _methods = new Func<nint, nint, int, int>?[firsts.Count];
        if (previous is not null)
        {
            TakeOver(previous);
        }
    }

    public FrameLayout Layout { get; }

    /// <summary>Forms of registers; null for the general method.</summary>
    public LaneForm[]? Forms { get; }

    public int ParameterBytes { get; }

    /// <summary>Constants that the code reads.</summary>
    public ConstantPool Constants { get; }

    /// <summary>Warp-level instructions by their number in the code.</summary>
    public WarpOp[] WarpOps => _warpOps.All;

    /// <summary>The warp-level instruction that is a segment.</summary>
    public WarpOp WarpOpOf(int segment) => _warpOps.OfSegment(segment);

    public int AddWarpOp(int segment, WarpOp operation) => _warpOps.Add(segment, operation);

    /// <summary>Runs from a segment on; the answer is a <see cref="Reason"/> and a segment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Run(nint context, nint frame, int segment)
    {
        var number = _methodOf[segment];
        var method = _methods[number] ?? Compile(number);
        return method(context, frame, segment);
    }

    /// <summary>Compiles the method that holds a segment, if that has not been done.</summary>
    public void Prepare(int segment)
    {
        if (_methods[_methodOf[segment]] is null)
        {
            System.Runtime.CompilerServices.RuntimeHelpers.PrepareDelegate(Compile(_methodOf[segment]));
        }
    }

    private void TakeOver(CompiledVersion previous)
    {
        for (var number = 0; number < _methods.Length; number++)
        {
            var isSame = true;
            for (var segment = _firstOf[number]; isSame && segment < _firstOf[number + 1]; segment++)
            {
                isSame = HasSameForms(_kernel.Segments[segment], previous);
            }

            if (isSame)
            {
                _methods[number] = Volatile.Read(ref previous._methods[number]);
            }
        }
    }

    private bool HasSameForms(Segment segment, CompiledVersion previous)
    {
        bool IsSame(Operand operand) => operand.Register is not { } register || Forms![register.Index].Same(previous.Forms![register.Index]);
        foreach (var instruction in segment.Instructions.Span)
        {
            if (!Array.TrueForAll(instruction.Sources, IsSame) || !Array.TrueForAll(instruction.Results, IsSame))
            {
                return false;
            }
        }

        return IsSame(segment.Block.Condition);
    }

    private Func<nint, nint, int, int> Compile(int number)
    {
        lock (_methods)
        {
            if (_methods[number] is { } done)
            {
                return done;
            }

            var first = _firstOf[number];
            var method = Emitter.Compile(_kernel, Layout, this, Forms, first, _firstOf[number + 1] - first);
            var compiled = method.CreateDelegate<Func<nint, nint, int, int>>();
            Volatile.Write(ref _methods[number], compiled);
            return compiled;
        }
    }
}

/// <summary>The warp-level instructions of compiled code, by number and by segment. It only grows.</summary>
internal sealed class WarpOpTable(int segments)
{
    private readonly WarpOp?[] _ofSegment = new WarpOp?[segments];
    private readonly Lock _gate = new();
    private WarpOp[] _all = [];
    private int _count;

    public WarpOp[] All => Volatile.Read(ref _all);

    public WarpOp OfSegment(int segment) => Volatile.Read(ref _ofSegment[segment])!;

    public int Add(int segment, WarpOp operation)
    {
        lock (_gate)
        {
            var grown = _all;
            if (_count == grown.Length)
            {
                Array.Resize(ref grown, Math.Max(8, 2 * grown.Length));
            }

            grown[_count] = operation;
            Volatile.Write(ref _all, grown);
            Volatile.Write(ref _ofSegment[segment], operation);
            return _count++;
        }
    }
}

/// <summary>Memory with constants, at addresses that stay.</summary>
internal sealed unsafe class ConstantPool
{
    private const int BlockBytes = 16 * 1024;

    private readonly Dictionary<(LanePattern, char), nint> _places = [];
    private readonly List<byte[]> _blocks = [];
    private int _used = BlockBytes;

    /// <summary>32 numbers of 32 bits.</summary>
    public nint Add32(LanePattern pattern) => Add(pattern, 'i', 128, static (p, to) =>
    {
        for (var lane = 0; lane < 32; lane++)
        {
            ((int*)to)[lane] = unchecked((int)p.Lanes[lane]);
        }
    });

    /// <summary>32 numbers of 64 bits.</summary>
    public nint Add64(LanePattern pattern) => Add(pattern, 'l', 256, static (p, to) => p.Lanes.CopyTo(new Span<long>((void*)to, 32)));

    /// <summary>The values of lanes 0, 8, 16 and 24, of 64 bits.</summary>
    public nint AddGroupStarts(LanePattern pattern) => Add(pattern, 'g', 32, static (p, to) =>
    {
        for (var group = 0; group < 4; group++)
        {
            ((long*)to)[group] = p.Lanes[group * 8];
        }
    });

    /// <summary>32 distances from the first lane of each one's group, of 32 bits.</summary>
    public nint AddDistances(LanePattern pattern) => Add(pattern, 'd', 128, static (p, to) =>
    {
        for (var lane = 0; lane < 32; lane++)
        {
            ((int*)to)[lane] = (int)(p.Lanes[lane] - p.Lanes[lane & ~7]);
        }
    });

    private nint Add(LanePattern pattern, char kind, int bytes, Action<LanePattern, nint> write)
    {
        lock (_places)
        {
            return AddLocked(pattern, kind, bytes, write);
        }
    }

    private nint AddLocked(LanePattern pattern, char kind, int bytes, Action<LanePattern, nint> write)
    {
        if (_places.TryGetValue((pattern, kind), out var place))
        {
            return place;
        }

        if (_used + bytes > BlockBytes - 64)
        {
            _blocks.Add(GC.AllocateArray<byte>(BlockBytes, pinned: true));
            _used = 0;
        }

        fixed (byte* start = _blocks[^1])
        {
            place = ((nint)start + _used + 63) & ~63;
            _used = (int)(place - (nint)start) + bytes;
        }

        write(pattern, place);
        _places.Add((pattern, kind), place);
        return place;
    }
}
