// What a pickle of plain data and tensors consists of, once it was read.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>What a name in a pickle may stand for.</summary>
internal enum PickleGlobalKind
{
    /// <summary><c>collections.OrderedDict</c>, called without arguments.</summary>
    OrderedDictionary,

    /// <summary><c>torch._utils._rebuild_tensor</c>, <c>_v2</c> or <c>_v3</c>: storage, offset, size, stride, and what only training needs.</summary>
    RebuildTensor,

    /// <summary><c>torch._utils._rebuild_parameter</c>: a tensor, and what only training needs.</summary>
    RebuildParameter,

    /// <summary><c>torch.Size</c> of a tuple.</summary>
    Size,

    /// <summary><c>torch.device</c> of a name and perhaps a number.</summary>
    Device,

    /// <summary><c>_codecs.encode(text, "latin1")</c>: how bytes are written for protocol 2.</summary>
    Encode,

    /// <summary>A class of storages.</summary>
    Storage,

    /// <summary>An element type.</summary>
    ElementType,
}

/// <summary>A name that is on the list of what may be read; nothing of it is ever called.</summary>
/// <param name="Name">As the pickle gives it, with a dot.</param>
/// <param name="Kind">What it stands for.</param>
/// <param name="Type">The element type of a storage or dtype; null of an untyped storage.</param>
internal sealed record PickleGlobal(string Name, PickleGlobalKind Kind, DType? Type = null)
{
    private static readonly (string Storage, string Name, DType Type)[] s_types =
    [
        ("FloatStorage", "float32", DType.Float32), ("DoubleStorage", "float64", DType.Float64), ("HalfStorage", "float16", DType.Float16),
        ("BFloat16Storage", "bfloat16", DType.BFloat16), ("LongStorage", "int64", DType.Int64), ("IntStorage", "int32", DType.Int32),
        ("ShortStorage", "int16", DType.Int16), ("CharStorage", "int8", DType.Int8), ("ByteStorage", "uint8", DType.UInt8),
        ("BoolStorage", "bool", DType.Bool), ("", "uint16", DType.UInt16), ("", "uint32", DType.UInt32), ("", "uint64", DType.UInt64),
    ];

    private static readonly Dictionary<string, PickleGlobal> s_allowed = Allowed().ToDictionary(g => g.Name, StringComparer.Ordinal);

    /// <summary>Element types that PyTorch has and this library does not.</summary>
    private static readonly HashSet<string> s_unsupported = new(StringComparer.Ordinal)
    {
        "torch.ComplexFloatStorage", "torch.ComplexDoubleStorage", "torch.QUInt8Storage", "torch.QInt8Storage", "torch.QInt32Storage",
        "torch.QUInt4x2Storage", "torch.QUInt2x4Storage", "torch.complex32", "torch.complex64", "torch.complex128", "torch.float8_e4m3fn",
        "torch.float8_e5m2", "torch.float8_e4m3fnuz", "torch.float8_e5m2fnuz", "torch.float8_e8m0fnu", "torch.quint8", "torch.qint8", "torch.qint32",
    };

    /// <summary>The global of a name; null if it is not on the list.</summary>
    public static PickleGlobal? Find(string name) => s_allowed.GetValueOrDefault(name);

    /// <summary>Whether a name is an element type that PyTorch has and this library lacks.</summary>
    public static bool IsUnsupportedType(string name) => s_unsupported.Contains(name);

    /// <summary>The name of the storages of an element type; null if there are none.</summary>
    public static string? StorageOf(DType type) => s_types.FirstOrDefault(t => t.Type == type).Storage is { Length: > 0 } storage ? storage : null;

    private static IEnumerable<PickleGlobal> Allowed()
    {
        yield return new("collections.OrderedDict", PickleGlobalKind.OrderedDictionary);
        foreach (var name in (string[])["_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"])
        {
            yield return new($"torch._utils.{name}", PickleGlobalKind.RebuildTensor);
        }

        foreach (var name in (string[])["_rebuild_parameter", "_rebuild_parameter_with_state"])
        {
            yield return new($"torch._utils.{name}", PickleGlobalKind.RebuildParameter);
        }

        yield return new("torch.Size", PickleGlobalKind.Size);
        yield return new("torch.device", PickleGlobalKind.Device);
        yield return new("_codecs.encode", PickleGlobalKind.Encode);
        foreach (var module in (string[])["torch", "torch.storage"])
        {
            yield return new($"{module}.UntypedStorage", PickleGlobalKind.Storage);
        }

        foreach (var (storage, name, type) in s_types)
        {
            yield return new($"torch.{name}", PickleGlobalKind.ElementType, type);
            if (storage.Length > 0)
            {
                // Old files of tensors that were on a GPU name its module.
                yield return new($"torch.{storage}", PickleGlobalKind.Storage, type);
                yield return new($"torch.cuda.{storage}", PickleGlobalKind.Storage, type);
            }
        }
    }
}

/// <summary>A dictionary in the order in which its keys came. Keys are texts and whole numbers.</summary>
internal sealed class PickleDictionary
{
    /// <summary>The items.</summary>
    public OrderedDictionary<object, object?> Items { get; } = new(KeyComparer.Instance);

    // Hashes that are seeded anew in each process: a file cannot be made in which they all collide.
    private sealed class KeyComparer : IEqualityComparer<object>
    {
        public static readonly KeyComparer Instance = new();

        public new bool Equals(object? x, object? y) => object.Equals(x, y);

        public int GetHashCode(object obj) => HashCode.Combine(obj);
    }
}

/// <summary>A storage: a run of elements that tensors are views of.</summary>
/// <param name="Key">Its name in the file.</param>
/// <param name="Type">Its element type; null of an untyped one, whose elements are bytes.</param>
/// <param name="Elements">How many there are.</param>
internal sealed record PickleStorage(string Key, DType? Type, long Elements)
{
    /// <summary>Its size.</summary>
    public long Bytes => checked(Elements * (Type?.SizeInBytes() ?? 1));
}

/// <summary>A view of a storage.</summary>
internal sealed record PickleTensor(PickleStorage Storage, DType Type, Shape Shape, long[] Strides, long Offset);
