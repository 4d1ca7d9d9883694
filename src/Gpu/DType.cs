// Element types of device memory, under the names that safetensors and PyTorch users know.
namespace FashionFlow.Gpu;

/// <summary>The type of a tensor's elements in device memory and in weight files.</summary>
public enum DType
{
    /// <summary>IEEE 754 binary32.</summary>
    Float32,

    /// <summary>IEEE 754 binary64, used by gradient checks.</summary>
    Float64,

    /// <summary>IEEE 754 binary16.</summary>
    Float16,

    /// <summary>The upper half of a binary32.</summary>
    BFloat16,

    /// <summary>Unsigned 8-bit integer.</summary>
    UInt8,

    /// <summary>Signed 8-bit integer.</summary>
    Int8,

    /// <summary>Unsigned 16-bit integer.</summary>
    UInt16,

    /// <summary>Signed 16-bit integer.</summary>
    Int16,

    /// <summary>Unsigned 32-bit integer.</summary>
    UInt32,

    /// <summary>Signed 32-bit integer.</summary>
    Int32,

    /// <summary>Unsigned 64-bit integer.</summary>
    UInt64,

    /// <summary>Signed 64-bit integer.</summary>
    Int64,

    /// <summary>One byte, 0 or 1.</summary>
    Bool,
}

/// <summary>Facts about element types.</summary>
public static class DTypes
{
    /// <summary>The size of one element in bytes.</summary>
    public static int SizeInBytes(this DType type) => type switch
    {
        DType.Float64 or DType.Int64 or DType.UInt64 => 8,
        DType.Float32 or DType.Int32 or DType.UInt32 => 4,
        DType.Float16 or DType.BFloat16 or DType.Int16 or DType.UInt16 => 2,
        DType.UInt8 or DType.Int8 or DType.Bool => 1,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "unknown element type"),
    };

    /// <summary>Whether elements are floating-point numbers.</summary>
    public static bool IsFloatingPoint(this DType type) => type is DType.Float64 or DType.Float32 or DType.Float16 or DType.BFloat16;

    /// <summary>Whether elements are of a half type: stored in two bytes, computed with in float.</summary>
    public static bool IsHalf(this DType type) => type is DType.Float16 or DType.BFloat16;

    /// <summary>The type that sums of such elements are kept in, as kernels and libraries do: float for half types, else their own.</summary>
    public static DType Accumulation(this DType type) => type.IsHalf() ? DType.Float32 : type;

    /// <summary>The element type that a blittable .NET type stands for.</summary>
    /// <exception cref="NotSupportedException"><typeparamref name="T"/> is no element type.</exception>
    public static DType Of<T>()
        where T : unmanaged
        => typeof(T) == typeof(float) ? DType.Float32
            : typeof(T) == typeof(double) ? DType.Float64
            : typeof(T) == typeof(Half) ? DType.Float16
            : typeof(T) == typeof(BFloat16) ? DType.BFloat16
            : typeof(T) == typeof(byte) ? DType.UInt8
            : typeof(T) == typeof(sbyte) ? DType.Int8
            : typeof(T) == typeof(ushort) ? DType.UInt16
            : typeof(T) == typeof(short) ? DType.Int16
            : typeof(T) == typeof(uint) ? DType.UInt32
            : typeof(T) == typeof(int) ? DType.Int32
            : typeof(T) == typeof(ulong) ? DType.UInt64
            : typeof(T) == typeof(long) ? DType.Int64
            : typeof(T) == typeof(bool) ? DType.Bool
            : throw new NotSupportedException($"{typeof(T).Name} is not an element type of device memory");
}
