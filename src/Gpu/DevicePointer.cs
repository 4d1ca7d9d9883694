// Addresses in device memory, typed by what they point at, so that a wrong pointer is a compile error.
namespace FashionFlow.Gpu;

/// <summary>The address of elements of type <typeparamref name="T"/> in device memory; what <c>T*</c> is in CUDA C++.</summary>
/// <param name="Address">The address as the driver knows it (CUdeviceptr); 0 is the null pointer.</param>
/// <typeparam name="T">The element's type.</typeparam>
public readonly record struct DevicePointer<T>(ulong Address)
    where T : unmanaged
{
    /// <summary>The null pointer, which kernels take for an absent optional operand.</summary>
    public static DevicePointer<T> Null => default;

    /// <summary>Whether this is the null pointer.</summary>
    public bool IsNull => Address == 0;

    /// <summary>The address <paramref name="elements"/> elements further on.</summary>
    public unsafe DevicePointer<T> Offset(long elements) => new(unchecked(Address + (ulong)(elements * sizeof(T))));

    /// <summary>The same address, seen as elements of another type.</summary>
    public DevicePointer<TOther> Cast<TOther>()
        where TOther : unmanaged
        => new(Address);

    /// <summary>An address is a kernel's argument.</summary>
    public static implicit operator KernelArgument(DevicePointer<T> pointer) => pointer.Address;

    /// <inheritdoc/>
    public override string ToString() => $"0x{Address:x}";
}
