// What the virtual device's two libraries share: the choice of vector width, checks of operands, scratch memory.
using System.Runtime.Intrinsics;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>Widths of vectors that the libraries can run on. All give the same bits.</summary>
internal enum VectorWidth
{
    /// <summary>256 bits: AVX2 and FMA, or their emulation on a host without them.</summary>
    Bits256,

    /// <summary>512 bits: AVX-512.</summary>
    Bits512,
}

/// <summary>State and checks shared by <see cref="SimdBlas"/> and <see cref="SimdDnn"/>.</summary>
internal sealed class SimdLibrary(VirtualDevice device) : IDisposable
{
    /// <summary>The widest vectors that the host has.</summary>
    public static VectorWidth HostWidth => Vector512.IsHardwareAccelerated ? VectorWidth.Bits512 : VectorWidth.Bits256;

    /// <summary>The device whose memory and threads are used.</summary>
    public VirtualDevice Device { get; } = device;

    /// <summary>Scratch memory that all threads of a call share. Used under the device's execution lock.</summary>
    public ScratchBuffer Shared { get; } = new();

    /// <summary>Memory for what a call rearranges before or after its product. Used under the device's execution lock.</summary>
    public ScratchBuffer Rearranged { get; } = new();

    /// <summary>Memory for operands of half types as floats. Used under the device's execution lock.</summary>
    public ScratchBuffer Widened { get; } = new();

    /// <summary>The width that runs; set by tests to compare widths.</summary>
    public VectorWidth Width { get; set; } = HostWidth;

    /// <summary>What the width is called on this host.</summary>
    public string WidthName => Width == VectorWidth.Bits512 ? "AVX-512" : Vector256.IsHardwareAccelerated ? "AVX2" : "portable";

    /// <summary>Refuses element types that the libraries do not compute with; gradients are without <paramref name="halves"/>.</summary>
    public static void CheckTypes(string call, DType element, DType accumulation, bool halves = true)
    {
        if (!element.IsFloatingPoint() || (element.IsHalf() && !halves))
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_NOT_SUPPORTED,
                $"{call}: the virtual device computes with {(halves ? "Float32, Float64, Float16 and BFloat16" : "Float32 and Float64")}, not with {element}");
        }

        if (accumulation != element.Accumulation())
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_NOT_SUPPORTED, $"{call}: sums of {element} are kept in {element.Accumulation()}, not in {accumulation}");
        }
    }

    /// <summary>Refuses an operand that is null, misaligned, or not inside one live allocation.</summary>
    /// <param name="call">The library call, for messages.</param>
    /// <param name="name">The operand's name.</param>
    /// <param name="pointer">Its first element.</param>
    /// <param name="elements">Elements from its first to its last, both counted.</param>
    /// <param name="elementBytes">Size of an element.</param>
    public void CheckOperand(string call, string name, DevicePointer<byte> pointer, Int128 elements, int elementBytes)
    {
        if (elements == 0)
        {
            return;
        }

        if (pointer.Address % (ulong)elementBytes != 0)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE, $"{call}: operand {name} at {pointer} is not aligned to its elements of {elementBytes} bytes");
        }

        var bytes = elements * elementBytes;
        Device.CheckRange(pointer, bytes > long.MaxValue ? long.MaxValue : (long)bytes, $"{call}: operand {name}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Shared.Dispose();
        Rearranged.Dispose();
        Widened.Dispose();
    }
}
