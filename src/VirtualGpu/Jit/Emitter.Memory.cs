// Loads and stores. Addresses that are a scalar plus a lane pattern are checked once for the warp and become one vector access,
// a broadcast, a transpose or a gather at constant distances; all others go to LaneMemory.
using System.Reflection.Emit;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Jit;

internal sealed partial class Emitter
{
    private static int TotalSize(Instruction instruction) => instruction.Opcode.Type.Size() * instruction.Opcode.Vector;

    private LanePattern? AddressPattern(Instruction instruction)
        => instruction.Sources[0].Register is { } register ? FormOf(register).Pattern : null;

    // Whether the warp's addresses are a scalar plus constants that are multiples of the access's alignment.
    private bool HasScalarAddress(Instruction instruction)
    {
        if (IsGeneral || instruction.Opcode.Space == PtxSpace.Local)
        {
            return false;
        }

        if (instruction.Sources[0].Register is { } register && !FormOf(register).IsScalar)
        {
            return false;
        }

        var size = TotalSize(instruction);
        var pattern = AddressPattern(instruction);
        return pattern is null || (pattern.Most - pattern.Least < int.MaxValue && Array.TrueForAll(pattern.Lanes, x => x % size == 0));
    }

    // Pushes the address of the range in which an access must lie.
    private void EmitRange(Instruction instruction)
    {
        switch (instruction.Opcode.Space)
        {
            case PtxSpace.Shared:
                EmitContext(nameof(WarpContext.SharedLow));
                break;
            case PtxSpace.Local:
                EmitContext(nameof(WarpContext.LocalLow));
                break;
            case PtxSpace.Param:
                EmitContext(nameof(WarpContext.Parameters));
                break;
            default:
                EmitContext(nameof(WarpContext.Sites));
                _il.Emit(OpCodes.Ldind_I);
                EmitConstant(instruction.Site * 16);
                _il.Emit(OpCodes.Conv_I);
                _il.Emit(OpCodes.Add);
                break;
        }
    }

    // Pushes what is added to an address of the space to make it a host address, with the instruction's offset.
    private void EmitSpaceBase(Instruction instruction, long extra = 0)
    {
        _il.Emit(OpCodes.Ldc_I8, instruction.Offset + extra);
        var field = instruction.Opcode.Space switch
        {
            PtxSpace.Shared => nameof(WarpContext.SharedLow),
            PtxSpace.Param => nameof(WarpContext.Parameters),
            _ => null,
        };
        if (field is not null)
        {
            EmitContext(field);
            _il.Emit(OpCodes.Ldind_I8);
            _il.Emit(OpCodes.Add);
        }
    }

    // Among the scalars: the access's host address, checked for the whole warp. A failing check leaves the segment undone, and
    // the general method says what is wrong with which lane.
    private void EmitScalarBase(Instruction instruction)
    {
        if (!HasScalarAddress(instruction))
        {
            return;
        }

        var pointer = _locals.Take(typeof(long));
        EmitScalarAddress(instruction);
        EmitSpaceBase(instruction);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Stloc, pointer);
        _bases[instruction] = pointer;
        EmitRangeCheck(instruction, pointer);
    }

    private void EmitScalarAddress(Instruction instruction)
    {
        var address = instruction.Sources[0];
        if (address.Register is { } register)
        {
            EmitScalarValue(register);
            if (!register.IsWide)
            {
                _il.Emit(OpCodes.Conv_U8);
            }
        }
        else
        {
            _il.Emit(OpCodes.Ldc_I8, address.Bits);
        }
    }

    private void EmitRangeCheck(Instruction instruction, LocalBuilder pointer)
    {
        var size = TotalSize(instruction);
        var pattern = AddressPattern(instruction);
        var isParameter = instruction.Opcode.Space == PtxSpace.Param && instruction.Sources[0].IsImmediate;
        if (isParameter && instruction.Sources[0].Bits + instruction.Offset is var offset && offset >= 0 && offset + size <= _version.ParameterBytes)
        {
            return;
        }

        var low = pattern?.Least ?? 0;
        var high = (pattern?.Most ?? 0) + size;
        var range = _locals.Take(typeof(nint));
        var good = _il.DefineLabel();
        var doubtful = _il.DefineLabel();
        if (size > 1)
        {
            _il.Emit(OpCodes.Ldloc, pointer);
            _il.Emit(OpCodes.Ldc_I8, (long)size - 1);
            _il.Emit(OpCodes.And);
            _il.Emit(OpCodes.Brtrue, _leave);
        }

        EmitRange(instruction);
        _il.Emit(OpCodes.Stloc, range);
        _il.Emit(OpCodes.Ldloc, pointer);
        _il.Emit(OpCodes.Ldc_I8, low);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Ldloc, range);
        _il.Emit(OpCodes.Ldind_I8);
        _il.Emit(OpCodes.Blt, doubtful);
        _il.Emit(OpCodes.Ldloc, pointer);
        _il.Emit(OpCodes.Ldc_I8, high);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Ldloc, range);
        EmitConstant(8);
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Ldind_I8);
        _il.Emit(OpCodes.Ble, good);
        _il.MarkLabel(doubtful);
        _il.Emit(OpCodes.Ldarg_0);
        _il.Emit(OpCodes.Ldloc, range);
        _il.Emit(OpCodes.Ldloc, pointer);
        _il.Emit(OpCodes.Ldc_I8, low);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Ldloc, pointer);
        _il.Emit(OpCodes.Ldc_I8, high);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), nameof(LaneMemory.Resolve)));
        _il.Emit(OpCodes.Brfalse, _leave);
        _il.MarkLabel(good);
        _leaves = true;
    }

    // A load of one value for the warp.
    private void EmitScalarLoad(Instruction instruction)
    {
        var pointer = _locals.Take(typeof(long));
        EmitScalarAddress(instruction);
        EmitSpaceBase(instruction);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Stloc, pointer);
        EmitRangeCheck(instruction, pointer);
        var type = instruction.Opcode.Type;
        for (var k = 0; k < instruction.Results.Length; k++)
        {
            if (instruction.Results[k].Register is not { } register)
            {
                continue;
            }

            _il.Emit(OpCodes.Ldloc, pointer);
            _il.Emit(OpCodes.Ldc_I8, (long)k * type.Size());
            _il.Emit(OpCodes.Add);
            _il.Emit(OpCodes.Conv_I);
            if (instruction.Opcode.Strong)
            {
                _il.Emit(OpCodes.Volatile);
            }

            EmitScalarFetch(type, register);
            EmitScalarResult(register);
        }
    }

    private void EmitScalarFetch(PtxType type, IrRegister register)
    {
        switch (type.Size())
        {
            case 8:
                _il.Emit(register.Type == LaneType.F64 ? OpCodes.Ldind_R8 : OpCodes.Ldind_I8);
                return;
            case 4 when register.Type == LaneType.F32:
                _il.Emit(OpCodes.Ldind_R4);
                return;
            case 4:
                _il.Emit(type.IsSigned() || !register.IsWide ? OpCodes.Ldind_I4 : OpCodes.Ldind_U4);
                break;
            case 2:
                _il.Emit(type.IsSigned() && register.Bits > 16 ? OpCodes.Ldind_I2 : OpCodes.Ldind_U2);
                break;
            default:
                _il.Emit(type.IsSigned() ? OpCodes.Ldind_I1 : OpCodes.Ldind_U1);
                if (type.IsSigned() && register.Bits == 16)
                {
                    _il.Emit(OpCodes.Conv_U2);
                }

                break;
        }

        if (register.IsWide)
        {
            _il.Emit(type.IsSigned() ? OpCodes.Conv_I8 : OpCodes.Conv_U8);
        }
        else if (register.Type == LaneType.F32)
        {
            _il.Emit(OpCodes.Call, MethodCatalog.Find(typeof(BitConverter), nameof(BitConverter.Int32BitsToSingle), [typeof(int)]));
        }
    }

    // ---- lanes at a scalar plus constants

    // Pushes the host address of the group's first lane, plus some bytes.
    private void EmitGroupAddress(Instruction instruction, long extra)
    {
        _il.Emit(OpCodes.Ldloc, _bases[instruction]);
        var pattern = AddressPattern(instruction);
        if (pattern is not null)
        {
            var step = pattern.Lanes[8] - pattern.Lanes[0];
            if (pattern.Lanes[16] - pattern.Lanes[8] == step && pattern.Lanes[24] - pattern.Lanes[16] == step)
            {
                extra += pattern.Lanes[0];
                if (step != 0)
                {
                    _il.Emit(OpCodes.Ldloc, _index);
                    _il.Emit(OpCodes.Conv_I8);
                    _il.Emit(OpCodes.Ldc_I8, step);
                    _il.Emit(OpCodes.Mul);
                    _il.Emit(OpCodes.Add);
                }
            }
            else
            {
                _il.Emit(OpCodes.Ldc_I8, (long)_version.Constants.AddGroupStarts(pattern));
                _il.Emit(OpCodes.Conv_I);
                _il.Emit(OpCodes.Ldloc, _index);
                _il.Emit(OpCodes.Ldc_I4_3);
                _il.Emit(OpCodes.Shl);
                _il.Emit(OpCodes.Add);
                _il.Emit(OpCodes.Ldind_I8);
                _il.Emit(OpCodes.Add);
            }
        }

        if (extra != 0)
        {
            _il.Emit(OpCodes.Ldc_I8, extra);
            _il.Emit(OpCodes.Add);
        }

        _il.Emit(OpCodes.Conv_I);
    }

    // Pushes the distances of the group's lanes from the group's first.
    private void EmitDistances(LanePattern pattern, int part, bool wide)
    {
        _il.Emit(OpCodes.Ldc_I8, (long)_version.Constants.AddDistances(pattern) + (wide ? part * 16 : 0));
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Ldloc, _index);
        EmitConstant(5);
        _il.Emit(OpCodes.Shl);
        _il.Emit(OpCodes.Add);
        _il.Emit(OpCodes.Ldobj, wide ? typeof(Vector128<int>) : typeof(Vector256<int>));
    }

    private void EmitLoad(Instruction instruction)
    {
        if (_bases.ContainsKey(instruction))
        {
            EmitInStepLoad(instruction);
            return;
        }

        var type = instruction.Opcode.Type;
        var size = type.Size();
        var addresses = EmitLaneAddresses(instruction);
        if (!IsGeneral && size == 4 && instruction.Opcode.Vector == 4 && instruction.Opcode.Space != PtxSpace.Local && !instruction.Opcode.Strong && Avx2.IsSupported)
        {
            EmitVectorPerLaneLoad(instruction, addresses);
            return;
        }

        for (var k = 0; k < instruction.Results.Length; k++)
        {
            if (size == 8)
            {
                for (var part = 0; part < 2; part++)
                {
                    EmitLaneAccess(instruction, k, part, isStore: false);
                    EmitLaneAddress(addresses[part], k * size);
                    _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), nameof(LaneMemory.Load64)));
                    EmitResult(instruction.Results[k], part, typeof(long));
                }

                continue;
            }

            EmitLaneAccess(instruction, k, -1, isStore: false);
            EmitLaneAddress(addresses[0], k * size);
            EmitLaneAddress(addresses[1], k * size);
            _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), size switch
            {
                4 => nameof(LaneMemory.Load32),
                2 => type.IsSigned() ? nameof(LaneMemory.Load16Signed) : nameof(LaneMemory.Load16Unsigned),
                _ => type.IsSigned() ? nameof(LaneMemory.Load8Signed) : nameof(LaneMemory.Load8Unsigned),
            }));
            EmitLoaded(instruction.Results[k], type);
        }
    }

    private void EmitQuadLoad(Instruction instruction, LocalBuilder[] addresses)
    {
        _il.Emit(OpCodes.Ldarg_0);
        _il.Emit(OpCodes.Ldloc, _group);
        EmitLaneMask(-1);
        EmitRange(instruction);
        EmitConstant(AccessCode.Create(16, 16, instruction.Opcode.Space, upperHalf: false, isStore: false));
        EmitLaneAddress(addresses[0], 0);
        EmitLaneAddress(addresses[1], 0);
        _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), nameof(LaneMemory.Load128)));
        for (var k = 0; k < instruction.Results.Length; k++)
        {
            EmitFrameAddress(FrameLayout.ScratchOffset + (k * 32));
            _il.Emit(OpCodes.Ldobj, typeof(Vector256<int>));
            EmitLoaded(instruction.Results[k], instruction.Opcode.Type);
        }
    }

    // Eight 32-bit lanes on the stack, just loaded, into a register that may be wider.
    private void EmitLoaded(Operand result, PtxType type)
    {
        if (result.Register is not { IsWide: true })
        {
            EmitResult(result, 0, typeof(int));
            return;
        }

        var element = type.IsSigned() ? typeof(int) : typeof(uint);
        EmitAs(typeof(int), element);
        var local = _locals.Take(MethodCatalog.VectorOf(element));
        _il.Emit(OpCodes.Stloc, local);
        for (var part = 0; part < 2; part++)
        {
            _il.Emit(OpCodes.Ldloc, local);
            Vector(part == 0 ? "WidenLower" : "WidenUpper", element, 1);
            EmitResult(result, part, element == typeof(int) ? typeof(long) : typeof(ulong));
        }
    }

    private void EmitInStepLoad(Instruction instruction)
    {
        var type = instruction.Opcode.Type;
        var size = type.Size();
        var pattern = AddressPattern(instruction);
        var isBroadcast = pattern is null || pattern.StepsInGroups(0);
        var isContiguous = pattern is not null && pattern.StepsInGroups(TotalSize(instruction));
        if (isContiguous && size == 4 && instruction.Opcode.Vector > 1 && Avx2.IsSupported)
        {
            EmitTransposedLoad(instruction);
            return;
        }

        for (var k = 0; k < instruction.Results.Length; k++)
        {
            if (size == 8)
            {
                for (var part = 0; part < 2; part++)
                {
                    if (isContiguous && instruction.Opcode.Vector == 1)
                    {
                        EmitGroupAddress(instruction, part * 32);
                        _il.Emit(OpCodes.Ldobj, typeof(Vector256<long>));
                    }
                    else if (isBroadcast)
                    {
                        EmitGroupAddress(instruction, k * size);
                        _il.Emit(OpCodes.Ldind_I8);
                        _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(typeof(long)));
                    }
                    else
                    {
                        EmitGroupAddress(instruction, k * size);
                        EmitDistances(pattern!, part, wide: true);
                        _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), nameof(LaneMemory.Gather64)));
                    }

                    EmitResult(instruction.Results[k], part, typeof(long));
                }

                continue;
            }

            if (isBroadcast)
            {
                EmitGroupAddress(instruction, k * size);
                _il.Emit(size == 4 ? OpCodes.Ldind_I4 : size == 2 ? (type.IsSigned() ? OpCodes.Ldind_I2 : OpCodes.Ldind_U2) : type.IsSigned() ? OpCodes.Ldind_I1 : OpCodes.Ldind_U1);
                _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(typeof(int)));
            }
            else if (isContiguous && instruction.Opcode.Vector == 1)
            {
                EmitGroupAddress(instruction, 0);
                EmitContiguousLoad(type);
            }
            else if (size == 4)
            {
                EmitGroupAddress(instruction, k * size);
                EmitDistances(pattern!, 0, wide: false);
                _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), nameof(LaneMemory.Gather32)));
            }
            else
            {
                EmitGroupAddress(instruction, k * size);
                EmitDistances(pattern!, 0, wide: false);
                _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), $"Gather{size * 8}{(type.IsSigned() ? "Signed" : "Unsigned")}"));
            }

            EmitLoaded(instruction.Results[k], type);
        }
    }

    private void EmitContiguousLoad(PtxType type)
    {
        if (type.Size() == 4)
        {
            _il.Emit(OpCodes.Ldobj, typeof(Vector256<int>));
            return;
        }

        _il.Emit(OpCodes.Call, MethodCatalog.Find(typeof(LaneMemory), $"Contiguous{type.Size() * 8}{(type.IsSigned() ? "Signed" : "Unsigned")}", [typeof(nint)]));
    }

    // Lanes one after the other with two or four floats each: whole vectors are loaded and transposed.
    private void EmitTransposedLoad(Instruction instruction)
    {
        var count = instruction.Opcode.Vector;
        var vector = typeof(Vector256<float>);
        var rows = new LocalBuilder[count];
        for (var i = 0; i < count; i++)
        {
            rows[i] = _locals.Take(vector);
            EmitGroupAddress(instruction, i * 32);
            _il.Emit(OpCodes.Ldobj, vector);
            _il.Emit(OpCodes.Stloc, rows[i]);
        }

        if (count == 2)
        {
            // Rows: lanes 0-3 and 4-7, two elements each.
            var (a, b) = (EmitPermute2x128(rows[0], rows[1], 0x20), EmitPermute2x128(rows[0], rows[1], 0x31));
            for (var k = 0; k < 2; k++)
            {
                _il.Emit(OpCodes.Ldloc, a);
                _il.Emit(OpCodes.Ldloc, b);
                EmitConstant(k == 0 ? 0x88 : 0xDD);
                _il.Emit(OpCodes.Call, AvxMethod(nameof(Avx.Shuffle), [vector, vector, typeof(byte)]));
                EmitAs(typeof(float), typeof(int));
                EmitLoaded(instruction.Results[k], instruction.Opcode.Type);
            }

            return;
        }

        EmitTransposed(instruction, rows);
    }

    // Rows of lanes 0-1, 2-3, 4-5 and 6-7, four elements each, into the four results.
    private void EmitTransposed(Instruction instruction, LocalBuilder[] rows)
    {
        var r0 = EmitPermute2x128(rows[0], rows[2], 0x20);
        var r1 = EmitPermute2x128(rows[0], rows[2], 0x31);
        var r2 = EmitPermute2x128(rows[1], rows[3], 0x20);
        var r3 = EmitPermute2x128(rows[1], rows[3], 0x31);
        var low01 = EmitPair(nameof(Avx.UnpackLow), r0, r1);
        var low23 = EmitPair(nameof(Avx.UnpackLow), r2, r3);
        var high01 = EmitPair(nameof(Avx.UnpackHigh), r0, r1);
        var high23 = EmitPair(nameof(Avx.UnpackHigh), r2, r3);
        for (var k = 0; k < 4; k++)
        {
            _il.Emit(OpCodes.Ldloc, k < 2 ? low01 : high01);
            _il.Emit(OpCodes.Ldloc, k < 2 ? low23 : high23);
            EmitConstant((k & 1) == 0 ? 0x44 : 0xEE);
            _il.Emit(OpCodes.Call, AvxMethod(nameof(Avx.Shuffle), [typeof(Vector256<float>), typeof(Vector256<float>), typeof(byte)]));
            EmitAs(typeof(float), typeof(int));
            EmitLoaded(instruction.Results[k], instruction.Opcode.Type);
        }
    }

    // Four floats a lane at any addresses: all lanes are checked at once, each loads its 16 bytes, and the rows are transposed.
    private void EmitVectorPerLaneLoad(Instruction instruction, LocalBuilder[] addresses)
    {
        _il.Emit(OpCodes.Ldarg_0);
        _il.Emit(OpCodes.Ldloc, _group);
        EmitLaneMask(-1);
        EmitRange(instruction);
        EmitConstant(AccessCode.Create(TotalSize(instruction), TotalSize(instruction), instruction.Opcode.Space, upperHalf: false, isStore: false));
        _il.Emit(OpCodes.Ldloc, addresses[0]);
        _il.Emit(OpCodes.Ldloc, addresses[1]);
        _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), nameof(LaneMemory.CheckAll)));
        var rows = new LocalBuilder[4];
        for (var i = 0; i < 4; i++)
        {
            rows[i] = _locals.Take(typeof(Vector256<float>));
            EmitLaneVector(addresses[i / 2], i % 2 * 2);
            EmitLaneVector(addresses[i / 2], (i % 2 * 2) + 1);
            _il.Emit(OpCodes.Call, MethodCatalog.Find(typeof(Vector256), nameof(Vector256.Create), [typeof(Vector128<float>), typeof(Vector128<float>)]));
            _il.Emit(OpCodes.Stloc, rows[i]);
        }

        EmitTransposed(instruction, rows);
    }

    // Pushes the 16 bytes at one of four addresses.
    private void EmitLaneVector(LocalBuilder addresses, int lane)
    {
        _il.Emit(OpCodes.Ldloc, addresses);
        EmitConstant(lane);
        _il.Emit(OpCodes.Call, GetElement(typeof(long)));
        _il.Emit(OpCodes.Conv_I);
        _il.Emit(OpCodes.Ldobj, typeof(Vector128<float>));
    }

    private static System.Reflection.MethodInfo AvxMethod(string name, Type[] types) => MethodCatalog.Find(typeof(Avx), name, types);

    private LocalBuilder EmitPermute2x128(LocalBuilder a, LocalBuilder b, int control)
    {
        var vector = typeof(Vector256<float>);
        var result = _locals.Take(vector);
        _il.Emit(OpCodes.Ldloc, a);
        _il.Emit(OpCodes.Ldloc, b);
        EmitConstant(control);
        _il.Emit(OpCodes.Call, AvxMethod(nameof(Avx.Permute2x128), [vector, vector, typeof(byte)]));
        _il.Emit(OpCodes.Stloc, result);
        return result;
    }

    private LocalBuilder EmitPair(string name, LocalBuilder a, LocalBuilder b)
    {
        var vector = typeof(Vector256<float>);
        var result = _locals.Take(vector);
        _il.Emit(OpCodes.Ldloc, a);
        _il.Emit(OpCodes.Ldloc, b);
        _il.Emit(OpCodes.Call, AvxMethod(name, [vector, vector]));
        _il.Emit(OpCodes.Stloc, result);
        return result;
    }

    // ---- stores

    private void EmitStore(Instruction instruction)
    {
        if (_bases.ContainsKey(instruction))
        {
            EmitInStepStore(instruction);
            return;
        }

        var size = instruction.Opcode.Type.Size();
        var addresses = EmitLaneAddresses(instruction);
        for (var k = 0; k < instruction.Opcode.Vector; k++)
        {
            if (size == 8)
            {
                for (var part = 0; part < 2; part++)
                {
                    EmitLaneAccess(instruction, k, part, isStore: true);
                    EmitLaneAddress(addresses[part], k * size);
                    EmitSource(instruction.Sources[k + 1], PtxType.S64, part);
                    _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), nameof(LaneMemory.Store64)));
                }

                continue;
            }

            EmitLaneAccess(instruction, k, -1, isStore: true);
            EmitLaneAddress(addresses[0], k * size);
            EmitLaneAddress(addresses[1], k * size);
            EmitStoredBits(instruction.Sources[k + 1]);
            _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), $"Store{size * 8}"));
        }
    }

    // Pushes the low 32 bits of a source's lanes.
    private void EmitStoredBits(Operand source)
    {
        EmitNarrowSource(source, PtxType.S32);
    }

    private void EmitInStepStore(Instruction instruction)
    {
        var size = instruction.Opcode.Type.Size();
        var count = instruction.Opcode.Vector;
        var pattern = AddressPattern(instruction);
        var isBroadcast = pattern is null || pattern.StepsInGroups(0);
        var isContiguous = pattern is not null && pattern.StepsInGroups(TotalSize(instruction));
        if (isContiguous && size == 4 && count > 1 && Avx2.IsSupported)
        {
            EmitTransposedStore(instruction);
            return;
        }

        for (var k = 0; k < count; k++)
        {
            for (var part = 0; part < (size == 8 ? 2 : 1); part++)
            {
                EmitGroupAddress(instruction, (k * size) + (isContiguous && count == 1 ? part * 32 : 0));
                if (isBroadcast)
                {
                    // All lanes write to one place; the last one's value stays.
                    if (size == 8)
                    {
                        EmitSource(instruction.Sources[k + 1], PtxType.S64, 1);
                        EmitConstant(3);
                        _il.Emit(OpCodes.Call, GetElement(typeof(long)));
                        _il.Emit(OpCodes.Stind_I8);
                        break;
                    }

                    EmitStoredBits(instruction.Sources[k + 1]);
                    EmitConstant(7);
                    _il.Emit(OpCodes.Call, GetElement(typeof(int)));
                    _il.Emit(size == 4 ? OpCodes.Stind_I4 : size == 2 ? OpCodes.Stind_I2 : OpCodes.Stind_I1);
                }
                else if (size == 8 && isContiguous && count == 1)
                {
                    EmitSource(instruction.Sources[k + 1], PtxType.S64, part);
                    _il.Emit(OpCodes.Stobj, typeof(Vector256<long>));
                }
                else if (size == 8)
                {
                    EmitDistances(pattern!, part, wide: true);
                    EmitSource(instruction.Sources[k + 1], PtxType.S64, part);
                    _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), nameof(LaneMemory.Scatter64)));
                }
                else if (size == 4 && isContiguous && count == 1)
                {
                    EmitStoredBits(instruction.Sources[k + 1]);
                    _il.Emit(OpCodes.Stobj, typeof(Vector256<int>));
                }
                else if (isContiguous && count == 1)
                {
                    EmitStoredBits(instruction.Sources[k + 1]);
                    _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), $"StoreContiguous{size * 8}"));
                }
                else
                {
                    EmitDistances(pattern!, 0, wide: false);
                    EmitStoredBits(instruction.Sources[k + 1]);
                    _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), $"Scatter{size * 8}"));
                }
            }
        }
    }

    private static System.Reflection.MethodInfo GetElement(Type element) => typeof(Vector256).GetMethod(nameof(System.Runtime.Intrinsics.Vector256.GetElement))!.MakeGenericMethod(element);

    private void EmitTransposedStore(Instruction instruction)
    {
        var count = instruction.Opcode.Vector;
        var vector = typeof(Vector256<float>);
        var columns = new LocalBuilder[count];
        for (var k = 0; k < count; k++)
        {
            columns[k] = _locals.Take(vector);
            EmitStoredBits(instruction.Sources[k + 1]);
            EmitAs(typeof(int), typeof(float));
            _il.Emit(OpCodes.Stloc, columns[k]);
        }

        LocalBuilder[] rows;
        if (count == 2)
        {
            // Lanes 0 1 | 4 5 and 2 3 | 6 7, then the halves in order.
            var low = EmitPair(nameof(Avx.UnpackLow), columns[0], columns[1]);
            var high = EmitPair(nameof(Avx.UnpackHigh), columns[0], columns[1]);
            rows = [EmitPermute2x128(low, high, 0x20), EmitPermute2x128(low, high, 0x31)];
        }
        else
        {
            var low01 = EmitPair(nameof(Avx.UnpackLow), columns[0], columns[1]);
            var high01 = EmitPair(nameof(Avx.UnpackHigh), columns[0], columns[1]);
            var low23 = EmitPair(nameof(Avx.UnpackLow), columns[2], columns[3]);
            var high23 = EmitPair(nameof(Avx.UnpackHigh), columns[2], columns[3]);
            var lanes = new LocalBuilder[4];
            for (var lane = 0; lane < 4; lane++)
            {
                lanes[lane] = _locals.Take(vector);
                _il.Emit(OpCodes.Ldloc, lane < 2 ? low01 : high01);
                _il.Emit(OpCodes.Ldloc, lane < 2 ? low23 : high23);
                EmitConstant((lane & 1) == 0 ? 0x44 : 0xEE);
                _il.Emit(OpCodes.Call, AvxMethod(nameof(Avx.Shuffle), [vector, vector, typeof(byte)]));
                _il.Emit(OpCodes.Stloc, lanes[lane]);
            }

            rows =
            [
                EmitPermute2x128(lanes[0], lanes[1], 0x20),
                EmitPermute2x128(lanes[2], lanes[3], 0x20),
                EmitPermute2x128(lanes[0], lanes[1], 0x31),
                EmitPermute2x128(lanes[2], lanes[3], 0x31),
            ];
        }

        for (var i = 0; i < count; i++)
        {
            EmitGroupAddress(instruction, i * 32);
            _il.Emit(OpCodes.Ldloc, rows[i]);
            _il.Emit(OpCodes.Stobj, vector);
        }
    }

    // ---- lanes at any address

    // Computes the group's host addresses into two locals of four each.
    private LocalBuilder[] EmitLaneAddresses(Instruction instruction)
    {
        var addresses = new LocalBuilder[2];
        var operand = instruction.Sources[0];
        for (var part = 0; part < 2; part++)
        {
            addresses[part] = _locals.Take(typeof(Vector256<long>));
            var isLocal = instruction.Opcode.Space == PtxSpace.Local;
            if (isLocal)
            {
                _il.Emit(OpCodes.Ldarg_0);
                _il.Emit(OpCodes.Ldloc, _group);
                EmitLaneMask(part);
                EmitConstant(AccessCode.Create(TotalSize(instruction), 1, PtxSpace.Local, part == 1, instruction.Op == Op.St));
            }

            if (operand.Register is null)
            {
                EmitImmediate(operand.Bits, PtxType.S64, typeof(long));
            }
            else if (operand.Register.IsWide)
            {
                EmitSource(operand, PtxType.S64, part);
            }
            else
            {
                EmitWidened(operand, PtxType.U32, part);
                EmitAs(typeof(ulong), typeof(long));
            }

            if (isLocal)
            {
                _il.Emit(OpCodes.Ldc_I8, instruction.Offset);
                _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(typeof(long)));
                Vector("Add", typeof(long), 2);
                _il.Emit(OpCodes.Call, MethodCatalog.Only(typeof(LaneMemory), nameof(LaneMemory.LocalAddresses)));
            }
            else
            {
                EmitSpaceBase(instruction);
                _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(typeof(long)));
                Vector("Add", typeof(long), 2);
            }

            _il.Emit(OpCodes.Stloc, addresses[part]);
        }

        return addresses;
    }

    private void EmitLaneAddress(LocalBuilder addresses, int extra)
    {
        _il.Emit(OpCodes.Ldloc, addresses);
        if (extra != 0)
        {
            _il.Emit(OpCodes.Ldc_I8, (long)extra);
            _il.Emit(OpCodes.Call, MethodCatalog.Broadcast(typeof(long)));
            Vector("Add", typeof(long), 2);
        }
    }

    // Pushes the bits of the lanes that run: all eight for part -1, else four.
    private void EmitLaneMask(int part)
    {
        if (!IsGeneral)
        {
            EmitConstant(part < 0 ? 0xFF : 15);
            return;
        }

        _il.Emit(OpCodes.Ldloc, _bits);
        if (part == 1)
        {
            EmitConstant(4);
            _il.Emit(OpCodes.Shr_Un);
        }
        else if (part == 0)
        {
            EmitConstant(15);
            _il.Emit(OpCodes.And);
        }
    }

    // Pushes the arguments that LaneMemory's methods share.
    private void EmitLaneAccess(Instruction instruction, int element, int part, bool isStore)
    {
        var size = instruction.Opcode.Type.Size();
        _il.Emit(OpCodes.Ldarg_0);
        _il.Emit(OpCodes.Ldloc, _group);
        EmitLaneMask(part);
        EmitRange(instruction);
        EmitConstant(AccessCode.Create(size, element == 0 ? TotalSize(instruction) : size, instruction.Opcode.Space, part == 1, isStore));
    }
}
