// Operands in the memory of a poisoned virtual device, filled from a counter-based hash, for the library tests.
using System.Runtime.InteropServices;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Tests.Simd;

/// <summary>A device whose guard space is watched, and the arrays put on it.</summary>
internal sealed class Operands : IDisposable
{
    private readonly List<DevicePointer<byte>> _allocations = [];

    public Operands(int threads = 0)
        => Device = new VirtualDevice(new VirtualDeviceOptions { MemoryBytes = 1L << 31, WorkerThreads = threads, PoisonReusedMemory = true });

    public VirtualDevice Device { get; }

    /// <summary>Values in [-1, 1) that depend on seed and index alone (SplitMix64).</summary>
    public static T[] Values<T>(long count, ulong seed)
        where T : unmanaged, System.Numerics.IFloatingPoint<T>
    {
        var values = new T[count];
        for (var i = 0L; i < count; i++)
        {
            var z = (seed * 0x9E3779B97F4A7C15) + ((ulong)i * 0xD1B54A32D192ED03) + 0x8CB92BA72F3D8DD7;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            values[i] = T.CreateChecked(((z ^ (z >> 31)) >> 11) * (2.0 / (1L << 53)) - 1);
        }

        return values;
    }

    public DevicePointer<byte> Put<T>(T[]? values)
        where T : unmanaged
    {
        if (values is null)
        {
            return DevicePointer<byte>.Null;
        }

        var pointer = Device.Allocate(Math.Max(1, values.Length) * (long)Marshal.SizeOf<T>());
        _allocations.Add(pointer);
        Device.CopyToDevice(pointer, MemoryMarshal.AsBytes(values.AsSpan()), Device.DefaultStream);
        return pointer;
    }

    public T[] Get<T>(DevicePointer<byte> pointer, long count)
        where T : unmanaged
    {
        var values = new T[count];
        Device.CopyToHost(MemoryMarshal.AsBytes(values.AsSpan()), pointer, Device.DefaultStream);
        return values;
    }

    /// <summary>Frees everything, which checks the guard space around each array.</summary>
    public void FreeAll()
    {
        foreach (var allocation in _allocations)
        {
            Device.Free(allocation);
        }

        _allocations.Clear();
    }

    public void Dispose()
    {
        try
        {
            FreeAll();
        }
        finally
        {
            Device.Dispose();
        }
    }
}

/// <summary>Functions in double precision by other means than the product's.</summary>
internal static class Oracle
{
    /// <summary>The largest slope of each epilogue, by which it can magnify the error of its argument.</summary>
    public const double MaxSlope = 1.13;

    public static double Apply(Epilogue epilogue, double x) => epilogue switch
    {
        Epilogue.Silu => x / (1 + Math.Exp(-x)),
        Epilogue.QuickGelu => x / (1 + Math.Exp(-1.702 * x)),
        Epilogue.Gelu => 0.5 * x * Erfc(-x / Math.Sqrt(2)),
        _ => x,
    };

    /// <summary>The unit roundoff of float or double.</summary>
    public static double Roundoff<T>() => typeof(T) == typeof(float) ? Math.Pow(2, -24) : Math.Pow(2, -53);

    /// <summary>erf by its Maclaurin series up to 2.5; erfc by Lentz's continued fraction beyond.</summary>
    public static double Erf(double x) => Math.Abs(x) <= 2.5 ? Series(x) : Math.Sign(x) * (1 - Fraction(Math.Abs(x)));

    public static double Erfc(double x) => x <= 2.5 ? 1 - Erf(x) : Fraction(x);

    // erf(x) = 2 x exp(-x^2) / sqrt(pi) * sum of (2 x^2)^n / (1 3 5 ... (2n + 1)): all terms positive.
    private static double Series(double x)
    {
        double term = 1, sum = 1;
        for (var n = 1; term > 1e-19 * sum; n++)
        {
            term *= 2 * x * x / ((2 * n) + 1);
            sum += term;
        }

        return 2 * x * Math.Exp(-x * x) / Math.Sqrt(Math.PI) * sum;
    }

    // erfc(x) = exp(-x^2) / sqrt(pi) / (x + (1/2) / (x + (2/2) / (x + (3/2) / (x + ...)))).
    private static double Fraction(double x)
    {
        var f = x;
        for (var n = 120; n >= 1; n--)
        {
            f = x + (n / 2.0 / f);
        }

        return Math.Exp(-x * x) / Math.Sqrt(Math.PI) / f;
    }
}
