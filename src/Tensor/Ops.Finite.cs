// Looking for numbers that are none.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>Sets a flag to 1 if an element is infinite or no number; else leaves it. The caller reads it: operators read nothing back.</summary>
    /// <param name="x">Of floating-point type.</param>
    /// <param name="found">Int32 [1], 0 to begin with. Several tensors may share it.</param>
    public static void FindNonFinite(Tensor x, Tensor found)
    {
        RequireFloatingOrHalf(x);
        Require(found.DType == DType.Int32 && found.Count == 1, $"the flag must be Int32 [1], not {found}");
        found.MarkWritten();
        var n = (int)x.Count;
        if (n == 0)
        {
            return;
        }

        var (stream, launch) = (x.Context.Stream, Cover(CeilingDivide(n, 8)));
        switch (x.DType)
        {
            case DType.Float32:
                FiniteKernels.FindNonFiniteF32(stream, launch, x.Pointer<float>(), found.Pointer<int>(), n);
                break;
            case DType.Float64:
                FiniteKernels.FindNonFiniteF64(stream, launch, x.Pointer<double>(), found.Pointer<int>(), n);
                break;
            case DType.Float16:
                FiniteHalfKernels.FindNonFiniteF16(stream, launch, x.Pointer<Half>(), found.Pointer<int>(), n);
                break;
            default:
                FiniteHalfKernels.FindNonFiniteBf16(stream, launch, x.Pointer<BFloat16>(), found.Pointer<int>(), n);
                break;
        }
    }
}
