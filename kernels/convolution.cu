// Convolutions on channels-last tensors as one matrix product that never builds its left matrix (implicit GEMM): the rows are
// output pixels, the columns output channels, and k runs over kernel row, kernel column, input channel, in that order. The
// temporal half of a pseudo-3D convolution is the same on [b, f, h*w, c] with a kt x 1 kernel. All tiles give the same bits.
#include "convolution.cuh"

// Large outputs: y = epilogue(conv(x, w) + bias + residual), x [pictures, height, width, inChannels], w [outChannels, kernelH,
// kernelW, inChannels], y and residual (or null) [pictures, outHeight, outWidth, outChannels], bias [outChannels] or null; at
// most 2^31 - 1 output pixels. Moves at least x + w + y. Grid: tiles, Tiles<float>::Large of [pixels, outChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Large::THREADS, 2) conv2d_f32(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth, int outChannels,
    int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
{
    convolve_tile<Tiles<float>::Large>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}

// Large outputs: y = epilogue(conv(x, w) + bias + residual), x [pictures, height, width, inChannels], w [outChannels, kernelH,
// kernelW, inChannels], y and residual (or null) [pictures, outHeight, outWidth, outChannels], bias [outChannels] or null; at
// most 2^31 - 1 output pixels. Moves at least x + w + y. Grid: tiles, Tiles<double>::Large of [pixels, outChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Large::THREADS, 2) conv2d_f64(
    const double* __restrict__ x, const double* __restrict__ w, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth, int outChannels,
    int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
{
    convolve_tile<Tiles<double>::Large>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}

// Small outputs: y = epilogue(conv(x, w) + bias + residual), x [pictures, height, width, inChannels], w [outChannels, kernelH,
// kernelW, inChannels], y and residual (or null) [pictures, outHeight, outWidth, outChannels], bias [outChannels] or null; at
// most 2^31 - 1 output pixels. Moves at least x + w + y. Grid: tiles, Tiles<float>::Small of [pixels, outChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Small::THREADS) conv2d_small_f32(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth, int outChannels,
    int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
{
    convolve_tile<Tiles<float>::Small>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}

// Small outputs: y = epilogue(conv(x, w) + bias + residual), x [pictures, height, width, inChannels], w [outChannels, kernelH,
// kernelW, inChannels], y and residual (or null) [pictures, outHeight, outWidth, outChannels], bias [outChannels] or null; at
// most 2^31 - 1 output pixels. Moves at least x + w + y. Grid: tiles, Tiles<double>::Small of [pixels, outChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Small::THREADS) conv2d_small_f64(
    const double* __restrict__ x, const double* __restrict__ w, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth, int outChannels,
    int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
{
    convolve_tile<Tiles<double>::Small>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}

// Few output channels: y = epilogue(conv(x, w) + bias + residual), x [pictures, height, width, inChannels], w [outChannels,
// kernelH, kernelW, inChannels], y and residual (or null) [pictures, outHeight, outWidth, outChannels], bias [outChannels] or
// null; at most 2^31 - 1 output pixels. Moves at least x + w + y. Grid: tiles, Tiles<float>::Narrow of [pixels, outChannels] a
// block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Narrow::THREADS) conv2d_narrow_f32(
    const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias, const float* __restrict__ residual,
    float* __restrict__ y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth, int outChannels,
    int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
{
    convolve_tile<Tiles<float>::Narrow>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}

// Few output channels: y = epilogue(conv(x, w) + bias + residual), x [pictures, height, width, inChannels], w [outChannels,
// kernelH, kernelW, inChannels], y and residual (or null) [pictures, outHeight, outWidth, outChannels], bias [outChannels] or
// null; at most 2^31 - 1 output pixels. Moves at least x + w + y. Grid: tiles, Tiles<double>::Narrow of [pixels, outChannels] a
// block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Narrow::THREADS) conv2d_narrow_f64(
    const double* __restrict__ x, const double* __restrict__ w, const double* __restrict__ bias, const double* __restrict__ residual,
    double* __restrict__ y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth, int outChannels,
    int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
{
    convolve_tile<Tiles<double>::Narrow>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}
