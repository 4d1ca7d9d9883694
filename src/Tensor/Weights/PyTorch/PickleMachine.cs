// Runs the part of Python's pickle language that plain data and tensors need. Nothing that a pickle names is ever called.
using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// A pickle is a program for a stack machine (PEP 307, PEP 3154; Lib/pickletools.py of CPython describes every instruction). In
/// Python it may call anything. Here the instructions and the names that it may use are those that <c>torch.save</c> needs for
/// tensors, numbers, texts, lists, tuples and dictionaries; whatever else it holds is refused by name, before anything is done.
/// </summary>
internal sealed class PickleMachine
{
    private const int MostOpcodes = 4_000_000;
    private const int MostStack = 1_000_000;
    private const int MostGlobalName = 256;
    private const int MostIntegerBytes = 64;
    private const int MostRank = 64;

    // What values take, from above: an object's header and fields, a slot of a list that doubles, an item of a dictionary with its slots.
    private const int ObjectBytes = 64;
    private const int SlotBytes = 24;
    private const int ItemBytes = 160;

    // A view may repeat its storage's elements, which costs nothing until it is read.
    private const long MostRepeated = 16 << 20;

    private static readonly object s_mark = new();
    private static readonly object s_true = true;
    private static readonly object s_false = false;
    private static readonly object[] s_small = [.. Enumerable.Range(0, 256).Select(i => (object)(long)i)];
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly string _path;
    private readonly string _record;
    private readonly PickleBudget _budget;
    private readonly Func<PickleStorage, string?>? _findStorage;
    private readonly List<object?> _stack = [];
    private readonly Dictionary<uint, object?> _memo = [];
    private readonly Dictionary<string, PickleStorage> _storages = new(StringComparer.Ordinal);
    private int _marks;
    private int _opcodes;
    private int _at;

    /// <summary>A machine for one pickle.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="record">The pickle's name in it, for messages.</param>
    /// <param name="budget">What it may take.</param>
    /// <param name="findStorage">Says what is wrong with a storage, or null; without it the pickle may have none.</param>
    public PickleMachine(string path, string record, PickleBudget budget, Func<PickleStorage, string?>? findStorage = null)
        => (_path, _record, _budget, _findStorage) = (path, record, budget, findStorage);

    /// <summary>The storages that tensors refer to, by name.</summary>
    public IReadOnlyDictionary<string, PickleStorage> Storages => _storages;

    /// <summary>Runs a pickle to its end.</summary>
    /// <param name="pickle">The bytes, which may be more than the pickle has.</param>
    /// <param name="length">How many of them the pickle has.</param>
    /// <returns>
    /// null, bool, long, <see cref="BigInteger"/>, double, string, byte[], List&lt;object&gt; for a list, object[] for a tuple,
    /// <see cref="PickleDictionary"/>, <see cref="PickleTensor"/>, or what only tensors are made of.
    /// </returns>
    /// <exception cref="PyTorchFileException">It is refused.</exception>
    public object? Run(ReadOnlySpan<byte> pickle, out int length)
    {
        var position = 0;
        if (pickle.Length < 2 || pickle[0] != Opcode.Proto)
        {
            throw Fail(PyTorchFileError.InvalidPickle, "it does not start as a pickle of protocol 2 or later does");
        }

        while (true)
        {
            _at = position;
            if (++_opcodes > MostOpcodes)
            {
                throw Fail(PyTorchFileError.LimitExceeded, $"there are more than {MostOpcodes} instructions");
            }

            var opcode = Take(pickle, ref position, 1)[0];
            if (opcode == Opcode.Stop)
            {
                length = position;
                return _stack.Count == 1 && _marks == 0 ? _stack[0] : throw Fail(PyTorchFileError.InvalidPickle, $"{_stack.Count} values are left at its end, not one");
            }

            Step(opcode, pickle, ref position);
            if (_stack.Count > MostStack)
            {
                throw Fail(PyTorchFileError.LimitExceeded, $"more than {MostStack} values are on the stack");
            }
        }
    }

    private void Step(byte opcode, ReadOnlySpan<byte> pickle, ref int position)
    {
        switch (opcode)
        {
            case Opcode.Proto:
                if (Take(pickle, ref position, 1)[0] is var protocol and not (>= 2 and <= 5))
                {
                    throw Fail(PyTorchFileError.InvalidPickle, $"protocol {protocol} is not known");
                }

                break;
            case Opcode.Frame:
                // How much a reader should read ahead; all of it is there.
                Take(pickle, ref position, 8);
                break;
            case Opcode.Mark:
                Push(s_mark);
                _marks++;
                break;
            case Opcode.None:
                Push(null);
                break;
            case Opcode.NewTrue:
                Push(s_true);
                break;
            case Opcode.NewFalse:
                Push(s_false);
                break;
            case Opcode.BinInt:
                PushInteger(BinaryPrimitives.ReadInt32LittleEndian(Take(pickle, ref position, 4)));
                break;
            case Opcode.BinInt1:
                PushInteger(Take(pickle, ref position, 1)[0]);
                break;
            case Opcode.BinInt2:
                PushInteger(BinaryPrimitives.ReadUInt16LittleEndian(Take(pickle, ref position, 2)));
                break;
            case Opcode.Long1:
                PushLong(Take(pickle, ref position, Take(pickle, ref position, 1)[0]));
                break;
            case Opcode.Long4:
                PushLong(Take(pickle, ref position, Length(BinaryPrimitives.ReadUInt32LittleEndian(Take(pickle, ref position, 4)))));
                break;
            case Opcode.BinFloat:
                _budget.Take(ObjectBytes);
                Push(BinaryPrimitives.ReadDoubleBigEndian(Take(pickle, ref position, 8)));
                break;
            case Opcode.ShortBinUnicode:
                PushText(Take(pickle, ref position, Take(pickle, ref position, 1)[0]), s_utf8);
                break;
            case Opcode.BinUnicode:
                PushText(Take(pickle, ref position, Length(BinaryPrimitives.ReadUInt32LittleEndian(Take(pickle, ref position, 4)))), s_utf8);
                break;
            case Opcode.BinUnicode8:
                PushText(Take(pickle, ref position, Length(BinaryPrimitives.ReadUInt64LittleEndian(Take(pickle, ref position, 8)))), s_utf8);
                break;
            case Opcode.ShortBinString:
                // Python 2's texts are bytes.
                PushText(Take(pickle, ref position, Take(pickle, ref position, 1)[0]), Encoding.Latin1);
                break;
            case Opcode.BinString:
                PushText(Take(pickle, ref position, Length(BinaryPrimitives.ReadUInt32LittleEndian(Take(pickle, ref position, 4)))), Encoding.Latin1);
                break;
            case Opcode.ShortBinBytes:
                PushBytes(Take(pickle, ref position, Take(pickle, ref position, 1)[0]));
                break;
            case Opcode.BinBytes:
                PushBytes(Take(pickle, ref position, Length(BinaryPrimitives.ReadUInt32LittleEndian(Take(pickle, ref position, 4)))));
                break;
            case Opcode.EmptyList:
                _budget.Take(ObjectBytes);
                Push(new List<object?>());
                break;
            case Opcode.Append:
                ListUnder(1).Add(Pop());
                _budget.Take(SlotBytes);
                break;
            case Opcode.Appends:
                var appended = PopToMark();
                ListUnder(0).AddRange(appended);
                _budget.Take((long)SlotBytes * appended.Length);
                break;
            case Opcode.EmptyTuple:
                Push(Array.Empty<object?>());
                break;
            case Opcode.Tuple1:
                PushTuple([Pop()]);
                break;
            case Opcode.Tuple2:
                {
                    var last = Pop();
                    PushTuple([Pop(), last]);
                    break;
                }

            case Opcode.Tuple3:
                {
                    var (last, middle) = (Pop(), Pop());
                    PushTuple([Pop(), middle, last]);
                    break;
                }

            case Opcode.Tuple:
                PushTuple(PopToMark());
                break;
            case Opcode.EmptyDict:
                _budget.Take(ItemBytes);
                Push(new PickleDictionary());
                break;
            case Opcode.SetItem:
                {
                    var (value, key) = (Pop(), Pop());
                    Set(DictionaryOnTop(), key, value);
                    break;
                }

            case Opcode.SetItems:
                var items = PopToMark();
                if (items.Length % 2 != 0)
                {
                    throw Fail(PyTorchFileError.InvalidPickle, "a dictionary gets a key without a value");
                }

                for (var i = 0; i < items.Length; i += 2)
                {
                    Set(DictionaryOnTop(), items[i], items[i + 1]);
                }

                break;
            case Opcode.Memoize:
                Remember((uint)_memo.Count);
                break;
            case Opcode.BinPut:
                Remember(Take(pickle, ref position, 1)[0]);
                break;
            case Opcode.LongBinPut:
                Remember(BinaryPrimitives.ReadUInt32LittleEndian(Take(pickle, ref position, 4)));
                break;
            case Opcode.BinGet:
                Recall(Take(pickle, ref position, 1)[0]);
                break;
            case Opcode.LongBinGet:
                Recall(BinaryPrimitives.ReadUInt32LittleEndian(Take(pickle, ref position, 4)));
                break;
            case Opcode.Global:
                var module = Line(pickle, ref position);
                PushGlobal(module, Line(pickle, ref position));
                break;
            case Opcode.StackGlobal:
                {
                    var (name, from) = (Pop(), Pop());
                    PushGlobal(
                        from as string ?? throw Fail(PyTorchFileError.InvalidPickle, "a module's name is no text"),
                        name as string ?? throw Fail(PyTorchFileError.InvalidPickle, "a global's name is no text"));
                    break;
                }

            case Opcode.Reduce:
                {
                    var (arguments, called) = (Pop(), Pop());
                    Push(Reduce(
                        called as PickleGlobal ?? throw Fail(PyTorchFileError.InvalidPickle, $"{Describe(called)} is called"),
                        arguments as object?[] ?? throw Fail(PyTorchFileError.InvalidPickle, $"a call's arguments are {Describe(arguments)}, not a tuple")));
                    break;
                }

            case Opcode.Build:
                // An OrderedDict's attributes: a module's state has the versions of its parts there.
                if (Pop() is not PickleDictionary)
                {
                    throw Fail(PyTorchFileError.InvalidPickle, "an object's state is no dictionary");
                }

                DictionaryOnTop();
                break;
            case Opcode.BinPersId:
                Push(Storage(Pop() as object?[] ?? throw Fail(PyTorchFileError.InvalidPickle, "a storage is not described by a tuple")));
                break;
            default:
                throw Fail(PyTorchFileError.ForbiddenOpcode, $"instruction {Opcode.NameOf(opcode)} is not one that tensors and plain data need; nothing was run");
        }
    }

    private object? Reduce(PickleGlobal called, object?[] arguments)
    {
        switch (called.Kind)
        {
            case PickleGlobalKind.OrderedDictionary when arguments.Length == 0:
                _budget.Take(ItemBytes);
                return new PickleDictionary();
            case PickleGlobalKind.RebuildTensor:
                return Tensor(called, arguments);
            case PickleGlobalKind.RebuildParameter when arguments is [PickleTensor tensor, bool, _, ..] && arguments.Length <= 4:
                return tensor;
            case PickleGlobalKind.Size when arguments is [object?[] size]:
                return size;
            case PickleGlobalKind.Device when arguments is [string kind]:
                return kind;
            case PickleGlobalKind.Device when arguments is [string kind, long index]:
                _budget.Take(ObjectBytes + (2L * kind.Length));
                return string.Create(CultureInfo.InvariantCulture, $"{kind}:{index}");
            case PickleGlobalKind.Encode when arguments is [string text, "latin1"]:
                _budget.Take(ObjectBytes + text.Length);
                return text.All(c => c <= 0xff)
                    ? Encoding.Latin1.GetBytes(text)
                    : throw Fail(PyTorchFileError.InvalidPickle, "a text that stands for bytes has other characters");
            default:
                throw Fail(PyTorchFileError.InvalidPickle, $"{called.Name} gets arguments that it does not take");
        }
    }

    // ('storage', class, key, place, elements), and in old files a part of another storage, or None.
    private PickleStorage Storage(object?[] id)
    {
        if (_findStorage is null
            || id is not ["storage", PickleGlobal { Kind: PickleGlobalKind.Storage } kind, string key, string, long elements, ..]
            || id.Length > 6
            || elements < 0
            || elements > long.MaxValue / sizeof(double))
        {
            throw Fail(PyTorchFileError.InvalidPickle, "a storage is described in a way that torch.save does not use");
        }

        if (id.Length == 6 && id[5] is not null)
        {
            throw Fail(PyTorchFileError.UnsupportedFormat, "a storage is a part of another one, as PyTorch before 0.4 wrote it; load and save it with a later version");
        }

        if (_storages.TryGetValue(key, out var known))
        {
            return known.Type == kind.Type && known.Elements == elements
                ? known
                : throw Fail(PyTorchFileError.InvalidTensor, $"storage {PrintableText.Quoted(key)} is described in two ways");
        }

        _budget.Take(ItemBytes + ObjectBytes);
        var storage = new PickleStorage(key, kind.Type, elements);
        if (_findStorage(storage) is { } problem)
        {
            throw Fail(PyTorchFileError.InvalidTensor, $"storage {PrintableText.Quoted(key)} {problem}");
        }

        _storages.Add(key, storage);
        return storage;
    }

    private PickleTensor Tensor(PickleGlobal rebuild, object?[] arguments)
    {
        if (arguments is not [PickleStorage storage, long offset, object?[] sizes, object?[] strides, ..] || offset < 0 || sizes.Length != strides.Length)
        {
            throw Fail(PyTorchFileError.InvalidPickle, $"{rebuild.Name} gets arguments that it does not take");
        }

        if (sizes.Length > MostRank)
        {
            throw Fail(PyTorchFileError.LimitExceeded, $"a tensor has {sizes.Length} axes, more than {MostRank}");
        }

        _budget.Take((2 * ObjectBytes) + ((sizeof(int) + sizeof(long)) * sizes.Length));
        var type = storage.Type ?? (arguments is [_, _, _, _, _, _, PickleGlobal { Kind: PickleGlobalKind.ElementType, Type: { } named }, ..]
            ? named
            : throw Fail(PyTorchFileError.InvalidPickle, "a tensor has no element type"));
        var lengths = new int[sizes.Length];
        var steps = new long[sizes.Length];
        for (var i = 0; i < lengths.Length; i++)
        {
            if (sizes[i] is not long size || strides[i] is not long stride || size < 0 || stride < 0)
            {
                throw Fail(PyTorchFileError.InvalidTensor, "a tensor's sizes and strides are not all whole numbers from 0");
            }

            lengths[i] = size <= int.MaxValue ? (int)size : throw Fail(PyTorchFileError.InvalidTensor, $"an axis of {size} elements is too long");
            steps[i] = stride;
        }

        var elements = storage.Type is null ? storage.Elements / type.SizeInBytes() : storage.Elements;
        var last = (Int128)offset - 1;
        Int128 count = 1;
        foreach (var length in lengths)
        {
            count = count > long.MaxValue ? count : count * length;
        }

        if (count > 0)
        {
            last = offset;
            for (var i = 0; i < lengths.Length; i++)
            {
                last += (Int128)(lengths[i] - 1) * steps[i];
            }
        }

        if (last >= elements)
        {
            throw Fail(PyTorchFileError.InvalidTensor, $"a tensor reaches element {last} of storage {PrintableText.Quoted(storage.Key)}, which has {elements}");
        }

        if (count * type.SizeInBytes() > long.Max(MostRepeated, storage.Bytes))
        {
            throw Fail(PyTorchFileError.LimitExceeded, $"a tensor of {count} elements repeats those of a storage of {elements}");
        }

        return new PickleTensor(storage, type, Shape.Keep(lengths), steps, offset);
    }

    private void PushGlobal(string module, string name)
    {
        var full = $"{module}.{name}";
        if (PickleGlobal.Find(full) is { } global)
        {
            Push(global);
            return;
        }

        throw PickleGlobal.IsUnsupportedType(full)
            ? Fail(PyTorchFileError.UnsupportedType, $"there are elements of type {full}, which this library does not have")
            : Fail(
                PyTorchFileError.ForbiddenGlobal,
                $"it asks for {PrintableText.Of(full, PrintableText.MessageLength)}, which is neither a tensor nor plain data; nothing was run. A file of tensors alone is made by torch.save(module.state_dict(), path)");
    }

    private void Set(PickleDictionary dictionary, object? key, object? value)
    {
        if (key is not (string or long))
        {
            throw Fail(PyTorchFileError.InvalidPickle, $"a dictionary's key is {Describe(key)}, neither a text nor a whole number");
        }

        _budget.Take(ItemBytes);
        dictionary.Items[key] = value;
    }

    private void PushTuple(object?[] items)
    {
        _budget.Take(ObjectBytes + (sizeof(long) * (long)items.Length));
        Push(items);
    }

    private void PushInteger(long value)
    {
        if (value is >= 0 and < 256)
        {
            Push(s_small[value]);
            return;
        }

        _budget.Take(ObjectBytes);
        Push(value);
    }

    private void PushLong(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > MostIntegerBytes)
        {
            throw Fail(PyTorchFileError.LimitExceeded, $"a whole number has {bytes.Length} bytes, more than {MostIntegerBytes}");
        }

        var value = new BigInteger(bytes);
        if (value >= long.MinValue && value <= long.MaxValue)
        {
            PushInteger((long)value);
            return;
        }

        _budget.Take(2 * ObjectBytes);
        Push(value);
    }

    private void PushText(ReadOnlySpan<byte> bytes, Encoding encoding)
    {
        _budget.Take(ObjectBytes + (sizeof(char) * (long)bytes.Length));
        try
        {
            Push(encoding.GetString(bytes));
        }
        catch (DecoderFallbackException e)
        {
            throw Fail(PyTorchFileError.InvalidPickle, "a text is not UTF-8", e);
        }
    }

    private void PushBytes(ReadOnlySpan<byte> bytes)
    {
        _budget.Take(ObjectBytes + bytes.Length);
        Push(bytes.ToArray());
    }

    private void Push(object? value)
    {
        if (_stack.Count == _stack.Capacity)
        {
            // It doubles, and the old one is there until it was copied.
            _budget.Take(2L * sizeof(long) * int.Max(_stack.Capacity, 4));
        }

        _stack.Add(value);
    }

    private object? Pop()
    {
        if (_stack.Count == 0 || ReferenceEquals(_stack[^1], s_mark))
        {
            throw Fail(PyTorchFileError.InvalidPickle, "an instruction finds nothing on the stack");
        }

        var value = _stack[^1];
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private object?[] PopToMark()
    {
        if (_marks == 0)
        {
            throw Fail(PyTorchFileError.InvalidPickle, "an instruction finds no mark on the stack");
        }

        var mark = _stack.FindLastIndex(v => ReferenceEquals(v, s_mark));
        var items = new object?[_stack.Count - mark - 1];
        _stack.CopyTo(mark + 1, items, 0, items.Length);
        _stack.RemoveRange(mark, _stack.Count - mark);
        _marks--;
        return items;
    }

    private List<object?> ListUnder(int depth) => _stack.Count > depth && _stack[^(depth + 1)] is List<object?> list
        ? list
        : throw Fail(PyTorchFileError.InvalidPickle, "something is appended to what is no list");

    private PickleDictionary DictionaryOnTop() => _stack.Count > 0 && _stack[^1] is PickleDictionary dictionary
        ? dictionary
        : throw Fail(PyTorchFileError.InvalidPickle, "an item is set in what is no dictionary");

    private void Remember(uint index)
    {
        _budget.Take(SlotBytes * 2);
        var value = Pop();
        Push(value);
        _memo[index] = value;
    }

    private void Recall(uint index) => Push(_memo.TryGetValue(index, out var value)
        ? value
        : throw Fail(PyTorchFileError.InvalidPickle, $"value {index} is used before it was stored"));

    private ReadOnlySpan<byte> Take(ReadOnlySpan<byte> pickle, ref int position, int count)
    {
        if (count > pickle.Length - position)
        {
            throw Fail(PyTorchFileError.InvalidPickle, "it ends in the middle of an instruction");
        }

        position += count;
        return pickle.Slice(position - count, count);
    }

    private int Length(ulong length) => length <= int.MaxValue ? (int)length : throw Fail(PyTorchFileError.InvalidPickle, $"a value of {length} bytes passes its end");

    private string Line(ReadOnlySpan<byte> pickle, ref int position)
    {
        var rest = pickle[position..];
        var end = rest[..int.Min(rest.Length, MostGlobalName + 1)].IndexOf((byte)'\n');
        if (end < 0)
        {
            throw Fail(PyTorchFileError.InvalidPickle, "a global's name has no end");
        }

        position += end + 1;
        return Encoding.Latin1.GetString(rest[..end]);
    }

    private static string Describe(object? value) => value switch
    {
        null => "None",
        bool => "a truth value",
        long or BigInteger => "a whole number",
        double => "a number",
        string => "a text",
        byte[] => "bytes",
        List<object?> => "a list",
        object?[] => "a tuple",
        PickleDictionary => "a dictionary",
        PickleTensor => "a tensor",
        PickleGlobal global => global.Name,
        _ => "a storage",
    };

    private PyTorchFileException Fail(PyTorchFileError error, string detail, Exception? cause = null)
        => new(error, _path, string.Create(CultureInfo.InvariantCulture, $"{_record}, byte {_at}: {detail}"), cause);

    // CPython's names and numbers.
    private static class Opcode
    {
        public const byte Mark = (byte)'(';
        public const byte Stop = (byte)'.';
        public const byte None = (byte)'N';
        public const byte BinInt = (byte)'J';
        public const byte BinInt1 = (byte)'K';
        public const byte BinInt2 = (byte)'M';
        public const byte BinFloat = (byte)'G';
        public const byte BinString = (byte)'T';
        public const byte ShortBinString = (byte)'U';
        public const byte BinUnicode = (byte)'X';
        public const byte BinBytes = (byte)'B';
        public const byte ShortBinBytes = (byte)'C';
        public const byte Append = (byte)'a';
        public const byte Build = (byte)'b';
        public const byte Global = (byte)'c';
        public const byte Appends = (byte)'e';
        public const byte BinGet = (byte)'h';
        public const byte LongBinGet = (byte)'j';
        public const byte BinPut = (byte)'q';
        public const byte LongBinPut = (byte)'r';
        public const byte SetItem = (byte)'s';
        public const byte Tuple = (byte)'t';
        public const byte SetItems = (byte)'u';
        public const byte Reduce = (byte)'R';
        public const byte BinPersId = (byte)'Q';
        public const byte EmptyTuple = (byte)')';
        public const byte EmptyList = (byte)']';
        public const byte EmptyDict = (byte)'}';
        public const byte Proto = 0x80;
        public const byte Tuple1 = 0x85;
        public const byte Tuple2 = 0x86;
        public const byte Tuple3 = 0x87;
        public const byte NewTrue = 0x88;
        public const byte NewFalse = 0x89;
        public const byte Long1 = 0x8a;
        public const byte Long4 = 0x8b;
        public const byte ShortBinUnicode = 0x8c;
        public const byte BinUnicode8 = 0x8d;
        public const byte StackGlobal = 0x93;
        public const byte Memoize = 0x94;
        public const byte Frame = 0x95;

        private static readonly Dictionary<byte, string> s_refused = new()
        {
            [(byte)'I'] = "INT", [(byte)'L'] = "LONG", [(byte)'S'] = "STRING", [(byte)'V'] = "UNICODE", [(byte)'F'] = "FLOAT", [(byte)'P'] = "PERSID",
            [(byte)'0'] = "POP", [(byte)'1'] = "POP_MARK", [(byte)'2'] = "DUP", [(byte)'i'] = "INST", [(byte)'o'] = "OBJ", [(byte)'d'] = "DICT",
            [(byte)'l'] = "LIST", [(byte)'p'] = "PUT", [(byte)'g'] = "GET", [0x81] = "NEWOBJ", [0x82] = "EXT1", [0x83] = "EXT2", [0x84] = "EXT4",
            [0x8e] = "BINBYTES8", [0x8f] = "EMPTY_SET", [0x90] = "ADDITEMS", [0x91] = "FROZENSET", [0x92] = "NEWOBJ_EX", [0x96] = "BYTEARRAY8",
            [0x97] = "NEXT_BUFFER", [0x98] = "READONLY_BUFFER",
        };

        public static string NameOf(byte opcode) => s_refused.TryGetValue(opcode, out var name)
            ? name
            : string.Create(CultureInfo.InvariantCulture, $"0x{opcode:x2}, which pickles do not have,");
    }
}
