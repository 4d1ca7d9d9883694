// The ways that kernels/gemm.cu and kernels/convolution.cu cut a result into blocks.
namespace FashionFlow.Tensors;

/// <summary>What one block of a product or convolution kernel computes.</summary>
internal enum ProductTile
{
    /// <summary>The largest tile: 128 x 128, in double 64 x 64.</summary>
    Large,

    /// <summary>A quarter of it, for results that the largest would cut into too few blocks.</summary>
    Small,

    /// <summary>Sixteen columns, for results of few columns. A is not transposed.</summary>
    Narrow,

    /// <summary>No tile: a warp a column and four rows, sums split over its lanes. Products with transposed B alone.</summary>
    Rows,
}
