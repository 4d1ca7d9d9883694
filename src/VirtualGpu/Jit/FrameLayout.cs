// Where a warp's registers lie in memory.
namespace FashionFlow.VirtualGpu.Jit;

/// <summary>
/// A frame is a header with one 8-byte place a register for values that are the same (or in step) across the warp, followed
/// by four groups of eight lanes. In a group a register is 32 or 64 contiguous bytes, so that one pointer and constant
/// displacements reach everything. The layout does not depend on the forms that registers take.
/// </summary>
internal sealed class FrameLayout
{
    public const int Groups = 4;
    public const int LanesPerGroup = 8;

    /// <summary>In each group: the active mask as lanes, and as bits.</summary>
    public const int MaskOffset = 0;
    public const int MaskBitsOffset = 32;

    /// <summary>Places for operands of warp-level instructions that are not in registers.</summary>
    public const int ScratchOffset = 64;
    public const int ScratchBytes = 64;
    private const int ScratchPlaces = 6;

    private readonly int[] _uniform;
    private readonly int[] _lanes;

    public FrameLayout(IrKernel kernel)
    {
        _uniform = new int[kernel.Registers.Count];
        _lanes = new int[kernel.Registers.Count];
        var header = 0;
        var group = ScratchOffset + (ScratchPlaces * ScratchBytes);
        foreach (var register in kernel.Registers)
        {
            if (!kernel.InFrame[register.Index])
            {
                continue;
            }

            _uniform[register.Index] = header;
            header += 8;
            _lanes[register.Index] = group;
            group += register.IsWide ? 64 : 32;
        }

        HeaderBytes = (header + 63) & -64;

        // An odd number of cache lines keeps equal registers of the groups out of the same cache sets.
        GroupBytes = ((group + 63) & -64) | 64;
    }

    public int HeaderBytes { get; }

    public int GroupBytes { get; }

    public int Bytes => HeaderBytes + (Groups * GroupBytes);

    /// <summary>Offset of a register's uniform value from the frame's start.</summary>
    public int Uniform(IrRegister register) => _uniform[register.Index];

    /// <summary>Offset of a register's lanes from a group's start.</summary>
    public int Lanes(IrRegister register) => _lanes[register.Index];

    public static int Scratch(int place) => ScratchOffset + (place * ScratchBytes);
}
