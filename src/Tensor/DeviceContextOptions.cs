// What a context watches for; everything here is off in normal use and on in tests.
namespace FashionFlow.Tensors;

/// <summary>Checks that a <see cref="DeviceContext"/> makes. They cost time and are meant for tests and debugging.</summary>
public sealed record DeviceContextOptions
{
    /// <summary>The byte that poisoned memory holds: four or eight of it read as NaN in float and double.</summary>
    public const byte Poison = 0xFF;

    /// <summary>Normal use: no checks.</summary>
    public static DeviceContextOptions Default { get; } = new();

    /// <summary>Everything on.</summary>
    public static DeviceContextOptions Checked { get; } = new()
    {
        PoisonMemory = true,
        IsolateAllocations = true,
        RecordAllocationSites = true,
        ThrowOnLeak = true,
    };

    /// <summary>Fills every new tensor's memory with <see cref="Poison"/>, so that reading what was never written shows as NaN.</summary>
    public bool PoisonMemory { get; init; }

    /// <summary>
    /// Gives each tensor a device allocation of its own, of its exact size, freed with it: then a device that checks
    /// addresses (the virtual one, compute-sanitizer) sees an access one element past a tensor or after its end.
    /// </summary>
    public bool IsolateAllocations { get; init; }

    /// <summary>Remembers where each tensor was made, for the report of a leak.</summary>
    public bool RecordAllocationSites { get; init; }

    /// <summary>Makes disposing a context with live tensors throw <see cref="TensorLeakException"/>.</summary>
    public bool ThrowOnLeak { get; init; }
}
