// The kernels of convolution.cu for half types: operands become float on their way into a tile, sums are in float, and what bias,
// residual and activation make of them is rounded once.
#include "half.cuh"
#include "convolution.cuh"

// Large outputs: y = epilogue(conv(x, w) + bias + residual), x [pictures, height, width, inChannels], w [outChannels, kernelH,
// kernelW, inChannels], y and residual (or null) [pictures, outHeight, outWidth, outChannels], bias [outChannels] or null; at
// most 2^31 - 1 output pixels. Moves at least x + w + y. Grid: tiles, Tiles<half>::Large of [pixels, outChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Large::THREADS, 2) conv2d_f16(
    const half* __restrict__ x, const half* __restrict__ w, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth, int outChannels,
    int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
{
    convolve_tile<Tiles<half>::Large>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Large::THREADS, 2) conv2d_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ w, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ y, int pictures, int height, int width, int inChannels,
    int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft,
    int epilogue)
{
    convolve_tile<Tiles<bfloat16>::Large>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}

// Small outputs: y = epilogue(conv(x, w) + bias + residual), x [pictures, height, width, inChannels], w [outChannels, kernelH,
// kernelW, inChannels], y and residual (or null) [pictures, outHeight, outWidth, outChannels], bias [outChannels] or null; at
// most 2^31 - 1 output pixels. Moves at least x + w + y. Grid: tiles, Tiles<half>::Small of [pixels, outChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Small::THREADS) conv2d_small_f16(
    const half* __restrict__ x, const half* __restrict__ w, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth, int outChannels,
    int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
{
    convolve_tile<Tiles<half>::Small>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Small::THREADS) conv2d_small_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ w, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ y, int pictures, int height, int width, int inChannels,
    int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft,
    int epilogue)
{
    convolve_tile<Tiles<bfloat16>::Small>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}

// Few output channels: y = epilogue(conv(x, w) + bias + residual), x [pictures, height, width, inChannels], w [outChannels,
// kernelH, kernelW, inChannels], y and residual (or null) [pictures, outHeight, outWidth, outChannels], bias [outChannels] or
// null; at most 2^31 - 1 output pixels. Moves at least x + w + y. Grid: tiles, Tiles<half>::Narrow of [pixels, outChannels] a
// block.
extern "C" __global__ void __launch_bounds__(Tiles<half>::Narrow::THREADS) conv2d_narrow_f16(
    const half* __restrict__ x, const half* __restrict__ w, const half* __restrict__ bias, const half* __restrict__ residual,
    half* __restrict__ y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth, int outChannels,
    int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
{
    convolve_tile<Tiles<half>::Narrow>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}

extern "C" __global__ void __launch_bounds__(Tiles<bfloat16>::Narrow::THREADS) conv2d_narrow_bf16(
    const bfloat16* __restrict__ x, const bfloat16* __restrict__ w, const bfloat16* __restrict__ bias,
    const bfloat16* __restrict__ residual, bfloat16* __restrict__ y, int pictures, int height, int width, int inChannels,
    int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft,
    int epilogue)
{
    convolve_tile<Tiles<bfloat16>::Narrow>(
        x, w, bias, residual, y, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH,
        strideW, padTop, padLeft, epilogue);
}
