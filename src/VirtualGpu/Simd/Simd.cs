// One vocabulary for vectors of 256 and of 512 bits, of float and of double. Every operation works on each element alone and
// rounds as IEEE 754 says, so that the same program gives the same bits at either width; without FMA hardware it is slow, not
// different.
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>Vectors of type <typeparamref name="TVector"/> with elements of type <typeparamref name="T"/> (float or double).</summary>
internal unsafe interface ISimd<TVector, T>
    where T : unmanaged
{
    /// <summary>Elements of a vector.</summary>
    static abstract int Width { get; }

    /// <summary>Vectors side by side in a full panel of the second matrix, as many as the registers hold for six rows.</summary>
    static abstract int PanelVectors { get; }

    /// <summary>Every element 0.</summary>
    static abstract TVector Zero { get; }

    /// <summary>Reads a vector at any alignment.</summary>
    static abstract TVector Load(T* source);

    /// <summary>Writes a vector at any alignment.</summary>
    static abstract void Store(TVector value, T* destination);

    /// <summary>Every element <paramref name="value"/>.</summary>
    static abstract TVector Broadcast(T value);

    /// <summary>Every element <paramref name="value"/>, rounded to the element type.</summary>
    static abstract TVector Constant(double value);

    /// <summary>x y + z with one rounding.</summary>
    static abstract TVector MultiplyAdd(TVector x, TVector y, TVector z);

    /// <summary>x + y.</summary>
    static abstract TVector Add(TVector x, TVector y);

    /// <summary>x - y.</summary>
    static abstract TVector Subtract(TVector x, TVector y);

    /// <summary>x y.</summary>
    static abstract TVector Multiply(TVector x, TVector y);

    /// <summary>x / y.</summary>
    static abstract TVector Divide(TVector x, TVector y);

    /// <summary>|x|.</summary>
    static abstract TVector Abs(TVector x);

    /// <summary>The magnitude of one with the sign of the other.</summary>
    static abstract TVector CopySign(TVector magnitude, TVector sign);

    /// <summary>x &lt; y ? whenTrue : whenFalse, an unordered comparison being false.</summary>
    static abstract TVector SelectLess(TVector x, TVector y, TVector whenTrue, TVector whenFalse);

    /// <summary>2^n for whole n within the exponents of normal numbers.</summary>
    static abstract TVector PowerOfTwo(TVector n);
}

/// <summary>256-bit vectors: AVX2 and FMA where the host has them.</summary>
internal readonly unsafe struct Simd256<T> : ISimd<Vector256<T>, T>
    where T : unmanaged
{
    public static int Width => Vector256<T>.Count;

    public static int PanelVectors => 2;

    public static Vector256<T> Zero => Vector256<T>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Load(T* source) => Vector256.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<T> value, T* destination) => Vector256.Store(value, destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Broadcast(T value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Constant(double value)
        => typeof(T) == typeof(float) ? Vector256.Create((float)value).As<float, T>() : Vector256.Create(value).As<double, T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> MultiplyAdd(Vector256<T> x, Vector256<T> y, Vector256<T> z)
        => typeof(T) == typeof(float)
            ? Vector256.FusedMultiplyAdd(x.AsSingle(), y.AsSingle(), z.AsSingle()).As<float, T>()
            : Vector256.FusedMultiplyAdd(x.AsDouble(), y.AsDouble(), z.AsDouble()).As<double, T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Add(Vector256<T> x, Vector256<T> y) => x + y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Subtract(Vector256<T> x, Vector256<T> y) => x - y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Multiply(Vector256<T> x, Vector256<T> y) => x * y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Divide(Vector256<T> x, Vector256<T> y) => x / y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> Abs(Vector256<T> x) => Vector256.Abs(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> CopySign(Vector256<T> magnitude, Vector256<T> sign)
        => Vector256.ConditionalSelect(Constant(-0.0), sign, magnitude);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> SelectLess(Vector256<T> x, Vector256<T> y, Vector256<T> whenTrue, Vector256<T> whenFalse)
        => Vector256.ConditionalSelect(Vector256.LessThan(x, y), whenTrue, whenFalse);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<T> PowerOfTwo(Vector256<T> n)
        => typeof(T) == typeof(float)
            ? Vector256.ShiftLeft((n + Constant(VectorMath.MagicFloat + 127)).AsInt32(), 23).As<int, T>()
            : Vector256.ShiftLeft((n + Constant(VectorMath.MagicDouble + 1023)).AsInt64(), 52).As<long, T>();
}

/// <summary>512-bit vectors: AVX-512.</summary>
internal readonly unsafe struct Simd512<T> : ISimd<Vector512<T>, T>
    where T : unmanaged
{
    public static int Width => Vector512<T>.Count;

    public static int PanelVectors => 4;

    public static Vector512<T> Zero => Vector512<T>.Zero;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Load(T* source) => Vector512.Load(source);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<T> value, T* destination) => Vector512.Store(value, destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Broadcast(T value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Constant(double value)
        => typeof(T) == typeof(float) ? Vector512.Create((float)value).As<float, T>() : Vector512.Create(value).As<double, T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> MultiplyAdd(Vector512<T> x, Vector512<T> y, Vector512<T> z)
        => typeof(T) == typeof(float)
            ? Vector512.FusedMultiplyAdd(x.AsSingle(), y.AsSingle(), z.AsSingle()).As<float, T>()
            : Vector512.FusedMultiplyAdd(x.AsDouble(), y.AsDouble(), z.AsDouble()).As<double, T>();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Add(Vector512<T> x, Vector512<T> y) => x + y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Subtract(Vector512<T> x, Vector512<T> y) => x - y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Multiply(Vector512<T> x, Vector512<T> y) => x * y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Divide(Vector512<T> x, Vector512<T> y) => x / y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Abs(Vector512<T> x) => Vector512.Abs(x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> CopySign(Vector512<T> magnitude, Vector512<T> sign)
        => Vector512.ConditionalSelect(Constant(-0.0), sign, magnitude);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> SelectLess(Vector512<T> x, Vector512<T> y, Vector512<T> whenTrue, Vector512<T> whenFalse)
        => Vector512.ConditionalSelect(Vector512.LessThan(x, y), whenTrue, whenFalse);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> PowerOfTwo(Vector512<T> n)
        => typeof(T) == typeof(float)
            ? Vector512.ShiftLeft((n + Constant(VectorMath.MagicFloat + 127)).AsInt32(), 23).As<int, T>()
            : Vector512.ShiftLeft((n + Constant(VectorMath.MagicDouble + 1023)).AsInt64(), 52).As<long, T>();
}
