// Runs blocks on one host thread: their warps in turn, their barriers, and further blocks beside them while warps only spin.
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>One worker of a launch.</summary>
internal sealed unsafe class BlockWorker : IDisposable
{
    // Back edges before a warp lets others run, and blocks that one worker keeps resident when all of them only spin.
    private const int Fuel = 20_000;
    private const int MaxResident = 1024;

    // The schedule runs between any two pieces of compiled code; it must not start out unoptimised.
    private const MethodImplOptions Hot = MethodImplOptions.AggressiveOptimization;

    private readonly KernelProgram _program;
    private readonly KernelLaunch _launch;
    private readonly BlockQueue _queue;
    private readonly FrameLayout _layout;
    private readonly FastVersion? _fast;
    private readonly GCHandle _handle;
    private readonly WarpContext* _context;
    private readonly Stack<ResidentBlock> _idle = [];
    private readonly WorkerArena _arena = WorkerArena.Rent();
    private readonly int _warps;
    private readonly int _threads;
    private readonly int _sharedBytes;
    private ResidentBlock _block = null!;
    private WarpState _warp = null!;

    public BlockWorker(KernelProgram program, KernelLaunch launch, BlockQueue queue)
    {
        _program = program;
        _launch = launch;
        _queue = queue;
        _layout = program.Layout;
        _threads = (int)launch.Block.Count;
        _warps = (_threads + 31) / 32;
        _sharedBytes = program.StaticSharedMemory + launch.DynamicSharedMemory;
        _fast = launch.Method == ExecutionMethod.Auto && _threads >= 32 ? program.FastFor(launch.Block) : null;
        Version = program.General;
        _handle = GCHandle.Alloc(this);

        // Some bytes more than there are parameters: the last may be read as a part of a vector.
        var parameterBytes = Math.Max(program.ParameterBytes, launch.Parameters.Length) + 64;
        var parameters = Allocate(parameterBytes);
        launch.Parameters.Span.CopyTo(new Span<byte>((void*)parameters, parameterBytes));
        _context = (WarpContext*)Allocate(sizeof(WarpContext));
        *_context = default;
        _context->Parameters = parameters;
        _context->ParametersEnd = _context->Parameters + program.ParameterBytes;
        var siteBytes = Math.Max(1, program.Kernel.Sites) * 16;
        _context->Sites = Allocate(siteBytes);
        new Span<byte>((void*)_context->Sites, siteBytes).Clear();
        _context->HeaderBytes = _layout.HeaderBytes;
        _context->GroupBytes = _layout.GroupBytes;
        _context->LocalBytes = program.LocalMemory;
        _context->Worker = GCHandle.ToIntPtr(_handle);
    }

    /// <summary>The code that is running.</summary>
    public CompiledVersion Version { get; private set; }

    public IDeviceMemory Memory => _launch.Memory;

    public void Print(string text)
    {
        if (_launch.Print is { } print)
        {
            print(text);
        }
        else
        {
            Console.Out.Write(text);
        }
    }

    /// <summary>Names a lane of the running warp for a message.</summary>
    public string DescribeThread(int lane)
    {
        var thread = (_warp.Index * 32) + lane;
        var block = _launch.Block;
        return $"kernel {_program.Name}, block {_block.Position}, thread ({thread % block.X}, {thread / block.X % block.Y}, {thread / block.X / block.Y})";
    }

    public void Dispose()
    {
        _arena.Return();
        _handle.Free();
    }

    /// <summary>Runs blocks until the queue is empty.</summary>
    [MethodImpl(Hot)]
    public void Run()
    {
        var resident = new List<ResidentBlock>();
        var more = true;
        var crowded = false;
        while (true)
        {
            if (more && (resident.Count == 0 || (crowded && resident.Count < MaxResident)))
            {
                more = _queue.TryTake(out var position);
                if (more)
                {
                    resident.Add(Start(position));
                }
            }

            if (resident.Count == 0)
            {
                return;
            }

            // All warps of all resident blocks once; if none ended or came to a barrier, another block may be what they wait for.
            var progress = false;
            for (var i = 0; i < resident.Count; i++)
            {
                progress |= RunOnce(resident[i]);
                if (resident[i].Living == 0)
                {
                    _idle.Push(resident[i]);
                    resident.RemoveAt(i--);
                    progress = true;
                }
            }

            crowded = !progress;
            if (crowded && _queue.IsStopped)
            {
                return;
            }

            if (crowded && !more)
            {
                Thread.Yield();
            }
        }
    }

    private nint Allocate(long bytes) => _arena.Take(bytes);

    // ---- blocks

    [MethodImpl(Hot)]
    private ResidentBlock Start(Dim3 position)
    {
        if (!_idle.TryPop(out var block))
        {
            block = new ResidentBlock
            {
                Shared = Allocate(_sharedBytes + 64),
                Warps = new WarpState[_warps],
                Barriers = _arena.TakeBarriers(),
            };
            var local = _program.LocalMemory == 0 ? 0 : Allocate((long)_warps * 32 * _program.LocalMemory);
            for (var i = 0; i < _warps; i++)
            {
                block.Warps[i] = _arena.TakeWarp(i, frame: Allocate(_layout.Bytes), local + (i * 32 * _program.LocalMemory));
                new Span<byte>((void*)block.Warps[i].Frame, _layout.Bytes).Clear();
            }
        }

        block.Position = position;
        block.Living = _threads;
        foreach (ref var barrier in block.Barriers.AsSpan())
        {
            barrier.Reset();
        }

        // What shared memory starts with is undefined: zeros, or a NaN pattern where the order is seeded too.
        new Span<byte>((void*)block.Shared, _sharedBytes).Fill(_launch.OrderSeed is null ? (byte)0 : (byte)0xFF);
        var order = _launch.OrderSeed is { } seed ? (int)(BlockQueue.Mix(seed ^ (ulong)position.X) % (ulong)_warps) : 0;
        block.FirstWarp = order;
        _block = block;
        foreach (var warp in block.Warps)
        {
            StartWarp(warp);
        }

        return block;
    }

    [MethodImpl(Hot)]
    private void StartWarp(WarpState warp)
    {
        var living = Math.Min(32, _threads - (warp.Index * 32));
        warp.Alive = living == 32 ? uint.MaxValue : (1u << living) - 1;
        warp.Waiting = 0;
        warp.Parked = 0;
        warp.Blocked = 0;
        warp.MustStep = false;
        warp.Segment = 0;
        warp.IsConverged = _fast is not null && living == 32;
        warp.Version = warp.IsConverged ? _fast!.Current : null;
        Array.Clear(warp.Lanes);
        _warp = warp;
        foreach (var register in warp.IsPrepared ? _program.BlockSpecials : _program.Specials)
        {
            SetSpecial(warp, register);
        }

        warp.IsPrepared = true;
    }

    // Special registers are never written by a program. Those that differ from block to block are set for each; the others once.
    private void SetSpecial(WarpState warp, IrRegister register)
    {
        if (SpecialValues.IsOfThread(register.Special))
        {
            var bias = register.Special == SpecialValue.LocalBase ? warp.Local : 0;
            for (var lane = 0; lane < 32; lane++)
            {
                var ofLane = SpecialValues.OfThread(register.Special, _launch.Block, warp.Index, lane, _program.LocalMemory) + bias;
                SetLane(warp, register, lane, ofLane);
                if (lane == 0)
                {
                    *(long*)(warp.Frame + _layout.Uniform(register)) = ofLane;
                }
            }

            return;
        }

        var value = ValueOf(register, warp);
        *(long*)(warp.Frame + _layout.Uniform(register)) = value;
        if (warp.Version is { } version && version.Forms![register.Index].IsScalar)
        {
            // The lanes are written where the fast method is left.
            return;
        }

        for (var lane = 0; lane < 32; lane++)
        {
            SetLane(warp, register, lane, value);
        }
    }

    private long ValueOf(IrRegister register, WarpState warp) => register.Special switch
    {
        SpecialValue.NtidX => _launch.Block.X,
        SpecialValue.NtidY => _launch.Block.Y,
        SpecialValue.NtidZ => _launch.Block.Z,
        SpecialValue.CtaidX => _block.Position.X,
        SpecialValue.CtaidY => _block.Position.Y,
        SpecialValue.CtaidZ => _block.Position.Z,
        SpecialValue.NctaidX => _launch.Grid.X,
        SpecialValue.NctaidY => _launch.Grid.Y,
        SpecialValue.NctaidZ => _launch.Grid.Z,
        SpecialValue.WarpId => warp.Index,
        SpecialValue.WarpCount => _warps,
        SpecialValue.SmCount => _launch.Properties.MultiprocessorCount,
        SpecialValue.DynamicSharedBytes => _launch.DynamicSharedMemory,
        SpecialValue.TotalSharedBytes => _sharedBytes,
        SpecialValue.SharedBase => _block.Shared,
        SpecialValue.Variable => register.Symbol == Lowering.DynamicSharedSymbol ? _program.StaticSharedMemory : (long)_launch.Variables[register.Symbol!],

        // The virtual multiprocessor and grid have no number of their own.
        _ => 0,
    };

    [MethodImpl(Hot)]
    private void SetLane(WarpState warp, IrRegister register, int lane, long value)
    {
        var place = warp.Frame + _layout.HeaderBytes + ((lane >> 3) * _layout.GroupBytes) + _layout.Lanes(register);
        if (register.IsWide)
        {
            ((long*)place)[lane & 7] = value;
        }
        else
        {
            ((int*)place)[lane & 7] = unchecked((int)value);
        }
    }

    // ---- warps

    // Runs each warp of a block that can run; true where one ended or came to a barrier.
    [MethodImpl(Hot)]
    private bool RunOnce(ResidentBlock block)
    {
        _block = block;
        _context->SharedLow = block.Shared;
        _context->SharedHigh = block.Shared + _sharedBytes;
        var progress = false;
        var any = false;
        for (var i = 0; i < block.Warps.Length; i++)
        {
            var warp = block.Warps[(i + block.FirstWarp) % block.Warps.Length];
            while (warp.Alive != warp.Waiting)
            {
                any = true;
                if (!RunWarp(warp))
                {
                    break;
                }

                progress = true;
            }
        }

        if (!any && block.Living > 0)
        {
            ThrowAtBarrier(block);
        }

        return progress;
    }

    // False where the warp only looped until its fuel was used up.
    [MethodImpl(Hot)]
    private bool RunWarp(WarpState warp)
    {
        _warp = warp;
        _context->Frame = warp.Frame;
        _context->LocalLow = warp.Local;
        _context->LocalHigh = warp.Local + (32 * _program.LocalMemory);
        _context->Fuel = Fuel;
        _context->Granted = -1;
        while (true)
        {
            var stop = warp.IsConverged ? StepFast(warp) : StepGeneral(warp);
            if (stop is { } progress)
            {
                return progress;
            }
        }
    }

    // One call of the fast method. Null to go on; else whether the warp has got somewhere.
    [MethodImpl(Hot)]
    private bool? StepFast(WarpState warp)
    {
        var current = _fast!.Current;
        if (!ReferenceEquals(warp.Version, current))
        {
            // Forms were given up while the warp slept.
            LeaveFast(warp, _program.Kernel.Segments[warp.Segment].LiveRegisters);
            SetAllLanes(warp, warp.Segment);
            return null;
        }

        Version = current;
        _context->Mask = uint.MaxValue;
        _context->Alive = uint.MaxValue;
        var answer = current.Run((nint)_context, warp.Frame, warp.Segment);
        var segment = answer & 0xFFFFFF;
        switch ((Reason)(answer >> 24))
        {
            case Reason.Continue:
                warp.Segment = segment;
                return null;
            case Reason.Exit:
                End(warp, uint.MaxValue);
                return true;
            case Reason.Barrier:
                warp.Segment = segment;
                Arrive(warp, segment, uint.MaxValue);
                return true;
            case Reason.Yield:
                warp.Segment = segment;
                return false;
            case Reason.Leave:
                LeaveFast(warp, _program.Kernel.Segments[segment].LiveRegisters);
                SetAllLanes(warp, segment);
                warp.MustStep = true;
                return null;
            default:
                var last = _program.Kernel.Segments[segment];
                if (last.Detour is { } detour)
                {
                    TakeDetour(warp, detour, _context->Taken);
                    return null;
                }

                LeaveFast(warp, last.LiveOutRegisters);
                Part(warp, last.Block, uint.MaxValue, _context->Taken);
                return null;
        }
    }

    // Lanes part for a block or two: the general method does these, and the warp stays with the fast one.
    [MethodImpl(Hot)]
    private void TakeDetour(WarpState warp, Detour detour, uint taken)
    {
        WriteLanes(warp, detour.Touched);
        Version = _program.General;
        _context->LowestOther = detour.Join;
        foreach (var (segment, ofTaken) in detour.Arms)
        {
            var mask = ofTaken ? taken : ~taken;
            _context->Mask = mask;
            SetMask(warp, mask);
            for (var at = segment; at < detour.Join;)
            {
                at = Version.Run((nint)_context, warp.Frame, at) & 0xFFFFFF;
            }
        }

        warp.Segment = detour.Join;
        if (FindFailed(warp, warp.Version!, detour.Changed) is { } failed)
        {
            LeaveFast(warp, [.. _program.Kernel.Segments[detour.Join].LiveRegisters.Except(detour.Changed)]);
            SetAllLanes(warp, detour.Join);
            _fast!.GiveUp(failed);
        }
    }

    private static void SetAllLanes(WarpState warp, int segment) => Array.Fill(warp.Lanes, segment);

    [MethodImpl(Hot)]
    private static void Part(WarpState warp, IrBlock block, uint mask, uint taken)
    {
        var to = block.Taken!.Segments[0].Index;
        var next = block.Next!.Segments[0].Index;
        for (; mask != 0; mask &= mask - 1)
        {
            var lane = BitOperations.TrailingZeroCount(mask);
            warp.Lanes[lane] = (taken >> lane & 1) != 0 ? to : next;
        }
    }

    // One call of the general method, for the lanes at the lowest segment.
    [MethodImpl(Hot)]
    private bool? StepGeneral(WarpState warp)
    {
        var ready = warp.Alive & ~warp.Waiting & ~warp.Parked & ~warp.Blocked;
        if (ready == 0)
        {
            if (warp.Alive == warp.Waiting)
            {
                return true;
            }

            if (warp.Parked != 0)
            {
                warp.Parked = 0;
                warp.Blocked = 0;
                return false;
            }

            ThrowAtWarpSync(warp);
        }

        var lowest = int.MaxValue;
        for (var bits = ready; bits != 0; bits &= bits - 1)
        {
            lowest = Math.Min(lowest, warp.Lanes[BitOperations.TrailingZeroCount(bits)]);
        }

        uint mask = 0;
        var other = int.MaxValue;
        for (var bits = warp.Alive & ~warp.Waiting; bits != 0; bits &= bits - 1)
        {
            var lane = BitOperations.TrailingZeroCount(bits);
            var at = warp.Lanes[lane];
            if (at == lowest)
            {
                mask |= 1u << lane;
            }
            else
            {
                other = Math.Min(other, at);
            }
        }

        if (mask == uint.MaxValue && _fast is not null)
        {
            if (!warp.MustStep)
            {
                EnterFast(warp, lowest);
                return null;
            }

            // The converged warp goes no further here than it must.
            other = 0;
        }

        return RunGeneral(warp, mask, lowest, other);
    }

    [MethodImpl(Hot)]
    private bool? RunGeneral(WarpState warp, uint mask, int segment, int lowestOther)
    {
        warp.MustStep = false;
        Version = _program.General;
        _context->Mask = mask;
        _context->Alive = warp.Alive;
        _context->LowestOther = lowestOther;
        SetMask(warp, mask);
        var answer = Version.Run((nint)_context, warp.Frame, segment);
        var at = answer & 0xFFFFFF;
        switch ((Reason)(answer >> 24))
        {
            case Reason.Continue:
                Move(warp, mask, at);
                break;
            case Reason.Exit:
                warp.Blocked = 0;
                End(warp, mask);
                return warp.Alive == 0 ? true : null;
            case Reason.Barrier:
                Move(warp, mask, at);
                Arrive(warp, at, mask);
                break;
            case Reason.Yield:
                Move(warp, mask, at);
                warp.Parked |= mask;
                _context->Fuel = Fuel;
                return null;
            case Reason.WarpSync:
                Move(warp, mask, at);

                // Lanes that came earlier, and wait here, count too: groups of a warp may arrive one after the other.
                var present = mask;
                for (var bits = warp.Blocked & warp.Alive; bits != 0; bits &= bits - 1)
                {
                    var lane = BitOperations.TrailingZeroCount(bits);
                    present |= warp.Lanes[lane] == at ? 1u << lane : 0;
                }

                var granted = Gathered(warp, present, at);
                if (granted != 0)
                {
                    warp.Blocked &= ~granted;
                    _context->Granted = at;
                    return RunGeneral(warp, granted, at, 0);
                }

                warp.Blocked |= mask;
                return null;
            default:
                Part(warp, _program.Kernel.Segments[at].Block, mask, _context->Taken);
                break;
        }

        warp.Blocked = 0;
        return null;
    }

    [MethodImpl(Hot)]
    private static void Move(WarpState warp, uint mask, int segment)
    {
        for (; mask != 0; mask &= mask - 1)
        {
            warp.Lanes[BitOperations.TrailingZeroCount(mask)] = segment;
        }
    }

    // The lanes that may do a warp-level instruction together: all living ones that the first lane's member mask names.
    private uint Gathered(WarpState warp, uint mask, int segment)
    {
        var operation = Version.WarpOpOf(segment);
        var lanes = new WarpLanes(warp.Frame, _layout.HeaderBytes, _layout.GroupBytes);
        for (var bits = mask; bits != 0; bits &= bits - 1)
        {
            var members = (uint)lanes.Get32(operation.Sources[^1], BitOperations.TrailingZeroCount(bits)) & warp.Alive;
            if ((members & ~mask) == 0 && members != 0)
            {
                return members;
            }
        }

        return 0;
    }

    [MethodImpl(Hot)]
    private void SetMask(WarpState warp, uint mask)
    {
        var place = warp.Frame + _layout.HeaderBytes;
        var bit = Vector256.Create(1, 2, 4, 8, 16, 32, 64, 128);
        for (var group = 0; group < FrameLayout.Groups; group++)
        {
            var bits = (int)(mask >> (8 * group) & 0xFF);
            Vector256.Equals(Vector256.Create(bits) & bit, bit).Store((int*)(place + FrameLayout.MaskOffset));
            *(int*)(place + FrameLayout.MaskBitsOffset) = bits;
            place += _layout.GroupBytes;
        }
    }

    [MethodImpl(Hot)]
    private void End(WarpState warp, uint mask)
    {
        warp.Alive &= ~mask;
        warp.Parked &= warp.Alive;
        _block.Living -= BitOperations.PopCount(mask);

        // A barrier waits for the living alone.
        for (var id = 0; _block.Living > 0 && id < _block.Barriers.Length; id++)
        {
            TryRelease(id);
        }
    }

    // ---- forms

    [MethodImpl(Hot)]
    private void LeaveFast(WarpState warp, IrRegister[] registers)
    {
        WriteLanes(warp, registers);
        warp.IsConverged = false;
        warp.Version = null;
    }

    // Writes out as lanes what the fast method kept as scalars.
    [MethodImpl(Hot)]
    private void WriteLanes(WarpState warp, IrRegister[] registers)
    {
        var forms = warp.Version!.Forms!;
        foreach (var register in registers)
        {
            var form = forms[register.Index];
            if (form.IsVarying)
            {
                continue;
            }

            var scalar = form.Constant ?? *(long*)(warp.Frame + _layout.Uniform(register));
            var place = warp.Frame + _layout.HeaderBytes + _layout.Lanes(register);
            if (register.IsWide)
            {
                var value = Vector256.Create(scalar);
                for (var lane = 0; lane < 32; lane += FrameLayout.LanesPerGroup, place += _layout.GroupBytes)
                {
                    (value + DistancesAt(form.Pattern, lane)).Store((long*)place);
                    (value + DistancesAt(form.Pattern, lane + 4)).Store((long*)place + 4);
                }
            }
            else
            {
                var value = Vector256.Create(unchecked((int)scalar));
                for (var lane = 0; lane < 32; lane += FrameLayout.LanesPerGroup, place += _layout.GroupBytes)
                {
                    (value + Distances32At(form.Pattern, lane)).Store((int*)place);
                }
            }
        }
    }

    // What a pattern adds in four lanes, or in the eight of a group.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<long> DistancesAt(LanePattern? pattern, int lane)
        => pattern is null ? Vector256<long>.Zero : Vector256.Create(pattern.Lanes.AsSpan(lane, 4));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Distances32At(LanePattern? pattern, int lane)
        => pattern is null ? Vector256<int>.Zero : Vector256.Narrow(DistancesAt(pattern, lane), DistancesAt(pattern, lane + 4));

    // Checks that registers have their forms; those that have not are given up.
    [MethodImpl(Hot)]
    private void EnterFast(WarpState warp, int segment)
    {
        while (true)
        {
            var version = _fast!.Current;
            var failed = FindFailed(warp, version, _program.Kernel.Segments[segment].LiveRegisters);
            if (failed is null)
            {
                warp.IsConverged = true;
                warp.Segment = segment;
                warp.Version = version;
                return;
            }

            _fast.GiveUp(failed);
        }
    }

    // Makes scalars of registers that have a form, and names those that turn out not to.
    [MethodImpl(Hot)]
    private List<int>? FindFailed(WarpState warp, CompiledVersion version, IrRegister[] registers)
    {
        List<int>? failed = null;
        foreach (var register in registers)
        {
            var form = version.Forms![register.Index];
            if (!form.IsVarying && !TryMakeScalar(warp, register, form))
            {
                (failed ??= []).Add(register.Index);
            }
        }

        return failed;
    }

    [MethodImpl(Hot)]
    private bool TryMakeScalar(WarpState warp, IrRegister register, LaneForm form)
    {
        var place = warp.Frame + _layout.HeaderBytes + _layout.Lanes(register);
        var uniform = (long*)(warp.Frame + _layout.Uniform(register));
        if (register.IsWide)
        {
            var first = *(long*)place - LanePattern.At(form.Pattern, 0);
            var same = Vector256.Create(first);
            for (var lane = 0; lane < 32; lane += FrameLayout.LanesPerGroup, place += _layout.GroupBytes)
            {
                if (Vector256.Load((long*)place) - DistancesAt(form.Pattern, lane) != same
                    || Vector256.Load((long*)place + 4) - DistancesAt(form.Pattern, lane + 4) != same)
                {
                    return false;
                }
            }

            *uniform = first;
            return form.Constant is not { } constant || constant == first;
        }

        var start = unchecked(*(int*)place - (int)LanePattern.At(form.Pattern, 0));
        var all = Vector256.Create(start);
        for (var lane = 0; lane < 32; lane += FrameLayout.LanesPerGroup, place += _layout.GroupBytes)
        {
            if (Vector256.Load((int*)place) - Distances32At(form.Pattern, lane) != all)
            {
                return false;
            }
        }

        *uniform = start;
        return form.Constant is not { } known || unchecked((int)known) == start;
    }

    // ---- barriers

    [MethodImpl(Hot)]
    private void Arrive(WarpState warp, int segment, uint mask)
    {
        var operation = Version.WarpOpOf(segment);
        var instruction = operation.Instruction;
        var lanes = new WarpLanes(warp.Frame, _layout.HeaderBytes, _layout.GroupBytes);
        var lane = BitOperations.TrailingZeroCount(mask);
        var id = lanes.Get32(operation.Sources[0], lane);
        if ((uint)id >= (uint)_block.Barriers.Length)
        {
            throw new GpuException(CudaResult.CUDA_ERROR_LAUNCH_FAILED, $"{DescribeThread(lane)} named barrier {id}; there are {_block.Barriers.Length}");
        }

        ref var barrier = ref _block.Barriers[id];
        var isReduction = instruction.Opcode.Variant == 2;
        var hasCount = operation.Sources.Length > (isReduction ? 2 : 1);
        barrier.Arrived += BitOperations.PopCount(mask);
        barrier.Expected = hasCount ? lanes.Get32(operation.Sources[1], lane) : 0;
        if (isReduction)
        {
            var votes = 0;
            var negated = instruction.Sources[^1].Negated;
            for (var bits = mask; bits != 0; bits &= bits - 1)
            {
                votes += lanes.Get32(operation.Sources[^1], BitOperations.TrailingZeroCount(bits)) != 0 != negated ? 1 : 0;
            }

            barrier.Votes += votes;
        }

        if (instruction.Opcode.Variant == 1)
        {
            // An arrival alone does not wait.
            Resume(warp, mask, segment + 1);
        }
        else
        {
            warp.Waiting |= mask;
            (barrier.Waiting ??= []).Add((warp, mask, segment));
        }

        TryRelease(id);
    }

    private static void Resume(WarpState warp, uint mask, int segment)
    {
        if (warp.IsConverged)
        {
            warp.Segment = segment;
        }
        else
        {
            Move(warp, mask, segment);
        }
    }

    [MethodImpl(Hot)]
    private void TryRelease(int id)
    {
        ref var barrier = ref _block.Barriers[id];
        if (barrier.Arrived == 0 || barrier.Arrived < (barrier.Expected != 0 ? Math.Min(barrier.Expected, _block.Living) : _block.Living))
        {
            return;
        }

        var (arrived, votes) = (barrier.Arrived, barrier.Votes);
        foreach (var (warp, mask, segment) in CollectionsMarshal.AsSpan(barrier.Waiting))
        {
            warp.Waiting &= ~mask;
            warp.Blocked = 0;
            var version = warp.IsConverged ? warp.Version! : _program.General;
            var operation = version.WarpOpOf(segment);
            var opcode = operation.Instruction.Opcode;
            if (opcode.Variant == 2 && operation.Results[0] >= 0)
            {
                var value = opcode.Atom switch
                {
                    AtomOp.And => votes == arrived ? -1 : 0,
                    AtomOp.Or => votes > 0 ? -1 : 0,
                    _ => votes,
                };
                var register = operation.Instruction.Results[0].Register!;
                new WarpLanes(warp.Frame, _layout.HeaderBytes, _layout.GroupBytes).Broadcast32(operation.Results[0], mask, value);
                *(long*)(warp.Frame + _layout.Uniform(register)) = value;
            }

            Resume(warp, mask, segment + 1);
        }

        barrier.Reset();
    }

    // ---- errors of the schedule

    private void ThrowAtBarrier(ResidentBlock block)
    {
        for (var id = 0; id < block.Barriers.Length; id++)
        {
            if (block.Barriers[id].Waiting is { Count: > 0 } waiting)
            {
                var (warp, mask, segment) = waiting[0];
                _warp = warp;
                var line = _program.Kernel.Segments[segment].Instructions.Span[0].Line;
                throw new GpuException(
                    CudaResult.CUDA_ERROR_LAUNCH_FAILED,
                    $"{DescribeThread(BitOperations.TrailingZeroCount(mask))} waits at barrier {id} (PTX line {line}), where {block.Barriers[id].Arrived} of {block.Living} living threads have come; the others wait elsewhere");
            }
        }

        throw new GpuException(CudaResult.CUDA_ERROR_LAUNCH_FAILED, $"kernel {_program.Name}, block {block.Position}: no thread can go on");
    }

    private void ThrowAtWarpSync(WarpState warp)
    {
        var lane = BitOperations.TrailingZeroCount(warp.Blocked & warp.Alive);
        var line = _program.Kernel.Segments[warp.Lanes[lane]].Instructions.Span[0].Line;
        throw new GpuException(
            CudaResult.CUDA_ERROR_LAUNCH_FAILED,
            $"{DescribeThread(lane)} waits at a warp-level instruction (PTX line {line}) whose member mask names lanes that do not come");
    }
}

/// <summary>A block that has been started.</summary>
internal sealed class ResidentBlock
{
    /// <summary>Barriers of a block, as PTX numbers them: 0 to 15.</summary>
    public const int BarrierCount = 16;

    public Dim3 Position { get; set; }

    public nint Shared { get; init; }

    public required WarpState[] Warps { get; init; }

    /// <summary>The warp that is run first.</summary>
    public int FirstWarp { get; set; }

    /// <summary>Threads that have not ended.</summary>
    public int Living { get; set; }

    public required BarrierState[] Barriers { get; init; }
}

/// <summary>One of a block's barriers.</summary>
internal struct BarrierState
{
    /// <summary>Threads that have arrived, and that must; 0 for all living ones.</summary>
    public int Arrived;
    public int Expected;

    /// <summary>Arrivals whose predicate held.</summary>
    public int Votes;

    public List<(WarpState Warp, uint Mask, int Segment)>? Waiting;

    /// <summary>Nobody has come.</summary>
    public void Reset()
    {
        (Arrived, Expected, Votes) = (0, 0, 0);
        Waiting?.Clear();
    }
}

/// <summary>A warp between two calls of compiled code.</summary>
internal sealed class WarpState
{
    public int Index { get; set; }

    public nint Frame { get; set; }

    public nint Local { get; set; }

    /// <summary>Lanes that have not ended; that wait at a barrier; that looped enough; that wait for lanes at a warp-level instruction.</summary>
    public uint Alive { get; set; }

    public uint Waiting { get; set; }

    public uint Parked { get; set; }

    public uint Blocked { get; set; }

    /// <summary>All 32 lanes stand at <see cref="Segment"/> and the frame holds the forms of <see cref="Version"/>.</summary>
    public bool IsConverged { get; set; }

    public int Segment { get; set; }

    public CompiledVersion? Version { get; set; }

    /// <summary>The fast method has just given a segment back, so that the general one must do it.</summary>
    public bool MustStep { get; set; }

    /// <summary>The special registers that stay from block to block are in the frame.</summary>
    public bool IsPrepared { get; set; }

    /// <summary>Where each lane stands otherwise.</summary>
    public int[] Lanes { get; } = new int[32];
}
