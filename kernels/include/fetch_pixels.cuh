// How a tile of a convolution's product gets the pixels that are its rows: those under one kernel position, straight from the
// picture, so that the im2col matrix is never built.
#pragma once
#include "tile_product.cuh"

// Fetches input pixels under one kernel position. A tap outside the picture reads a pixel inside it and drops the value, which
// costs a select where a branch would split the warp.
template <typename S>
struct FetchPixels
{
    typedef typename S::Element T;
    typedef typename S::Number Number;
    static const int V = S::V, PER_LINE = S::DEPTH / V, COUNT = S::ROWS * PER_LINE / S::THREADS;
    static_assert(S::ROWS * PER_LINE % S::THREADS == 0, "every thread fetches as much");
    Number stage[COUNT][V];
    const T* picture[COUNT];
    int top[COUNT], left[COUNT];
    bool vectors;

    __device__ __forceinline__ void start(
        const T* x, int firstRow, int rows, int height, int width, int channels, int outHeight, int outWidth, int strideH,
        int strideW, int padTop, int padLeft)
    {
        vectors = is_vector_aligned(x) && channels % V == 0;
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const unsigned index = threadIdx.x + i * S::THREADS;
            const int pixel = smaller(firstRow + (int)(index % S::ROWS), rows - 1);
            const int line = pixel / outWidth, image = line / outHeight;
            left[i] = (pixel - line * outWidth) * strideW - padLeft;
            top[i] = (line - image * outHeight) * strideH - padTop;
            picture[i] = x + (long long)image * height * width * channels;
        }
    }

    __device__ __forceinline__ void fetch(int kernelRow, int kernelCol, int c0, int height, int width, int channels)
    {
        const T* pixel[COUNT];
        bool inside[COUNT];
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const int y = top[i] + kernelRow, x = left[i] + kernelCol;
            const int row = y < 0 ? 0 : smaller(y, height - 1), col = x < 0 ? 0 : smaller(x, width - 1);
            inside[i] = row == y && col == x;
            pixel[i] = picture[i] + (long long)(row * width + col) * channels;
        }
        if (vectors && c0 + S::DEPTH <= channels)
        {
#pragma unroll
            for (int i = 0; i < COUNT; ++i)
            {
                Vector<T>::load(stage[i], pixel[i] + c0 + (threadIdx.x + i * S::THREADS) / S::ROWS * V);
#pragma unroll
                for (int e = 0; e < V; ++e)
                {
                    stage[i][e] = inside[i] ? stage[i][e] : Number(0);
                }
            }
            return;
        }
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const int own = c0 + (int)((threadIdx.x + i * S::THREADS) / S::ROWS * V);
#pragma unroll
            for (int e = 0; e < V; ++e)
            {
                const Number value = pixel[i][smaller(own + e, channels - 1)];
                stage[i][e] = inside[i] && own + e < channels ? value : Number(0);
            }
        }
    }

    __device__ __forceinline__ void put(Number (*tile)[S::ROW_PITCH]) const
    {
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const unsigned index = threadIdx.x + i * S::THREADS;
#pragma unroll
            for (int e = 0; e < V; ++e)
            {
                tile[index / S::ROWS * V + e][index % S::ROWS] = stage[i][e];
            }
        }
    }
};
