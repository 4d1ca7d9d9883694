// What torch.save writes, read without running it: zip archives (since PyTorch 1.6) and the older form of pickles in a row.
using System.Buffers.Binary;
using System.Collections.ObjectModel;
using System.Globalization;
using System.IO.Hashing;
using System.Numerics;
using System.Text;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// An open PyTorch file (<c>.pth</c>, <c>.pt</c>, <c>.bin</c>, <c>.ckpt</c>). Its structure is read when it is opened, by a machine
/// that knows tensors and plain data alone; its elements are read where they lie, and not before they are asked for. A file
/// that holds anything else is refused, by the name of what it asks for.
/// </summary>
/// <remarks>
/// Dictionaries and lists inside one another become names with dots. Opening takes at most as much memory as the file is large, and
/// 16 MiB. In an archive a storage's checksum is compared before its first element is given out; the old form has no checksums.
/// Tensors that were on a GPU when they were saved are read like any other.
/// </remarks>
public sealed class PyTorchFile : WeightFile
{
    private const int MostDepth = 64;
    private const int BufferBytes = 1 << 16;
    private const int OldProtocol = 1001;

    // What a name takes in the tables, its entry and tensor with it, from above.
    private const int NameBytes = 300;

    private static readonly BigInteger s_oldMagic = BigInteger.Parse("1950a86a20f9469cfc6c", NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private readonly string _path;
    private readonly MappedFile _file;
    private readonly PickleBudget _budget;
    private readonly Dictionary<string, ZipRecord> _storages = new(StringComparer.Ordinal);
    private readonly HashSet<string> _checked = new(StringComparer.Ordinal);
    private readonly OrderedDictionary<string, PyTorchTensor> _tensors = new(StringComparer.Ordinal);
    private readonly OrderedDictionary<string, object?> _values = new(StringComparer.Ordinal);

    private PyTorchFile(string path, MappedFile file)
    {
        (_path, _file, _budget) = (path, file, new PickleBudget(path, file.Length));
        if (FileKind.Describe(file) is { } kind)
        {
            throw Fail(PyTorchFileError.UnknownFormat, kind);
        }

        IsArchive = ZipDirectory.IsZip(file);
        Flatten(IsArchive ? ReadArchive() : ReadOld());
        Tensors = new ReadOnlyDictionary<string, PyTorchTensor>(_tensors);
        Values = new ReadOnlyDictionary<string, object?>(_values);
    }

    /// <inheritdoc/>
    public override string Path => _path;

    /// <inheritdoc/>
    public override string Format => IsArchive ? "PyTorch" : "PyTorch before 1.6";

    /// <inheritdoc/>
    public override IEnumerable<WeightEntry> Entries => _tensors.Values;

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, string>> Notes => _values.Select(v => KeyValuePair.Create(v.Key, v.Value switch
    {
        null => "None",
        byte[] bytes => $"{bytes.Length} bytes",
        bool truth => truth ? "True" : "False",
        var value => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    }));

    /// <summary>Whether it is a zip archive; else it has the form of before PyTorch 1.6.</summary>
    public bool IsArchive { get; }

    /// <summary>The tensors by name, in the file's order.</summary>
    public IReadOnlyDictionary<string, PyTorchTensor> Tensors { get; }

    /// <summary>
    /// What is no tensor, by name, in the file's order: null, bool, long, <see cref="BigInteger"/>, double, string or byte[].
    /// </summary>
    public IReadOnlyDictionary<string, object?> Values { get; }

    /// <summary>Opens and checks a file.</summary>
    /// <exception cref="PyTorchFileException">It cannot be opened, is damaged, or holds more than tensors and plain data.</exception>
    public static new PyTorchFile Open(string path)
        => MappedFile.Open(path, file => new PyTorchFile(path, file), (detail, cause) => new PyTorchFileException(PyTorchFileError.Io, path, detail, cause));

    /// <inheritdoc/>
    public override WeightEntry? Find(string name) => _tensors.GetValueOrDefault(name);

    /// <inheritdoc/>
    public override void Read(string name, Action<ReadOnlySpan<byte>> take)
    {
        ArgumentNullException.ThrowIfNull(take);
        var tensor = _tensors.GetValueOrDefault(name) ?? throw Missing(name);
        var storage = _storages[tensor.Storage];
        CheckSum(tensor.Storage, storage);
        if (tensor.Shape.Count == 0)
        {
            return;
        }

        var size = tensor.DType.SizeInBytes();
        var start = storage.Offset + (tensor.Offset * size);
        var (outer, run) = Runs(tensor);
        if (outer == 0)
        {
            const int Piece = 1 << 30;
            for (var done = 0L; done < tensor.Bytes; done += Piece)
            {
                take(_file.Slice(start + done, (int)long.Min(Piece, tensor.Bytes - done)));
            }
        }
        else
        {
            Gather(tensor, start, outer, run * size, take);
        }

        _file.Release(storage.Offset, storage.Length);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _file.Dispose();

    /// <inheritdoc/>
    protected override WeightFileException Missing(string name) => Fail(PyTorchFileError.TensorNotFound, $"there is no tensor {PrintableText.Quoted(name)}");

    /// <inheritdoc/>
    protected override WeightFileException WrongType(WeightEntry entry)
        => Fail(PyTorchFileError.InvalidTensor, $"tensor {PrintableText.Quoted(entry.Name)} holds {entry.DType}, not floating-point numbers");

    private void Gather(PyTorchTensor tensor, long start, int outer, long runBytes, Action<ReadOnlySpan<byte>> take)
    {
        var size = tensor.DType.SizeInBytes();
        var buffer = new byte[BufferBytes];
        var filled = 0;
        var index = new int[outer];
        var place = start;
        for (var runs = tensor.Bytes / runBytes; runs > 0; runs--)
        {
            for (var done = 0L; done < runBytes;)
            {
                var length = (int)long.Min(runBytes - done, BufferBytes - filled);
                _file.Slice(place + done, length).CopyTo(buffer.AsSpan(filled));
                filled += length;
                done += length;
                if (filled == BufferBytes)
                {
                    take(buffer);
                    filled = 0;
                }
            }

            for (var axis = outer - 1; axis >= 0; axis--)
            {
                place += tensor.Strides[axis] * size;
                if (++index[axis] < tensor.Shape[axis])
                {
                    break;
                }

                place -= tensor.Strides[axis] * size * tensor.Shape[axis];
                index[axis] = 0;
            }
        }

        take(buffer.AsSpan(0, filled));
    }

    // How many outer axes there are before the elements lie together, and how many elements then do.
    private static (int Outer, long Run) Runs(PyTorchTensor tensor)
    {
        var run = 1L;
        for (var axis = tensor.Shape.Rank - 1; axis >= 0; axis--)
        {
            if (tensor.Shape[axis] != 1 && tensor.Strides[axis] != run)
            {
                return (axis + 1, run);
            }

            run *= tensor.Shape[axis];
        }

        return (0, run);
    }

    private void CheckSum(string name, ZipRecord storage)
    {
        lock (_checked)
        {
            if (!IsArchive || !_checked.Add(name))
            {
                return;
            }

            try
            {
                Check($"storage {PrintableText.Quoted(name)}", storage);
            }
            catch
            {
                _checked.Remove(name);
                throw;
            }
        }
    }

    private void Check(string what, ZipRecord record)
    {
        const int Piece = 1 << 26;
        var sum = new Crc32();
        for (var done = 0L; done < record.Length; done += Piece)
        {
            sum.Append(_file.Slice(record.Offset + done, (int)long.Min(Piece, record.Length - done)));
        }

        _file.Release(record.Offset, record.Length);
        if (sum.GetCurrentHashAsUInt32() != record.Checksum)
        {
            throw Fail(PyTorchFileError.ChecksumMismatch, $"{what} is not what was written: its checksum differs");
        }
    }

    private object? ReadArchive()
    {
        var records = ZipDirectory.Read(_path, _file, _budget);
        var pickles = records.Keys.Where(n => n.EndsWith("/data.pkl", StringComparison.Ordinal) && n.IndexOf('/', StringComparison.Ordinal) == n.Length - "/data.pkl".Length).ToList();
        if (pickles.Count != 1)
        {
            throw Fail(PyTorchFileError.UnknownFormat, pickles.Count == 0 ? "a zip archive, but not of PyTorch's: it has no data.pkl" : "the archive has several data.pkl");
        }

        var folder = pickles[0][..^"data.pkl".Length];
        if (records.ContainsKey(folder + "constants.pkl"))
        {
            throw Fail(PyTorchFileError.UnsupportedFormat, "a TorchScript program, not a checkpoint: load it in PyTorch and save its state_dict()");
        }

        if (records.TryGetValue(folder + "byteorder", out var order))
        {
            Check("record byteorder", order);
            if (order.Length > 16 || Encoding.Latin1.GetString(_file.Slice(order.Offset, (int)order.Length)).Trim() != "little")
            {
                throw BigEndian();
            }
        }

        var record = records[pickles[0]];
        if (record.Length > int.MaxValue)
        {
            throw Fail(PyTorchFileError.LimitExceeded, $"data.pkl of {record.Length} bytes is too large");
        }

        Check("data.pkl", record);
        var machine = new PickleMachine(_path, "data.pkl", _budget, storage =>
        {
            if (!records.TryGetValue($"{folder}data/{storage.Key}", out var found))
            {
                return "is not in the archive";
            }

            _storages.Add(storage.Key, found);
            return found.Length == storage.Bytes
                ? null
                : string.Create(CultureInfo.InvariantCulture, $"has {found.Length} bytes in the archive, and the pickle says {storage.Bytes}");
        });
        var root = machine.Run(_file.Slice(record.Offset, (int)record.Length), out var length);
        return length == record.Length ? root : throw Fail(PyTorchFileError.InvalidPickle, $"data.pkl goes on behind its end at byte {length}");
    }

    // Five pickles (a number that marks the format, its version, the machine's properties, the object, the storages' names), then the
    // storages, each behind its number of elements.
    private object? ReadOld()
    {
        var at = 0L;
        if (_file.Length < 2 || _file.Slice(0, 1)[0] != 0x80)
        {
            throw Fail(PyTorchFileError.UnknownFormat, "neither a zip archive nor a pickle, so torch.save did not write it");
        }

        if (Next("the first pickle") is not BigInteger magic || magic != s_oldMagic)
        {
            throw Fail(PyTorchFileError.UnknownFormat, "a pickle, but not one that torch.save wrote");
        }

        if (Next("the second pickle") is not long protocol || protocol != OldProtocol)
        {
            throw Fail(PyTorchFileError.UnsupportedFormat, $"a version of the old format other than {OldProtocol}");
        }

        if (Next("the third pickle") is not PickleDictionary machine || (machine.Items.TryGetValue("little_endian", out var little) && little is not true))
        {
            throw BigEndian();
        }

        var storages = new Dictionary<string, PickleStorage>(StringComparer.Ordinal);
        var root = Next("the fourth pickle", storage =>
        {
            storages.Add(storage.Key, storage);
            return storage.Type is null ? "has no element type" : null;
        });
        if (Next("the fifth pickle") is not List<object?> names)
        {
            throw Fail(PyTorchFileError.InvalidPickle, "the fifth pickle is no list of storages");
        }

        foreach (var name in names)
        {
            if (name is not string key || !storages.Remove(key, out var storage))
            {
                throw Fail(PyTorchFileError.InvalidTensor, "there are storages that no tensor has, or one twice");
            }

            if (_file.Length - at < sizeof(long) || BinaryPrimitives.ReadInt64LittleEndian(_file.Slice(at, sizeof(long))) is var elements && elements != storage.Elements)
            {
                throw Fail(PyTorchFileError.InvalidTensor, $"storage {PrintableText.Quoted(key)} has another number of elements than the pickle says, or the file was cut off");
            }

            at += sizeof(long);
            if (storage.Bytes > _file.Length - at)
            {
                throw Fail(PyTorchFileError.InvalidTensor, $"storage {PrintableText.Quoted(key)} passes the file's end: the file was cut off, perhaps by a download that broke");
            }

            _storages.Add(key, new ZipRecord(at, storage.Bytes, 0));
            at += storage.Bytes;
        }

        return storages.Count == 0 ? root : throw Fail(PyTorchFileError.InvalidTensor, $"storage {PrintableText.Quoted(storages.Keys.First())} is not in the file");

        object? Next(string what, Func<PickleStorage, string?>? find = null)
        {
            var value = new PickleMachine(_path, what, _budget, find).Run(_file.Slice(at, (int)long.Min(_file.Length - at, int.MaxValue)), out var length);
            at += length;
            return value;
        }
    }

    // Depth first, in the file's order. A list may hold itself, and a few dictionaries that share others may have more names
    // than there are atoms: depth and names are bounded.
    private void Flatten(object? root)
    {
        var stack = new Stack<(string Name, object? Value, int Depth)>();
        stack.Push((string.Empty, root, 0));
        while (stack.TryPop(out var next))
        {
            var (name, value, depth) = next;
            IEnumerable<(string Key, object? Value)>? children = value switch
            {
                PickleDictionary dictionary => dictionary.Items.Select(i => (Convert.ToString(i.Key, CultureInfo.InvariantCulture)!, i.Value)),
                List<object?> list => list.Select((v, i) => (i.ToString(CultureInfo.InvariantCulture), v)),
                object?[] tuple => tuple.Select((v, i) => (i.ToString(CultureInfo.InvariantCulture), v)),
                _ => null,
            };
            if (children is null)
            {
                Add(name, value);
                continue;
            }

            if (depth == MostDepth)
            {
                throw Fail(PyTorchFileError.LimitExceeded, $"it nests deeper than {MostDepth} levels, or holds itself, at {PrintableText.Quoted(name)}");
            }

            foreach (var (key, child) in children.Reverse())
            {
                var full = depth == 0 ? key : $"{name}.{key}";
                _budget.Take(NameBytes + (sizeof(char) * (long)full.Length));
                stack.Push((full, child, depth + 1));
            }
        }
    }

    private void Add(string name, object? value)
    {
        var isNew = value switch
        {
            PickleTensor tensor => _tensors.TryAdd(name, new PyTorchTensor(name, tensor.Type, tensor.Shape, tensor.Strides, tensor.Offset, tensor.Storage.Key)),
            PickleStorage or PickleGlobal => _values.TryAdd(name, value is PickleGlobal global ? global.Name : "storage"),
            _ => _values.TryAdd(name, value),
        };
        if (!isNew || (_tensors.ContainsKey(name) && _values.ContainsKey(name)))
        {
            throw Fail(PyTorchFileError.InvalidPickle, $"two things are called {PrintableText.Quoted(name)}");
        }
    }

    private PyTorchFileException BigEndian() => Fail(PyTorchFileError.UnsupportedFormat, "its numbers are big-endian");

    private PyTorchFileException Fail(PyTorchFileError error, string detail) => new(error, _path, detail);
}
