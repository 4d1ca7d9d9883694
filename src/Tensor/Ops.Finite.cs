// Looking for numbers that are none.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>Sets a flag to 1 if an element is infinite or no number; else leaves it. The caller reads it: operators read nothing back.</summary>
    /// <param name="x">Float32 or Float64.</param>
    /// <param name="found">Int32 [1], 0 to begin with. Several tensors may share it.</param>
    public static void FindNonFinite(Tensor x, Tensor found)
    {
        RequireFloating(x);
        Require(found.DType == DType.Int32 && found.Count == 1, $"the flag must be Int32 [1], not {found}");
        found.MarkWritten();
        var n = (int)x.Count;
        var launch = Cover(CeilingDivide(Math.Max(n, 1), 8));
        if (n > 0 && x.DType == DType.Float32)
        {
            FiniteKernels.FindNonFiniteF32(x.Context.Stream, launch, x.Pointer<float>(), found.Pointer<int>(), n);
        }
        else if (n > 0)
        {
            FiniteKernels.FindNonFiniteF64(x.Context.Stream, launch, x.Pointer<double>(), found.Pointer<int>(), n);
        }
    }
}
