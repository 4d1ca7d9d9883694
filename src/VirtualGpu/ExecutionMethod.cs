// Which of the two compiled methods of a kernel a virtual device uses.
namespace FashionFlow.VirtualGpu;

/// <summary>How the virtual device runs a kernel's warps. Both ways give the same bits.</summary>
public enum ExecutionMethod
{
    /// <summary>The fast method where a warp's lanes agree on the way, the general one where they part.</summary>
    Auto,

    /// <summary>The general method alone; the fast one is tested against it.</summary>
    General,
}
