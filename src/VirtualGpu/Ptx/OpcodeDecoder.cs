// Reads opcodes by the grammar that the PTX ISA gives each instruction. A modifier that is not consumed makes it unknown.
namespace FashionFlow.VirtualGpu.Ptx;

/// <summary>One opcode being taken apart.</summary>
internal sealed class OpcodeDecoder
{
    private readonly List<string> _modifiers;

    private OpcodeDecoder(IEnumerable<string> modifiers) => _modifiers = [.. modifiers];

    /// <summary>Decodes an opcode; null where it has no meaning here.</summary>
    public static Opcode? Decode(string text)
    {
        var parts = text.Split('.');
        var decoder = new OpcodeDecoder(parts.Skip(1));
        var opcode = decoder.Decode(parts[0], text);
        return opcode is not null && decoder._modifiers.Count == 0 ? opcode : null;
    }

    private bool Take(string modifier) => _modifiers.Remove(modifier);

    private bool TakeAny(params ReadOnlySpan<string> modifiers)
    {
        var any = false;
        foreach (var modifier in modifiers)
        {
            any |= Take(modifier);
        }

        return any;
    }

    // The first of the remaining modifiers that is a type.
    private PtxType TakeType()
    {
        for (var i = 0; i < _modifiers.Count; i++)
        {
            var type = PtxTypes.Parse(_modifiers[i]);
            if (type != PtxType.None)
            {
                _modifiers.RemoveAt(i);
                return type;
            }
        }

        return PtxType.None;
    }

    private T TakeOne<T>(params ReadOnlySpan<(string Name, T Value)> choices)
        where T : struct
    {
        foreach (var (name, value) in choices)
        {
            if (Take(name))
            {
                return value;
            }
        }

        return default;
    }

    private Rounding TakeRounding() => TakeOne(
        ("rn", Rounding.Rn), ("rz", Rounding.Rz), ("rm", Rounding.Rm), ("rp", Rounding.Rp), ("rna", Rounding.Rna),
        ("rni", Rounding.Rni), ("rzi", Rounding.Rzi), ("rmi", Rounding.Rmi), ("rpi", Rounding.Rpi));

    private Compare TakeCompare() => TakeOne(
        ("eq", Compare.Eq), ("ne", Compare.Ne), ("lt", Compare.Lt), ("le", Compare.Le), ("gt", Compare.Gt), ("ge", Compare.Ge),
        ("lo", Compare.Lo), ("ls", Compare.Ls), ("hi", Compare.Hi), ("hs", Compare.Hs), ("equ", Compare.Equ), ("neu", Compare.Neu),
        ("ltu", Compare.Ltu), ("leu", Compare.Leu), ("gtu", Compare.Gtu), ("geu", Compare.Geu), ("num", Compare.Num), ("nan", Compare.Nan));

    private PtxSpace TakeSpace()
    {
        if (TakeAny("shared", "shared::cta"))
        {
            return PtxSpace.Shared;
        }

        return TakeOne(
            ("global", PtxSpace.Global), ("local", PtxSpace.Local), ("param", PtxSpace.Param), ("param::entry", PtxSpace.Param),
            ("param::func", PtxSpace.Param), ("const", PtxSpace.Const));
    }

    private AtomOp TakeAtom() => TakeOne(
        ("and", AtomOp.And), ("or", AtomOp.Or), ("xor", AtomOp.Xor), ("cas", AtomOp.Cas), ("exch", AtomOp.Exch), ("add", AtomOp.Add),
        ("inc", AtomOp.Inc), ("dec", AtomOp.Dec), ("min", AtomOp.Min), ("max", AtomOp.Max), ("popc", AtomOp.Popc));

    // Memory order and scope: the virtual GPU's memory is sequentially consistent, so that all orders hold.
    private bool TakeOrder() => TakeAny("volatile", "relaxed", "acquire", "release", "acq_rel", "sc")
        | TakeAny("cta", "cluster", "gpu", "sys") | TakeAny("mmio");

    private bool TakeCacheHints() => TakeAny("ca", "cg", "cs", "lu", "cv", "wb", "wt", "L2::64B", "L2::128B", "L2::256B",
        "L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate");

    private Opcode? Decode(string root, string text)
    {
        switch (root)
        {
            case "mov":
                return Typed(Op.Mov);
            case "add" or "addc":
                return Arithmetic(Op.Add, carryIn: root == "addc");
            case "sub" or "subc":
                return Arithmetic(Op.Sub, carryIn: root == "subc");
            case "mul":
                return Multiply(Op.Mul, Op.MulHi, Op.MulWide, carryIn: false);
            case "mad" or "madc":
                return Multiply(Op.Mad, Op.MadHi, Op.MadWide, carryIn: root == "madc");
            case "fma":
                return Floating(Op.Fma);
            case "div":
                return Divide();
            case "rem":
                return Integer(Op.Rem);
            case "abs":
                return Either(Op.Abs);
            case "neg":
                return Either(Op.Neg);
            case "min":
                return MinMax(Op.Min);
            case "max":
                return MinMax(Op.Max);
            case "sqrt":
                return Floating(Op.Sqrt);
            case "rcp":
                return Floating(Op.Rcp);
            case "rsqrt":
                return Floating(Op.Rsqrt);
            case "ex2":
                return Floating(Op.Ex2);
            case "lg2":
                return Floating(Op.Lg2);
            case "sin":
                return Floating(Op.Sin);
            case "cos":
                return Floating(Op.Cos);
            case "tanh":
                return Floating(Op.Tanh);
            case "and":
                return Typed(Op.And);
            case "or":
                return Typed(Op.Or);
            case "xor":
                return Typed(Op.Xor);
            case "not":
                return Typed(Op.Not);
            case "cnot":
                return Typed(Op.Cnot);
            case "shl":
                return Typed(Op.Shl);
            case "shr":
                return Typed(Op.Shr);
            case "shf":
                return Funnel();
            case "lop3":
                return Only(Typed(Op.Lop3), PtxType.B32);
            case "prmt":
                return Only(Typed(Op.Prmt), PtxType.B32) is { } prmt ? prmt with { Variant = TakeOne(("f4e", 1), ("b4e", 2), ("rc8", 3), ("ecl", 4), ("ecr", 5), ("rc16", 6)) } : null;
            case "bfe":
                return Integer(Op.Bfe);
            case "bfi":
                return Typed(Op.Bfi);
            case "bfind":
                var shift = Take("shiftamt");
                return Integer(Op.Bfind) is { } bfind ? bfind with { Variant = shift ? 1 : 0 } : null;
            case "brev":
                return Typed(Op.Brev);
            case "clz":
                return Typed(Op.Clz);
            case "popc":
                return Typed(Op.Popc);
            case "copysign":
                return Floating(Op.Copysign);
            case "testp":
                return Test();
            case "setp":
                return SetPredicate();
            case "set":
                return Set();
            case "selp":
                return Typed(Op.Selp);
            case "slct":
                return Select();
            case "cvt":
                return Convert();
            case "cvta":
                return ConvertAddress();
            case "isspacep":
                return new Opcode { Op = Op.Isspacep, Space = TakeSpace(), Type = PtxType.Pred };
            case "sad":
                return Integer(Op.Sad);
            case "mul24":
                return Multiply24(Op.Mul24);
            case "mad24":
                return Multiply24(Op.Mad24);
            case "dp4a":
                var first = TakeType();
                var second = TakeType();
                return first is PtxType.U32 or PtxType.S32 && second is PtxType.U32 or PtxType.S32 ? new Opcode { Op = Op.Dp4a, Type = first, Source = second } : null;
            case "ld" or "ldu":
                return Access(Op.Ld);
            case "st":
                return Access(Op.St);
            case "atom":
                return Atomic(Op.Atom);
            case "red":
                return Atomic(Op.Red);
            case "shfl":
                return Take("sync") ? new Opcode
                {
                    Op = Op.Shfl,
                    Warp = TakeOne(("up", WarpMode.Up), ("down", WarpMode.Down), ("bfly", WarpMode.Bfly), ("idx", WarpMode.Idx)),
                    Type = TakeType(),
                }
                : null;
            case "vote":
                return Take("sync") ? new Opcode
                {
                    Op = Op.Vote,
                    Warp = TakeOne(("all", WarpMode.All), ("any", WarpMode.Any), ("uni", WarpMode.Uni), ("ballot", WarpMode.Ballot)),
                    Type = TakeType(),
                }
                : null;
            case "match":
                return Take("sync") ? new Opcode { Op = Op.Match, Warp = TakeOne(("all", WarpMode.All), ("any", WarpMode.Any)), Type = TakeType() } : null;
            case "activemask":
                return Typed(Op.Activemask);
            case "redux":
                return Take("sync") ? new Opcode { Op = Op.Redux, Atom = TakeAtom(), Type = TakeType() } : null;
            case "bar" or "barrier":
                return Barrier();
            case "membar" or "fence":
                TakeAny("cta", "gl", "sys", "gpu", "sc", "acq_rel", "proxy", "alias", "cluster");
                return new Opcode { Op = Op.Fence };
            case "nanosleep":
                Take("u32");
                return new Opcode { Op = Op.Fence };
            case "prefetch" or "prefetchu":
                _ = TakeSpace();
                TakeAny("L1", "L2", "L2::evict_last", "L2::evict_normal");
                return new Opcode { Op = Op.Nothing };
            case "discard" or "applypriority":
                return null;
            case "bra":
                Take("uni");
                return new Opcode { Op = Op.Bra };
            case "ret":
                Take("uni");
                return new Opcode { Op = Op.Ret };
            case "exit":
                return new Opcode { Op = Op.Exit };
            case "trap" or "brkpt":
                return new Opcode { Op = Op.Trap };
            case "call":
                Take("uni");
                return new Opcode { Op = Op.Call };
            default:
                return null;
        }
    }

    private static Opcode? Only(Opcode? opcode, PtxType type) => opcode?.Type == type ? opcode : null;

    private Opcode? Typed(Op op)
    {
        var type = TakeType();
        return type == PtxType.None ? null : new Opcode { Op = op, Type = type };
    }

    private Opcode? Integer(Op op) => Typed(op) is { } opcode && opcode.Type.IsInteger() ? opcode : null;

    private Opcode? Floating(Op op)
    {
        var opcode = new Opcode
        {
            Op = op,
            Rounding = TakeRounding(),
            Approximate = Take("approx"),
            Ftz = Take("ftz"),
            Saturate = Take("sat"),
            Variant = Take("relu") ? 1 : 0,
            Type = TakeType(),
        };
        return opcode.Type.IsFloat() && opcode.Variant == 0 ? opcode : null;
    }

    private Opcode? Either(Op op)
    {
        var opcode = new Opcode { Op = op, Ftz = Take("ftz"), Type = TakeType() };
        return opcode.Type == PtxType.None ? null : opcode;
    }

    private Opcode? Arithmetic(Op op, bool carryIn)
    {
        var opcode = new Opcode
        {
            Op = op,
            Rounding = TakeRounding(),
            CarryOut = Take("cc"),
            CarryIn = carryIn,
            Ftz = Take("ftz"),
            Saturate = Take("sat"),
            Type = TakeType(),
        };
        return opcode.Type == PtxType.None ? null : opcode;
    }

    private Opcode? Multiply(Op low, Op high, Op wide, bool carryIn)
    {
        var op = TakeOne(("lo", low), ("hi", high), ("wide", wide));
        var isInteger = op != default;
        var opcode = new Opcode
        {
            Op = isInteger ? op : low == Op.Mad ? Op.Fma : low,
            Rounding = TakeRounding(),
            CarryOut = Take("cc"),
            CarryIn = carryIn,
            Ftz = Take("ftz"),
            Saturate = Take("sat"),
            Type = TakeType(),
        };
        return opcode.Type != PtxType.None && isInteger == opcode.Type.IsInteger() ? opcode : null;
    }

    private Opcode? Multiply24(Op op)
    {
        var isHigh = Take("hi");
        Take("lo");
        return Integer(op) is { } opcode ? opcode with { Variant = isHigh ? 1 : 0 } : null;
    }

    private Opcode? Divide()
    {
        var opcode = new Opcode
        {
            Op = Op.Div,
            Rounding = TakeRounding(),
            Approximate = TakeAny("approx", "full"),
            Ftz = Take("ftz"),
            Type = TakeType(),
        };
        return opcode.Type == PtxType.None ? null : opcode;
    }

    private Opcode? MinMax(Op op)
    {
        var opcode = new Opcode
        {
            Op = op,
            Ftz = Take("ftz"),
            Variant = (Take("NaN") ? 1 : 0) | (TakeAny("xorsign", "abs", "relu") ? 2 : 0),
            Type = TakeType(),
        };
        return opcode.Type != PtxType.None && opcode.Variant < 2 ? opcode : null;
    }

    private Opcode? Funnel()
    {
        var op = TakeOne(("l", Op.ShfLeft), ("r", Op.ShfRight));
        var clamp = Take("clamp");
        return (clamp || Take("wrap")) && op != default ? Only(Typed(op), PtxType.B32) is { } shf ? shf with { Variant = clamp ? 1 : 0 } : null : null;
    }

    private Opcode? Test()
    {
        var compare = TakeOne(
            ("finite", Compare.Finite), ("infinite", Compare.Infinite), ("number", Compare.Number), ("notanumber", Compare.NotANumber),
            ("normal", Compare.Normal), ("subnormal", Compare.Subnormal));
        return compare != default && Typed(Op.Testp) is { Type: PtxType.F32 or PtxType.F64 } opcode ? opcode with { Compare = compare } : null;
    }

    private Opcode? SetPredicate()
    {
        var opcode = new Opcode
        {
            Op = Op.Setp,
            Compare = TakeCompare(),
            Combine = TakeOne(("and", Op.And), ("or", Op.Or), ("xor", Op.Xor)),
            Ftz = Take("ftz"),
            Type = TakeType(),
        };
        return opcode.Type != PtxType.None && opcode.Compare != Compare.None ? opcode : null;
    }

    private Opcode? Set()
    {
        var opcode = new Opcode
        {
            Op = Op.Set,
            Compare = TakeCompare(),
            Combine = TakeOne(("and", Op.And), ("or", Op.Or), ("xor", Op.Xor)),
            Ftz = Take("ftz"),
            Type = TakeType(),
            Source = TakeType(),
        };
        return opcode.Type != PtxType.None && opcode.Source != PtxType.None && opcode.Compare != Compare.None ? opcode : null;
    }

    private Opcode? Select()
    {
        var opcode = new Opcode { Op = Op.Slct, Ftz = Take("ftz"), Type = TakeType(), Source = TakeType() };
        return opcode.Source is PtxType.S32 or PtxType.F32 ? opcode : null;
    }

    private Opcode? Convert()
    {
        var rounding = TakeRounding();
        var isPack = Take("pack");
        var opcode = new Opcode
        {
            Op = Op.Cvt,
            Rounding = rounding,
            Ftz = Take("ftz"),
            Saturate = Take("sat"),
            Type = TakeType(),
            Source = TakeType(),
        };
        if (isPack || opcode.Source == PtxType.None)
        {
            return null;
        }

        return opcode.Type is PtxType.F16X2 or PtxType.BF16X2
            ? opcode.Source == PtxType.F32 ? opcode with { Op = Op.CvtPack } : null
            : opcode;
    }

    private Opcode? ConvertAddress()
    {
        var isTo = Take("to");
        var opcode = new Opcode { Op = isTo ? Op.CvtaTo : Op.Cvta, Space = TakeSpace(), Type = TakeType() };
        return opcode.Space != PtxSpace.Generic && opcode.Type is PtxType.U64 ? opcode : null;
    }

    private Opcode? Access(Op op)
    {
        var strong = TakeOrder();
        var space = TakeSpace();
        TakeCacheHints();
        var readOnly = Take("nc");
        TakeCacheHints();
        var opcode = new Opcode
        {
            Op = op,
            Space = space,
            ReadOnly = readOnly,
            Strong = strong,
            Vector = TakeOne(("v2", 2), ("v4", 4)) is var vector && vector > 0 ? vector : 1,
            Type = TakeType(),
        };
        return opcode.Type is PtxType.None or PtxType.Pred ? null : opcode;
    }

    private Opcode? Atomic(Op op)
    {
        TakeOrder();
        var opcode = new Opcode
        {
            Op = op,
            Space = TakeSpace(),
            Atom = TakeAtom(),
            Ftz = Take("noftz") && false,
            Type = TakeType(),
        };
        return opcode.Space is PtxSpace.Generic or PtxSpace.Global or PtxSpace.Shared && opcode.Atom != AtomOp.None && opcode.Type != PtxType.None ? opcode : null;
    }

    private Opcode? Barrier()
    {
        if (Take("warp"))
        {
            return Take("sync") ? new Opcode { Op = Op.WarpBarrier } : null;
        }

        Take("cta");
        Take("aligned");
        if (Take("sync"))
        {
            return new Opcode { Op = Op.Barrier };
        }

        if (Take("arrive"))
        {
            return new Opcode { Op = Op.Barrier, Variant = 1 };
        }

        if (Take("red"))
        {
            var opcode = new Opcode { Op = Op.Barrier, Variant = 2, Atom = TakeAtom(), Type = TakeType() };
            return opcode.Atom is AtomOp.And or AtomOp.Or && opcode.Type == PtxType.Pred || opcode.Atom == AtomOp.Popc && opcode.Type == PtxType.U32 ? opcode : null;
        }

        return null;
    }
}
