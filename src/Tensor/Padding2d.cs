// How much zero is put around a picture before a convolution.
namespace FashionFlow.Tensors;

/// <summary>Zero rows and columns around a picture.</summary>
/// <param name="Top">Rows above.</param>
/// <param name="Left">Columns to the left.</param>
/// <param name="Bottom">Rows below.</param>
/// <param name="Right">Columns to the right.</param>
public readonly record struct Padding2d(int Top, int Left, int Bottom, int Right)
{
    /// <summary>The same on all four sides.</summary>
    public static Padding2d All(int width) => new(width, width, width, width);

    /// <summary>What keeps height and width under an odd kernel at stride 1.</summary>
    public static Padding2d Same(int kernelH, int kernelW) => new(kernelH / 2, kernelW / 2, (kernelH - 1) / 2, (kernelW - 1) / 2);
}
