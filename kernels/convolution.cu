// Convolutions on channels-last tensors as one matrix product that never builds its left matrix (implicit GEMM): the rows are
// output pixels, the columns output channels, and k runs over kernel row, kernel column, input channel, in that order. The
// temporal half of a pseudo-3D convolution is the same on [b, f, h*w, c] with a kt x 1 kernel. All tiles give the same bits.
#include "fetch_pixels.cuh"

template <typename S>
__device__ __forceinline__ void convolve_tile(
    const typename S::Element* __restrict__ x, const typename S::Element* __restrict__ w,
    const typename S::Element* __restrict__ bias, const typename S::Element* __restrict__ residual,
    typename S::Element* __restrict__ y, int pictures, int height, int width, int inChannels, int outHeight, int outWidth,
    int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int epilogue)
{
    typedef typename S::Element T;
    __shared__ SharedTiles<S> tiles;
    const int rows = pictures * outHeight * outWidth;
    int tileRow, tileCol;
    tile_of(blockIdx.x, (rows + S::ROWS - 1) / S::ROWS, (outChannels + S::COLS - 1) / S::COLS, tileRow, tileCol);
    const int firstRow = tileRow * S::ROWS, firstCol = tileCol * S::COLS;

    FetchPixels<S> pixels;
    pixels.start(x, firstRow, rows, height, width, inChannels, outHeight, outWidth, strideH, strideW, padTop, padLeft);
    FetchAlongK<T, S::COLS, S::COL_PITCH, S::DEPTH, S::THREADS> weights;
    weights.start(w, (long long)kernelH * kernelW * inChannels, firstCol, outChannels);
    weights.vectors = aligned16(w) && inChannels % S::V == 0;
    Accumulator<S> accumulator;
    accumulator.clear();

    pixels.fetch(0, 0, 0, height, width, inChannels);
    weights.fetch(0, 0, inChannels);
    pixels.put(tiles.a[0]);
    weights.put(tiles.b[0]);
    __syncthreads();
    // Each kernel position is its own run over the channels, in steps of DEPTH with a last one that is filled up with zeros:
    // the position is then the same for the whole block and needs no division.
    const int runs = (inChannels + S::DEPTH - 1) / S::DEPTH;
    int kernelRow = 0, kernelCol = 0, c0 = 0;
    for (int left = runs * kernelH * kernelW - 1, current = 0;; --left)
    {
        if (left > 0)
        {
            c0 += S::DEPTH;
            if (c0 >= inChannels)
            {
                c0 = 0;
                if (++kernelCol == kernelW)
                {
                    kernelCol = 0;
                    ++kernelRow;
                }
            }
            pixels.fetch(kernelRow, kernelCol, c0, height, width, inChannels);
            weights.fetch((long long)(kernelRow * kernelW + kernelCol) * inChannels, c0, inChannels);
        }
        accumulator.multiply(tiles.a[current], tiles.b[current]);
        if (left == 0)
        {
            break;
        }
        current ^= 1;
        pixels.put(tiles.a[current]);
        weights.put(tiles.b[current]);
        __syncthreads();
    }
    accumulator.finish(y, bias, residual, outChannels, firstRow, firstCol, rows, outChannels, T(1), T(1), epilogue);
}

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
