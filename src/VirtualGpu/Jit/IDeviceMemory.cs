// What compiled kernels need to know of device memory: which live allocation an address lies in.
namespace FashionFlow.VirtualGpu.Jit;

/// <summary>The allocations of a virtual device. Device addresses are host addresses.</summary>
internal interface IDeviceMemory
{
    /// <summary>Changes whenever an allocation is made or freed, so that ranges found earlier can be cached.</summary>
    int Generation { get; }

    /// <summary>Finds the live allocation <c>[start, end)</c> that holds <paramref name="address"/>.</summary>
    bool TryFind(ulong address, out ulong start, out ulong end);

    /// <summary>Says where an address lies for an error message: "24 bytes past the end of the 4096-byte allocation at 0x...".</summary>
    string Describe(ulong address);
}
