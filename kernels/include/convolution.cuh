// A tile of a convolution: the body of convolution.cu and convolution_half.cu.
#pragma once

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
    weights.vectors = is_vector_aligned(w) && inChannels % S::V == 0;
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
    accumulator.finish(y, bias, residual, outChannels, firstRow, firstCol, rows, outChannels, typename S::Number(1), typename S::Number(1), epilogue);
}
