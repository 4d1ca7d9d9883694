// Which implementation serves matrix products and convolutions.
namespace FashionFlow.Tensors;

/// <summary>The way that matrix products and convolutions go.</summary>
public enum MatmulBackend
{
    /// <summary>The device's library (cuBLAS and cuDNN, or the virtual device's SIMD one) where there is one, else our kernels.</summary>
    Library,

    /// <summary>Our own CUDA kernels, on any device.</summary>
    Kernels,
}
