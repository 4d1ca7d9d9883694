// In which order blocks and warps run, for devices that can be told.
namespace FashionFlow.Gpu;

/// <summary>
/// How a device that can choose runs the blocks and warps of a launch. A kernel without races gives the same bits under every
/// schedule, so checks repeat a computation under several.
/// </summary>
public sealed record LaunchSchedule
{
    /// <summary>Null: blocks and warps in ascending order; else in an order drawn from this seed, and shared memory starts as NaN.</summary>
    public ulong? OrderSeed { get; init; }

    /// <summary>Whether warps run with a mask a lane from the start, and not only where their lanes part.</summary>
    public bool MaskLanes { get; init; }

    /// <inheritdoc/>
    public override string ToString()
        => $"blocks and warps {(OrderSeed is { } seed ? $"in the order of seed {seed}" : "in ascending order")}{(MaskLanes ? ", lanes masked" : "")}";
}
