// The values of special registers.
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Jit;

internal static class SpecialValues
{
    /// <summary>What a thread finds in a special register that depends on its place in the block alone.</summary>
    public static long OfThread(SpecialValue special, Dim3 block, int warp, int lane, int localBytes)
    {
        var thread = (warp * 32) + lane;
        return special switch
        {
            SpecialValue.TidX => thread % block.X,
            SpecialValue.TidY => thread / block.X % block.Y,
            SpecialValue.TidZ => thread / block.X / block.Y,
            SpecialValue.LaneId => lane,
            SpecialValue.LaneMaskEq => 1u << lane,
            SpecialValue.LaneMaskLt => (1u << lane) - 1,
            SpecialValue.LaneMaskLe => (uint)((2UL << lane) - 1),
            SpecialValue.LaneMaskGt => ~(uint)((2UL << lane) - 1),
            SpecialValue.LaneMaskGe => ~((1u << lane) - 1),
            SpecialValue.LocalBase => (long)lane * localBytes,
            _ => throw new ArgumentOutOfRangeException(nameof(special), special, "not a value of a thread"),
        };
    }

    public static bool IsOfThread(SpecialValue special) => special is SpecialValue.TidX or SpecialValue.TidY or SpecialValue.TidZ
        or SpecialValue.LaneId or SpecialValue.LaneMaskEq or SpecialValue.LaneMaskLt or SpecialValue.LaneMaskLe or SpecialValue.LaneMaskGt
        or SpecialValue.LaneMaskGe or SpecialValue.LocalBase;
}
