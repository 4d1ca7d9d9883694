// What a PyTorch file says of one tensor.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>A tensor in a PyTorch file: a view of a storage, which others may share.</summary>
/// <param name="Name">The keys that lead to it, joined with dots: <c>net.conv_in.spatial_conv.weight</c>.</param>
/// <param name="DType">Its element type.</param>
/// <param name="Shape">Its shape.</param>
/// <param name="Strides">Elements from one index of an axis to the next; 0 repeats the same ones.</param>
/// <param name="Offset">Its first element's place in the storage, in elements.</param>
/// <param name="Storage">The storage's name in the file.</param>
public sealed record PyTorchTensor(string Name, DType DType, Shape Shape, IReadOnlyList<long> Strides, long Offset, string Storage)
    : WeightEntry(Name, DType, Shape)
{
    /// <summary>Whether its elements lie in the storage one after the other, row-major.</summary>
    public bool IsContiguous
    {
        get
        {
            var expected = 1L;
            for (var axis = Shape.Rank - 1; axis >= 0; axis--)
            {
                if (Shape[axis] != 1 && Strides[axis] != expected)
                {
                    return Shape.Count == 0;
                }

                expected *= Shape[axis];
            }

            return true;
        }
    }
}
