// An argument of a launch that has no generated method: a number or a device address, with its size in the parameter buffer.
namespace FashionFlow.Gpu;

/// <summary>
/// A kernel's argument, for <see cref="GpuFunction.LaunchWith"/>. Numbers and
/// <see cref="DevicePointer{T}"/> convert to it. It has the size of the .NET type, which must be that of the kernel's parameter:
/// an <c>int</c> for <c>int</c>, a <c>long</c> for <c>long long</c>, a <c>double</c> for <c>double</c>.
/// </summary>
public readonly struct KernelArgument
{
    private readonly ulong _bits;

    private KernelArgument(ulong bits, int size) => (_bits, Size) = (bits, size);

    /// <summary>Its size in bytes, which is its alignment too.</summary>
    public int Size { get; }

    /// <summary>An <c>int</c>.</summary>
    public static implicit operator KernelArgument(int value) => new((uint)value, sizeof(int));

    /// <summary>An <c>unsigned int</c>.</summary>
    public static implicit operator KernelArgument(uint value) => new(value, sizeof(uint));

    /// <summary>A <c>long long</c>.</summary>
    public static implicit operator KernelArgument(long value) => new((ulong)value, sizeof(long));

    /// <summary>An <c>unsigned long long</c>.</summary>
    public static implicit operator KernelArgument(ulong value) => new(value, sizeof(ulong));

    /// <summary>A <c>float</c>.</summary>
    public static implicit operator KernelArgument(float value) => new(BitConverter.SingleToUInt32Bits(value), sizeof(float));

    /// <summary>A <c>double</c>.</summary>
    public static implicit operator KernelArgument(double value) => new(BitConverter.DoubleToUInt64Bits(value), sizeof(double));

    /// <summary>Lays arguments out as a parameter buffer, each at its natural alignment.</summary>
    /// <param name="arguments">The arguments, in the kernel's order.</param>
    /// <param name="buffer">Takes them; eight bytes an argument suffice.</param>
    /// <returns>The bytes used.</returns>
    internal static int Pack(ReadOnlySpan<KernelArgument> arguments, Span<byte> buffer)
    {
        var end = 0;
        foreach (var argument in arguments)
        {
            var start = (end + argument.Size - 1) / argument.Size * argument.Size;
            end = start + argument.Size;
            if (argument.Size == sizeof(ulong))
            {
                BitConverter.TryWriteBytes(buffer[start..end], argument._bits);
            }
            else
            {
                BitConverter.TryWriteBytes(buffer[start..end], (uint)argument._bits);
            }
        }

        return end;
    }
}
