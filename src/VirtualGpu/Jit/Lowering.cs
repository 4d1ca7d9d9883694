// From parsed PTX to the compiler's instructions: names resolved, device functions inlined, guards turned into branches.
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

/// <summary>Lowers one entry.</summary>
internal sealed class Lowering
{
    private const int MaxInlineDepth = 32;
    private const int MaxInstructions = 400_000;

    private readonly PtxModule _module;
    private readonly List<IrRegister> _registers = [];
    private readonly Dictionary<string, IrRegister> _specials = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _shared = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _parameters = new(StringComparer.Ordinal);
    private readonly Dictionary<string, PtxModuleVariable> _variables;

    // The code so far: instructions, and between them marks where labels stand and blocks end.
    private readonly List<IrBlock> _blocks = [];
    private readonly Dictionary<(int Instance, string Label), IrBlock> _labels = [];
    private readonly HashSet<(int Instance, string Label)> _placed = [];
    private readonly List<string> _dynamicShared = [];
    private IrBlock _block = new();
    private int _instances;
    private int _sharedBytes;
    private int _localBytes;
    private int _instructions;
    private int _sites;
    private IrRegister? _carry;

    private Lowering(PtxModule module)
    {
        _module = module;
        _variables = module.ModuleVariables.ToDictionary(v => v.Declaration.Name, StringComparer.Ordinal);
    }

    /// <summary>Byte offsets of an entry's parameters and the size of the whole buffer.</summary>
    public static (Dictionary<string, int> Offsets, int Bytes) LayOutParameters(PtxFunction entry)
    {
        var offsets = new Dictionary<string, int>(StringComparer.Ordinal);
        long end = 0;
        foreach (var parameter in entry.Parameters)
        {
            end = (end + parameter.Alignment - 1) & -parameter.Alignment;
            offsets[parameter.Name] = checked((int)end);
            end += parameter.Bytes;
        }

        return (offsets, checked((int)end));
    }

    public static IrKernel Lower(PtxModule module, PtxFunction entry)
    {
        var lowering = new Lowering(module);
        foreach (var (name, offset) in LayOutParameters(entry).Offsets)
        {
            lowering._parameters[name] = offset;
        }

        return lowering.LowerEntry(entry);
    }

    private IrKernel LowerEntry(PtxFunction entry)
    {
        // Shared variables of the module keep their place whether used or not; unsized ones start where the sized end.
        foreach (var variable in _module.ModuleVariables)
        {
            if (variable.Declaration.Space == PtxSpace.Shared)
            {
                PlaceShared(variable.Declaration);
            }
        }

        StartBlock(_block);
        LowerFunction(entry, new Instance(_instances++, entry, Map(entry), ReturnTo: null), depth: 0);
        if (!_closed)
        {
            EndBlock(BlockEnd.Exit);
        }

        var dynamicOffset = (_sharedBytes + 15) & -16;
        var isDynamic = _dynamicShared.Count > 0;
        var blocks = Reachable();
        var kernel = Segmentation.Divide(entry.Name, _registers, blocks, isDynamic ? dynamicOffset : _sharedBytes, (_localBytes + 15) & -16, _sites);
        return kernel;
    }

    private List<IrBlock> Reachable()
    {
        var seen = new HashSet<IrBlock>();
        var work = new Stack<IrBlock>();
        work.Push(_blocks[0]);
        while (work.TryPop(out var block))
        {
            if (!seen.Add(block))
            {
                continue;
            }

            if (block.Next is not null)
            {
                work.Push(block.Next);
            }

            if (block.Taken is not null)
            {
                work.Push(block.Taken);
            }
        }

        var blocks = _blocks.Where(seen.Contains).ToList();
        for (var i = 0; i < blocks.Count; i++)
        {
            blocks[i].Index = i;
        }

        return blocks;
    }

    private GpuException Refuse(int line, string reason)
        => PtxParser.Error(_module.Text, line, reason, CudaResult.CUDA_ERROR_NOT_SUPPORTED);

    // ---- registers and variables

    private IrRegister NewRegister(string name, PtxType type, SpecialValue special = SpecialValue.None, string? symbol = null)
    {
        var register = new IrRegister
        {
            Index = _registers.Count,
            Name = name,
            Type = type switch
            {
                PtxType.Pred => LaneType.Pred,
                PtxType.F32 => LaneType.F32,
                PtxType.F64 => LaneType.F64,
                PtxType.B64 or PtxType.U64 or PtxType.S64 => LaneType.I64,
                _ => LaneType.I32,
            },
            Bits = type == PtxType.Pred ? 1 : type.Size() * 8,
            Special = special,
            Symbol = symbol,
        };
        _registers.Add(register);
        return register;
    }

    private IrRegister[] Map(PtxFunction function)
    {
        var map = new IrRegister[function.Registers.Count];
        for (var i = 0; i < map.Length; i++)
        {
            var register = function.Registers[i];
            if (register.Type is PtxType.B8 or PtxType.U8 or PtxType.S8)
            {
                throw Refuse(function.Line, "8-bit registers are not supported");
            }

            map[i] = NewRegister($"{register.Name}{i}", register.Type);
        }

        return map;
    }

    private IrRegister SpecialRegister(SpecialValue value, PtxType type, string? symbol = null)
    {
        var key = symbol is null ? value.ToString() : "&" + symbol;
        if (!_specials.TryGetValue(key, out var register))
        {
            register = NewRegister(key, type, value, symbol);
            _specials.Add(key, register);
        }

        return register;
    }

    private int PlaceShared(PtxDeclaration declaration)
    {
        if (declaration.IsUnsized)
        {
            if (!_dynamicShared.Contains(declaration.Name))
            {
                _dynamicShared.Add(declaration.Name);
            }

            return 0;
        }

        if (!_shared.TryGetValue(declaration.Name, out var offset))
        {
            offset = (_sharedBytes + declaration.Alignment - 1) & -declaration.Alignment;
            _shared.Add(declaration.Name, offset);
            _sharedBytes = checked((int)(offset + declaration.Bytes));
        }

        return offset;
    }

    private int PlaceLocal(PtxDeclaration declaration)
    {
        var alignment = Math.Max(8, declaration.Alignment);
        var offset = (_localBytes + alignment - 1) & -alignment;
        _localBytes = checked((int)(offset + declaration.Bytes));
        return offset;
    }

    // ---- blocks

    private bool _closed;

    private void StartBlock(IrBlock block)
    {
        if (_blocks.Count > 0 && !_closed)
        {
            _block.End = BlockEnd.Jump;
            _block.Next = block;
        }

        _block = block;
        _blocks.Add(block);
        _closed = false;
    }

    private void EndBlock(BlockEnd end, Operand condition = default, IrBlock? taken = null, IrBlock? next = null)
    {
        _block.End = end;
        _block.Condition = condition;
        _block.Taken = taken;
        _block.Next = next;
        _closed = true;
    }

    private IrBlock Label(int instance, string label)
    {
        if (!_labels.TryGetValue((instance, label), out var block))
        {
            block = new IrBlock();
            _labels.Add((instance, label), block);
        }

        return block;
    }

    private void Add(Instruction instruction)
    {
        if (_closed)
        {
            StartBlock(new IrBlock());
        }

        if (++_instructions > MaxInstructions)
        {
            throw Refuse(instruction.Line, $"the kernel has more than {MaxInstructions} instructions after inlining");
        }

        if (instruction.Op is Op.Ld or Op.St or Op.Atom or Op.Red)
        {
            instruction.Site = _sites++;
        }

        _block.Instructions.Add(instruction);
    }

    // ---- functions

    private void LowerFunction(PtxFunction function, Instance instance, int depth)
    {
        foreach (var variable in function.Variables)
        {
            switch (variable.Space)
            {
                case PtxSpace.Shared:
                    PlaceShared(variable);
                    break;
                case PtxSpace.Local:
                    instance.Locals[variable.Name] = PlaceLocal(variable);
                    break;
                default:
                    instance.Bindings[variable.Name] = Bind(variable);
                    break;
            }
        }

        foreach (var statement in function.Statements)
        {
            if (statement.Opcode.Length == 0)
            {
                _placed.Add((instance.Number, statement.Label));
                StartBlock(Label(instance.Number, statement.Label));
                continue;
            }

            LowerStatement(statement, instance, depth);
        }

        // A label that a branch names must have been placed.
        foreach (var statement in function.Statements)
        {
            if (statement.Opcode.StartsWith("bra", StringComparison.Ordinal) && statement.Operands is [{ Kind: PtxOperandKind.Symbol } target]
                && !_placed.Contains((instance.Number, target.Name)))
            {
                throw PtxParser.Error(_module.Text, statement.Line, $"no label {target.Name}");
            }
        }
    }

    private Binding Bind(PtxDeclaration variable)
        => variable.IsArray
            ? new Binding(null, PlaceLocal(variable), variable)
            : new Binding(NewRegister(variable.Name, variable.Type.Size() < 4 ? PtxType.B32 : variable.Type), 0, variable);

    private void LowerStatement(PtxStatement statement, Instance instance, int depth)
    {
        var opcode = Opcode.Decode(statement.Opcode) ?? throw Refuse(statement.Line, $"the virtual GPU does not know {statement.Opcode}");
        var guard = statement.Guard < 0 ? default : new Operand(instance.Registers[statement.Guard], Negated: statement.GuardNegated);
        switch (opcode.Op)
        {
            case Op.Bra:
                if (statement.Operands is not [{ Kind: PtxOperandKind.Symbol } target])
                {
                    throw Refuse(statement.Line, "a branch needs a label");
                }

                Branch(guard, Label(instance.Number, target.Name));
                return;
            case Op.Ret when instance.ReturnTo is not null:
                Branch(guard, instance.ReturnTo);
                return;
            case Op.Ret or Op.Exit:
                if (guard.Register is null)
                {
                    EnsureOpen();
                    EndBlock(BlockEnd.Exit);
                }
                else
                {
                    var exit = new IrBlock { End = BlockEnd.Exit };
                    var next = new IrBlock();
                    EnsureOpen();
                    EndBlock(BlockEnd.Branch, guard, exit, next);
                    _blocks.Add(exit);
                    StartBlock(next);
                }

                return;
        }

        if (guard.Register is null)
        {
            LowerInstruction(opcode, statement, instance, depth);
            return;
        }

        // Only branches are guarded from here on; NVRTC guards almost nothing else.
        var body = new IrBlock();
        var after = new IrBlock();
        EnsureOpen();
        EndBlock(BlockEnd.Branch, guard with { Negated = !guard.Negated }, after, body);
        StartBlock(body);
        LowerInstruction(opcode, statement, instance, depth);
        StartBlock(after);
    }

    private void EnsureOpen()
    {
        if (_closed)
        {
            StartBlock(new IrBlock());
        }
    }

    private void Branch(Operand guard, IrBlock target)
    {
        EnsureOpen();
        if (guard.Register is null)
        {
            EndBlock(BlockEnd.Jump, next: target);
        }
        else
        {
            var next = new IrBlock();
            EndBlock(BlockEnd.Branch, guard, target, next);
            StartBlock(next);
        }
    }

    private void LowerInstruction(Opcode opcode, PtxStatement statement, Instance instance, int depth)
    {
        switch (opcode.Op)
        {
            case Op.Nothing:
                return;
            case Op.Call:
                LowerCall(statement, instance, depth);
                return;
            case Op.Mov:
                LowerMove(opcode, statement, instance);
                return;
            case Op.Ld or Op.St:
                LowerAccess(opcode, statement, instance);
                return;
            case Op.Atom or Op.Red:
                LowerAtomic(opcode, statement, instance);
                return;
            case Op.Cvta or Op.CvtaTo:
                LowerAddressConversion(opcode, statement, instance);
                return;
            default:
                LowerPlain(opcode, statement, instance);
                return;
        }
    }

    private void LowerPlain(Opcode opcode, PtxStatement statement, Instance instance)
    {
        var hasResult = opcode.Op is not (Op.Barrier or Op.WarpBarrier or Op.Fence or Op.Trap) || (opcode.Op == Op.Barrier && opcode.Variant == 2);
        if (opcode.Op == Op.Fence)
        {
            Add(new Instruction { Opcode = opcode, Line = statement.Line });
            return;
        }

        var operands = statement.Operands;
        if (hasResult && operands.Count == 0)
        {
            throw Refuse(statement.Line, "operands are missing");
        }

        var results = new List<Operand>(2);
        if (hasResult)
        {
            results.Add(Result(operands[0], statement, instance));
            if (operands[0].Second is { } second)
            {
                results.Add(Result(second, statement, instance));
            }
        }

        var sources = new List<Operand>(4);
        for (var i = hasResult ? 1 : 0; i < operands.Count; i++)
        {
            sources.Add(Source(operands[i], OperandRules.SourceType(opcode, i - (hasResult ? 1 : 0)), statement, instance));
        }

        if (opcode.CarryIn)
        {
            sources.Add(new Operand(Carry()));
        }

        if (opcode.CarryOut)
        {
            results.Add(new Operand(Carry()));
        }

        var (least, most) = OperandRules.SourceCount(opcode);
        var objection = sources.Count < least || sources.Count > most ? "wrong number of operands" : OperandRules.Objection(opcode, results, sources);
        if (objection is not null)
        {
            throw Refuse(statement.Line, objection);
        }

        Add(new Instruction { Opcode = opcode, Line = statement.Line, Results = [.. results], Sources = [.. sources] });
    }

    private IrRegister Carry() => _carry ??= NewRegister("carry", PtxType.B32);

    private Operand Result(PtxOperand operand, PtxStatement statement, Instance instance) => operand.Kind switch
    {
        PtxOperandKind.Register => new Operand(instance.Registers[operand.Register]),
        PtxOperandKind.Sink => default,
        _ => throw Refuse(statement.Line, "a result must be a register"),
    };

    private Operand Source(PtxOperand operand, PtxType type, PtxStatement statement, Instance instance)
    {
        switch (operand.Kind)
        {
            case PtxOperandKind.Register:
                return new Operand(instance.Registers[operand.Register], Negated: operand.Negated);
            case PtxOperandKind.Integer:
                return Operand.Immediate(type switch
                {
                    PtxType.F32 => BitConverter.SingleToInt32Bits(operand.Value),
                    PtxType.F64 => BitConverter.DoubleToInt64Bits(operand.Value),
                    _ => operand.Value,
                });
            case PtxOperandKind.Float32:
                return Operand.Immediate(type == PtxType.F64
                    ? BitConverter.DoubleToInt64Bits(BitConverter.Int32BitsToSingle(unchecked((int)operand.Value)))
                    : operand.Value);
            case PtxOperandKind.Float64:
                return Operand.Immediate(type == PtxType.F32
                    ? BitConverter.SingleToInt32Bits((float)BitConverter.Int64BitsToDouble(operand.Value))
                    : operand.Value);
            case PtxOperandKind.Special:
                return SpecialOperand(operand.Name, statement);
            case PtxOperandKind.Symbol:
                return SymbolAddress(operand.Name, operand.Value, statement, instance);
            default:
                throw Refuse(statement.Line, "an operand of this kind is not supported here");
        }
    }

    private Operand SpecialOperand(string name, PtxStatement statement)
    {
        var value = name switch
        {
            "%tid.x" => SpecialValue.TidX,
            "%tid.y" => SpecialValue.TidY,
            "%tid.z" => SpecialValue.TidZ,
            "%ntid.x" => SpecialValue.NtidX,
            "%ntid.y" => SpecialValue.NtidY,
            "%ntid.z" => SpecialValue.NtidZ,
            "%ctaid.x" => SpecialValue.CtaidX,
            "%ctaid.y" => SpecialValue.CtaidY,
            "%ctaid.z" => SpecialValue.CtaidZ,
            "%nctaid.x" => SpecialValue.NctaidX,
            "%nctaid.y" => SpecialValue.NctaidY,
            "%nctaid.z" => SpecialValue.NctaidZ,
            "%laneid" => SpecialValue.LaneId,
            "%warpid" => SpecialValue.WarpId,
            "%nwarpid" => SpecialValue.WarpCount,
            "%lanemask_eq" => SpecialValue.LaneMaskEq,
            "%lanemask_lt" => SpecialValue.LaneMaskLt,
            "%lanemask_le" => SpecialValue.LaneMaskLe,
            "%lanemask_gt" => SpecialValue.LaneMaskGt,
            "%lanemask_ge" => SpecialValue.LaneMaskGe,
            "%smid" => SpecialValue.SmId,
            "%nsmid" => SpecialValue.SmCount,
            "%gridid" => SpecialValue.GridId,
            "%dynamic_smem_size" => SpecialValue.DynamicSharedBytes,
            "%total_smem_size" => SpecialValue.TotalSharedBytes,
            _ => SpecialValue.None,
        };
        if (value != SpecialValue.None)
        {
            return new Operand(SpecialRegister(value, value == SpecialValue.GridId ? PtxType.U64 : PtxType.U32));
        }

        // Clocks are read anew each time, by the system.
        if (name is "%clock" or "%clock_hi" or "%clock64" or "%globaltimer" or "%globaltimer_lo" or "%globaltimer_hi")
        {
            var isWide = name is "%clock64" or "%globaltimer";
            var register = NewRegister(name, isWide ? PtxType.U64 : PtxType.U32);
            Add(new Instruction
            {
                Opcode = new Opcode { Op = Op.SystemCall, Variant = (int)(name.EndsWith("_hi", StringComparison.Ordinal) ? SystemCall.ClockHigh : SystemCall.Clock), Type = isWide ? PtxType.U64 : PtxType.U32 },
                Line = statement.Line,
                Results = [new Operand(register)],
            });
            return new Operand(register);
        }

        throw Refuse(statement.Line, $"the virtual GPU does not know {name}");
    }

    // The address of a variable within its own state space.
    private Operand SymbolAddress(string name, long offset, PtxStatement statement, Instance instance)
    {
        if (instance.Locals.TryGetValue(name, out var local))
        {
            return Operand.Immediate(local + offset);
        }

        if (instance.FindBinding(name) is { } binding)
        {
            return binding.Register is null
                ? Operand.Immediate(binding.LocalOffset + offset)
                : throw Refuse(statement.Line, $"the address of parameter {name} is not supported");
        }

        if (instance.ReturnTo is null && _parameters.TryGetValue(name, out var parameter))
        {
            return Operand.Immediate(parameter + offset);
        }

        if (_shared.TryGetValue(name, out var shared))
        {
            return Operand.Immediate(shared + offset);
        }

        if (_dynamicShared.Contains(name))
        {
            // Resolved once all static variables have a place; see DynamicSharedStart.
            return offset == 0 ? new Operand(DynamicSharedStart()) : AddOffset(new Operand(DynamicSharedStart()), offset, statement);
        }

        if (_variables.TryGetValue(name, out var variable) && variable.Declaration.Space is PtxSpace.Global or PtxSpace.Const)
        {
            var register = new Operand(SpecialRegister(SpecialValue.Variable, PtxType.U64, name));
            return offset == 0 ? register : AddOffset(register, offset, statement);
        }

        throw PtxParser.Error(_module.Text, statement.Line, $"no variable {name}");
    }

    // Dynamic shared memory starts at a constant known only after everything is placed; it is a special value until then.
    private IrRegister DynamicSharedStart() => SpecialRegister(SpecialValue.Variable, PtxType.U64, DynamicSharedSymbol);

    public const string DynamicSharedSymbol = "[dynamic shared]";

    private Operand AddOffset(Operand register, long offset, PtxStatement statement)
    {
        var sum = new Operand(NewRegister("address", PtxType.U64));
        Add(new Instruction
        {
            Opcode = new Opcode { Op = Op.Add, Type = PtxType.U64 },
            Line = statement.Line,
            Results = [sum],
            Sources = [register, Operand.Immediate(offset)],
        });
        return sum;
    }

    private void LowerMove(Opcode opcode, PtxStatement statement, Instance instance)
    {
        if (statement.Operands is not [var to, var from])
        {
            throw Refuse(statement.Line, "mov has two operands");
        }

        if (to.Kind == PtxOperandKind.List)
        {
            var parts = to.Elements.Select(e => Result(e, statement, instance)).ToArray();
            CheckParts(opcode, parts.Length, statement);
            Add(new Instruction
            {
                Opcode = opcode with { Op = Op.Unpack, Vector = parts.Length },
                Line = statement.Line,
                Results = parts,
                Sources = [Source(from, opcode.Type, statement, instance)],
            });
            return;
        }

        var result = Result(to, statement, instance);
        if (from.Kind == PtxOperandKind.List)
        {
            CheckParts(opcode, from.Elements.Count, statement);
            var part = opcode.Type.Size() / from.Elements.Count == 4 ? PtxType.B32 : PtxType.B16;
            Add(new Instruction
            {
                Opcode = opcode with { Op = Op.Pack, Vector = from.Elements.Count },
                Line = statement.Line,
                Results = [result],
                Sources = [.. from.Elements.Select(e => Source(e, part, statement, instance))],
            });
            return;
        }

        Move(opcode.Type, result, Source(from, opcode.Type, statement, instance), statement);
    }

    private void CheckParts(Opcode opcode, int parts, PtxStatement statement)
    {
        if (!(opcode.Type.Size() == 8 && parts is 2 or 4) && !(opcode.Type.Size() == 4 && parts == 2))
        {
            throw Refuse(statement.Line, "this packing is not supported");
        }
    }

    private void Move(PtxType type, Operand result, Operand source, PtxStatement statement)
    {
        if (statement.Opcode.StartsWith("mov", StringComparison.Ordinal) && result.Register is { } to && source.Register is { } from
            && to.IsWide != from.IsWide && from.Special == SpecialValue.None)
        {
            throw Refuse(statement.Line, "the registers differ in size");
        }

        if (result.Register is { IsWide: true } && source.Register is { IsWide: false })
        {
            Add(new Instruction { Opcode = new Opcode { Op = Op.Cvt, Type = PtxType.U64, Source = PtxType.U32 }, Line = statement.Line, Results = [result], Sources = [source] });
            return;
        }

        if (result.Register is { IsWide: false } && source.Register is { IsWide: true })
        {
            Add(new Instruction { Opcode = new Opcode { Op = Op.Cvt, Type = PtxType.U32, Source = PtxType.U64 }, Line = statement.Line, Results = [result], Sources = [source] });
            return;
        }

        Add(new Instruction { Opcode = new Opcode { Op = Op.Mov, Type = type }, Line = statement.Line, Results = [result], Sources = [source] });
    }

    private Operand[] ResultsOf(PtxOperand operand, PtxStatement statement, Instance instance)
        => operand.Kind == PtxOperandKind.List
            ? [.. operand.Elements.Select(e => Result(e, statement, instance))]
            : [Result(operand, statement, instance)];

    private Operand[] SourcesOf(PtxOperand operand, PtxType type, PtxStatement statement, Instance instance)
        => operand.Kind == PtxOperandKind.List
            ? [.. operand.Elements.Select(e => Source(e, type, statement, instance))]
            : [Source(operand, type, statement, instance)];

    private void LowerAccess(Opcode opcode, PtxStatement statement, Instance instance)
    {
        var isLoad = opcode.Op == Op.Ld;
        if (statement.Operands.Count != 2 || statement.Operands[isLoad ? 1 : 0] is not { Kind: PtxOperandKind.Address } address)
        {
            throw Refuse(statement.Line, "this form of memory access is not supported");
        }

        var data = isLoad ? ResultsOf(statement.Operands[0], statement, instance) : SourcesOf(statement.Operands[1], opcode.Type, statement, instance);
        if (data.Length != opcode.Vector)
        {
            throw Refuse(statement.Line, $"expected {opcode.Vector} elements");
        }

        foreach (var element in data)
        {
            if (element.Register is { } register && (register.Type == LaneType.Pred || register.Bits < opcode.Type.Size() * 8))
            {
                throw Refuse(statement.Line, "the register is too small");
            }
        }

        // A parameter of a device function or of a call in progress is a register or a piece of local memory.
        if (opcode.Space == PtxSpace.Param && address.Elements is [{ Kind: PtxOperandKind.Symbol } symbol] && instance.FindBinding(symbol.Name) is { } binding)
        {
            var offset = address.Value + symbol.Value;
            if (binding.Register is not null)
            {
                if (offset != 0 || opcode.Vector != 1 || opcode.Type.Size() != binding.Declaration.Type.Size())
                {
                    throw Refuse(statement.Line, "this access to a scalar parameter is not supported");
                }

                // Registers may be wider than what is passed: a load extends as its type says, a store cuts off.
                if (isLoad && (opcode.Type.Size() < 4 || (data[0].Register is { IsWide: true } && !binding.Register.IsWide)))
                {
                    var isWide = data[0].Register is { IsWide: true };
                    var convert = new Opcode
                    {
                        Op = Op.Cvt,
                        Type = opcode.Type.IsSigned() ? (isWide ? PtxType.S64 : PtxType.S32) : isWide ? PtxType.U64 : PtxType.U32,
                        Source = opcode.Type.Size() < 4 ? Unsigned(opcode.Type) : opcode.Type.IsSigned() ? PtxType.S32 : PtxType.U32,
                    };
                    Add(new Instruction { Opcode = convert, Line = statement.Line, Results = data, Sources = [new Operand(binding.Register)] });
                }
                else
                {
                    var type = opcode.Type.Size() < 4 ? PtxType.B32 : opcode.Type;
                    var parameter = new Operand(binding.Register);
                    Move(type, isLoad ? data[0] : parameter, isLoad ? parameter : data[0], statement);
                }

                return;
            }

            AddAccess(opcode with { Space = PtxSpace.Local }, data, Operand.Immediate(binding.LocalOffset), offset, statement);
            return;
        }

        var (pointer, displacement) = Address(address, statement, instance);
        var space = opcode.Space == PtxSpace.Param && (instance.ReturnTo is not null || !isLoad) ? PtxSpace.Local : opcode.Space;
        AddAccess(opcode with { Space = space }, data, pointer, displacement, statement);
    }

    private static PtxType Unsigned(PtxType type) => type switch
    {
        PtxType.S8 => PtxType.S8,
        PtxType.S16 => PtxType.S16,
        PtxType.B8 or PtxType.U8 => PtxType.U8,
        _ => PtxType.U16,
    };

    private void AddAccess(Opcode opcode, Operand[] data, Operand pointer, long offset, PtxStatement statement)
        => Add(opcode.Op == Op.Ld
            ? new Instruction { Opcode = opcode, Line = statement.Line, Results = data, Sources = [pointer], Offset = offset }
            : new Instruction { Opcode = opcode, Line = statement.Line, Sources = [pointer, .. data], Offset = offset });

    private (Operand Pointer, long Offset) Address(PtxOperand address, PtxStatement statement, Instance instance)
    {
        switch (address.Elements.Count)
        {
            case 0:
                return (Operand.Immediate(address.Value), 0);
            case 1:
                var element = address.Elements[0];
                if (element.Kind == PtxOperandKind.Symbol)
                {
                    return (SymbolAddress(element.Name, 0, statement, instance), address.Value + element.Value);
                }

                var pointer = Source(element, PtxType.U64, statement, instance);
                if (pointer.Register is not { Type: LaneType.I32 or LaneType.I64 })
                {
                    throw Refuse(statement.Line, "an address is an integer register");
                }

                return (pointer, address.Value);
            default:
                throw Refuse(statement.Line, "this form of address is not supported");
        }
    }

    private void LowerAtomic(Opcode opcode, PtxStatement statement, Instance instance)
    {
        var first = opcode.Op == Op.Atom ? 1 : 0;
        if (statement.Operands.Count < first + 2 || statement.Operands[first].Kind != PtxOperandKind.Address)
        {
            throw Refuse(statement.Line, "this form of atomic is not supported");
        }

        var (pointer, offset) = Address(statement.Operands[first], statement, instance);
        var sources = new List<Operand> { pointer };
        for (var i = first + 1; i < statement.Operands.Count; i++)
        {
            sources.Add(Source(statement.Operands[i], opcode.Type, statement, instance));
        }

        if (sources.Count != (opcode.Atom == AtomOp.Cas ? 3 : 2) || !OperandRules.IsAtomicSupported(opcode))
        {
            throw Refuse(statement.Line, "this form of atomic is not supported");
        }

        Add(new Instruction
        {
            Opcode = opcode,
            Line = statement.Line,
            Results = opcode.Op == Op.Atom ? [Result(statement.Operands[0], statement, instance)] : [],
            Sources = [.. sources],
            Offset = offset,
        });
    }

    // Generic addresses are host addresses. Global and constant memory lie there already; shared and local have a base.
    private void LowerAddressConversion(Opcode opcode, PtxStatement statement, Instance instance)
    {
        if (statement.Operands is not [var to, var from])
        {
            throw Refuse(statement.Line, "cvta has two operands");
        }

        var result = Result(to, statement, instance);
        var source = Source(from, PtxType.U64, statement, instance);
        var special = opcode.Space switch
        {
            PtxSpace.Shared => SpecialValue.SharedBase,
            PtxSpace.Local => SpecialValue.LocalBase,
            PtxSpace.Param => throw Refuse(statement.Line, "generic addresses of parameters are not supported"),
            _ => SpecialValue.None,
        };
        if (special == SpecialValue.None)
        {
            Move(PtxType.U64, result, source, statement);
            return;
        }

        Add(new Instruction
        {
            Opcode = new Opcode { Op = opcode.Op == Op.Cvta ? Op.Add : Op.Sub, Type = PtxType.U64 },
            Line = statement.Line,
            Results = [result],
            Sources = [source, new Operand(SpecialRegister(special, PtxType.U64))],
        });
    }

    private void LowerCall(PtxStatement statement, Instance instance, int depth)
    {
        var operands = statement.Operands;
        var index = 0;
        IReadOnlyList<PtxOperand> results = [];
        if (operands.Count > 0 && operands[0].Kind == PtxOperandKind.List)
        {
            results = operands[0].Elements;
            index = 1;
        }

        if (index >= operands.Count || operands[index].Kind != PtxOperandKind.Symbol || operands.Count > index + 2)
        {
            throw Refuse(statement.Line, "indirect calls are not supported");
        }

        var name = operands[index].Name;
        var arguments = index + 1 < operands.Count && operands[index + 1].Kind == PtxOperandKind.List ? operands[index + 1].Elements : [];
        if (name is "vprintf" or "__assertfail")
        {
            LowerSystemCall(name, results, arguments, statement, instance);
            return;
        }

        var function = _module.FindFunction(name);
        if (function is not { HasBody: true } || function.IsEntry)
        {
            throw Refuse(statement.Line, $"function {name} has no body here");
        }

        if (depth >= MaxInlineDepth)
        {
            throw Refuse(statement.Line, "recursive calls are not supported");
        }

        if (arguments.Count != function.Parameters.Count || results.Count != function.Results.Count)
        {
            throw Refuse(statement.Line, $"{name} takes {function.Parameters.Count} arguments");
        }

        var after = new IrBlock();
        var callee = new Instance(_instances++, function, Map(function), after);
        for (var i = 0; i < arguments.Count; i++)
        {
            callee.Bindings[function.Parameters[i].Name] = Argument(arguments[i], function.Parameters[i], statement, instance);
        }

        for (var i = 0; i < results.Count; i++)
        {
            callee.Bindings[function.Results[i].Name] = results[i].Kind == PtxOperandKind.Symbol && instance.FindBinding(results[i].Name) is { } binding
                ? binding
                : results[i].Kind == PtxOperandKind.Register
                    ? new Binding(instance.Registers[results[i].Register], 0, function.Results[i])
                    : throw Refuse(statement.Line, "this form of call is not supported");
        }

        LowerFunction(function, callee, depth + 1);
        StartBlock(after);
    }

    private Binding Argument(PtxOperand argument, PtxDeclaration parameter, PtxStatement statement, Instance instance)
    {
        if (argument.Kind == PtxOperandKind.Symbol && instance.FindBinding(argument.Name) is { } binding)
        {
            return binding;
        }

        if (parameter.IsArray)
        {
            throw Refuse(statement.Line, "this form of call is not supported");
        }

        var bound = Bind(parameter);
        Move(parameter.Type, new Operand(bound.Register), Source(argument, parameter.Type, statement, instance), statement);
        return bound;
    }

    private void LowerSystemCall(
        string name, IReadOnlyList<PtxOperand> results, IReadOnlyList<PtxOperand> arguments, PtxStatement statement, Instance instance)
    {
        var sources = new List<Operand>();
        foreach (var argument in arguments)
        {
            sources.Add(argument.Kind == PtxOperandKind.Symbol && instance.FindBinding(argument.Name) is { Register: { } register }
                ? new Operand(register)
                : throw Refuse(statement.Line, "this form of call is not supported"));
        }

        var result = results.Count == 1 && results[0].Kind == PtxOperandKind.Symbol && instance.FindBinding(results[0].Name) is { Register: { } bound }
            ? new Operand(bound)
            : default;
        var expected = name == "vprintf" ? 2 : 5;
        if (sources.Count != expected)
        {
            throw Refuse(statement.Line, $"{name} takes {expected} arguments");
        }

        Add(new Instruction
        {
            Opcode = new Opcode { Op = Op.SystemCall, Variant = (int)(name == "vprintf" ? SystemCall.Print : SystemCall.AssertFail), Type = PtxType.B32 },
            Line = statement.Line,
            Results = result.IsNone ? [] : [result],
            Sources = [.. sources],
        });
    }

    /// <summary>Where a parameter of a call lives: a register, or local memory from an offset on.</summary>
    private sealed record Binding(IrRegister? Register, int LocalOffset, PtxDeclaration Declaration);

    /// <summary>One inlined copy of a function; the entry itself returns nowhere.</summary>
    private sealed record Instance(int Number, PtxFunction Function, IrRegister[] Registers, IrBlock? ReturnTo)
    {
        public Dictionary<string, int> Locals { get; } = new(StringComparer.Ordinal);

        public Dictionary<string, Binding> Bindings { get; } = new(StringComparer.Ordinal);

        public Binding? FindBinding(string name) => Bindings.GetValueOrDefault(name);
    }
}

/// <summary>What a kernel asks of the system around it.</summary>
internal enum SystemCall
{
    Print,
    AssertFail,
    Clock,
    ClockHigh,
}
