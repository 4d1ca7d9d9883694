// Gradients of convolutions on channels-last tensors, as tiled products like the convolution itself (convolution.cu) that build
// no second matrix. For x, rows are the pixels of x, columns its channels, and k runs over kernel positions and the channels of
// dy; for the weights, rows are the channels of dy, columns the elements of a window, and k runs over all output pixels, cut
// into chunks so that small weights fill the device too. No atomics: every sum has an order that the shape alone fixes.
#include "fetch_pixels.cuh"

// Along one axis a pixel of x meets only every stride-th tap of the kernel. The pixels that meet taps offset, offset + stride, ..
// are a stride class: pixel i of it is x[first + i stride], and its tap j lies on output skipped + i - j.
struct StrideClass
{
    int offset, skipped, first, count, taps;

    __device__ __forceinline__ StrideClass(int ownOffset, int size, int kernel, int stride, int padding)
    {
        offset = ownOffset;
        skipped = (padding - offset + stride - 1) / stride;
        first = skipped * stride + offset - padding;
        count = first < size ? (size - 1 - first) / stride + 1 : 0;
        taps = offset < kernel ? (kernel - 1 - offset) / stride + 1 : 0;
    }
};

// Stores a thread's sums: row m of the tile's product starts at to + place(m).
template <typename S, typename P>
__device__ __forceinline__ void store_tile(
    const Accumulator<S>& accumulator, typename S::Element* to, int firstRow, int firstCol, int rows, int cols, const P& place)
{
    const int row = firstRow + (int)(threadIdx.x / S::COL_THREADS * S::V);
    const int col = firstCol + (int)(threadIdx.x % S::COL_THREADS * S::V);
    const bool vectors = is_vector_aligned(to) && cols % S::V == 0;
#pragma unroll
    for (int i = 0; i < S::THREAD_ROWS; ++i)
    {
        const int m = row + i / S::V * S::ROW_THREADS * S::V + i % S::V;
        if (m >= rows)
        {
            continue;
        }
        typename S::Element* const line = to + place(m);
#pragma unroll
        for (int h = 0; h < S::THREAD_COLS / S::V; ++h)
        {
            const int n = col + h * S::COL_THREADS * S::V;
            if (vectors && n + S::V <= cols)
            {
                typename S::Element value[S::V];
#pragma unroll
                for (int e = 0; e < S::V; ++e)
                {
                    value[e] = accumulator.sum[i][h * S::V + e];
                }
                Vector<typename S::Element>::store(line + n, value);
                continue;
            }
#pragma unroll
            for (int e = 0; e < S::V; ++e)
            {
                if (n + e < cols)
                {
                    line[n + e] = accumulator.sum[i][h * S::V + e];
                }
            }
        }
    }
}

// Where a pixel of a stride class lies in x.
struct ClassPixel
{
    int countH, countW, firstH, firstW, height, width, strideH, strideW, channels;

    __device__ __forceinline__ long long operator()(int pixel) const
    {
        const int line = pixel / countW, image = line / countH;
        const int row = firstH + (line - image * countH) * strideH, col = firstW + (pixel - line * countW) * strideW;
        return (((long long)image * height + row) * width + col) * channels;
    }
};

template <typename S>
__device__ __forceinline__ void backward_data_tile(
    const typename S::Element* __restrict__ dy, const typename S::Element* __restrict__ weight,
    typename S::Element* __restrict__ dx, int pictures, int height, int width, int inChannels, int outHeight, int outWidth,
    int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft)
{
    typedef typename S::Element T;
    __shared__ SharedTiles<S> tiles;
    const int offsetH = blockIdx.z / strideW;
    const StrideClass h(offsetH, height, kernelH, strideH, padTop);
    const StrideClass v(blockIdx.z - offsetH * strideW, width, kernelW, strideW, padLeft);
    const int rows = pictures * h.count * v.count;
    const int rowTiles = (rows + S::ROWS - 1) / S::ROWS, colTiles = (inChannels + S::COLS - 1) / S::COLS;
    if ((int)blockIdx.x >= rowTiles * colTiles)
    {
        return;
    }
    int tileRow, tileCol;
    tile_of(blockIdx.x, rowTiles, colTiles, tileRow, tileCol);
    const int firstRow = tileRow * S::ROWS, firstCol = tileCol * S::COLS;
    Accumulator<S> accumulator;
    accumulator.clear();

    const int runs = (outChannels + S::DEPTH - 1) / S::DEPTH;
    int left = runs * h.taps * v.taps;
    if (left > 0)
    {
        const long long pitch = (long long)kernelH * kernelW * inChannels;
        FetchPixels<S> pixels;
        pixels.start(dy, firstRow, rows, outHeight, outWidth, outChannels, h.count, v.count, 1, 1, -h.skipped, -v.skipped);
        FetchAcrossK<T, S::COLS, S::COL_PITCH, S::DEPTH, S::THREADS> weights;
        weights.start(weight + (long long)(h.offset * kernelW + v.offset) * inChannels, pitch, firstCol, inChannels);
        weights.vectors = weights.vectors && inChannels % S::V == 0 && is_vector_aligned(weight);
        const T* const firstTap = weights.base;

        pixels.fetch(0, 0, 0, outHeight, outWidth, outChannels);
        weights.fetch(0, 0, outChannels);
        pixels.put(tiles.a[0]);
        weights.put(tiles.b[0]);
        __syncthreads();
        int tapH = 0, tapW = 0, c0 = 0;
        for (int current = 0;;)
        {
            --left;
            if (left > 0)
            {
                c0 += S::DEPTH;
                if (c0 >= outChannels)
                {
                    c0 = 0;
                    if (++tapW == v.taps)
                    {
                        tapW = 0;
                        ++tapH;
                    }
                }
                pixels.fetch(-tapH, -tapW, c0, outHeight, outWidth, outChannels);
                weights.base = firstTap + (long long)(tapH * strideH * kernelW + tapW * strideW) * inChannels;
                weights.fetch(0, c0, outChannels);
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
    }
    const ClassPixel place = {h.count, v.count, h.first, v.first, height, width, strideH, strideW, inChannels};
    store_tile(accumulator, dx, firstRow, firstCol, rows, inChannels, place);
}

// Fetches elements of the windows of some output pixels: k runs over the pixels, lines over the window. A thread always fetches the
// same V neighbouring elements of the window; it keeps where the first lies and walks to the others, since a place for each would
// be registers that the sums need.
template <typename S>
struct FetchWindows
{
    typedef typename S::Element T;
    static const int V = S::V, PER_K = S::COLS / V, COUNT = S::DEPTH * PER_K / S::THREADS;
    static_assert(S::DEPTH * PER_K % S::THREADS == 0 && S::THREADS % PER_K == 0, "every thread fetches as much, always of the same columns");
    T stage[COUNT][V];
    const T* picture;
    int kernelRow, kernelCol, channel;
    bool vectors;

    __device__ __forceinline__ void start(const T* x, int firstCol, int window, int kernelW, int channels)
    {
        picture = x;
        vectors = is_vector_aligned(x) && channels % V == 0;
        // Columns beyond the last give results that are never stored: what they read need only lie in the picture, as all does.
        const int own = smaller(firstCol + (int)(threadIdx.x % PER_K * V), vectors ? window - V : window - 1);
        const int tap = own / channels;
        channel = own - tap * channels;
        kernelRow = tap / kernelW;
        kernelCol = tap - kernelRow * kernelW;
    }

    __device__ __forceinline__ void fetch(
        int k0, int end, int height, int width, int channels, int outHeight, int outWidth, int kernelW, int strideH, int strideW,
        int padTop, int padLeft)
    {
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const int k = k0 + (int)((threadIdx.x + i * S::THREADS) / PER_K), pixel = smaller(k, end - 1);
            const int line = pixel / outWidth, image = line / outHeight;
            const int top = (line - image * outHeight) * strideH - padTop, left = (pixel - line * outWidth) * strideW - padLeft;
            const T* const from = picture + (long long)image * height * width * channels;
            if (vectors)
            {
                const int y = top + kernelRow, x = left + kernelCol;
                const int row = y < 0 ? 0 : smaller(y, height - 1), col = x < 0 ? 0 : smaller(x, width - 1);
                const bool inside = row == y && col == x && k < end;
                Vector<T>::load(stage[i], from + (long long)(row * width + col) * channels + channel);
#pragma unroll
                for (int e = 0; e < V; ++e)
                {
                    stage[i][e] = inside ? stage[i][e] : T(0);
                }
            }
            else
            {
                int ownRow = kernelRow, ownCol = kernelCol, ownChannel = channel;
#pragma unroll
                for (int e = 0; e < V; ++e)
                {
                    const int y = top + ownRow, x = left + ownCol;
                    const int row = y < 0 ? 0 : smaller(y, height - 1), col = x < 0 ? 0 : smaller(x, width - 1);
                    const T value = from[(long long)(row * width + col) * channels + ownChannel];
                    stage[i][e] = row == y && col == x && k < end ? value : T(0);
                    const bool nextTap = ++ownChannel == channels;
                    ownChannel = nextTap ? 0 : ownChannel;
                    ownCol += nextTap ? 1 : 0;
                    const bool nextRow = ownCol == kernelW;
                    ownCol = nextRow ? 0 : ownCol;
                    ownRow += nextRow ? 1 : 0;
                }
            }
        }
    }

    __device__ __forceinline__ void put(T (*tile)[S::COL_PITCH]) const
    {
#pragma unroll
        for (int i = 0; i < COUNT; ++i)
        {
            const unsigned index = threadIdx.x + i * S::THREADS;
            Vector<T>::store(&tile[index / PER_K][index % PER_K * V], stage[i]);
        }
    }
};

// Rows of a matrix without gaps.
struct MatrixRow
{
    long long pitch;

    __device__ __forceinline__ long long operator()(int row) const { return row * pitch; }
};

template <typename S>
__device__ __forceinline__ void backward_filter_tile(
    const typename S::Element* __restrict__ x, const typename S::Element* __restrict__ dy,
    typename S::Element* __restrict__ partial, int pictures, int height, int width, int inChannels, int outHeight, int outWidth,
    int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop, int padLeft, int chunk)
{
    typedef typename S::Element T;
    __shared__ SharedTiles<S> tiles;
    const int window = kernelH * kernelW * inChannels;
    int tileRow, tileCol;
    tile_of(blockIdx.x, (outChannels + S::ROWS - 1) / S::ROWS, (window + S::COLS - 1) / S::COLS, tileRow, tileCol);
    const int firstRow = tileRow * S::ROWS, firstCol = tileCol * S::COLS;
    const int first = blockIdx.z * chunk, pixels = pictures * outHeight * outWidth;
    const int end = pixels - first < chunk ? pixels : first + chunk;
    Accumulator<S> accumulator;
    accumulator.clear();

    FetchAcrossK<T, S::ROWS, S::ROW_PITCH, S::DEPTH, S::THREADS> gradients;
    gradients.start(dy, outChannels, firstRow, outChannels);
    FetchWindows<S> windows;
    windows.start(x, firstCol, window, kernelW, inChannels);
    gradients.fetch(0, first, end);
    windows.fetch(first, end, height, width, inChannels, outHeight, outWidth, kernelW, strideH, strideW, padTop, padLeft);
    gradients.put(tiles.a[0]);
    windows.put(tiles.b[0]);
    __syncthreads();
    for (int k = first, current = 0;;)
    {
        const bool more = end - k > S::DEPTH;
        if (more)
        {
            k += S::DEPTH;
            gradients.fetch(0, k, end);
            windows.fetch(k, end, height, width, inChannels, outHeight, outWidth, kernelW, strideH, strideW, padTop, padLeft);
        }
        accumulator.multiply(tiles.a[current], tiles.b[current]);
        if (!more)
        {
            break;
        }
        current ^= 1;
        gradients.put(tiles.a[current]);
        windows.put(tiles.b[current]);
        __syncthreads();
    }
    const MatrixRow place = {window};
    store_tile(accumulator, partial + (long long)blockIdx.z * outChannels * window, firstRow, firstCol, outChannels, window, place);
}

// Large pictures: dx[n, h, w, i] = sum of dy[n, r, s, o] weight[o, kh, kw, i] over all o and all r strideH + kh - padTop = h, s strideW +
// kw - padLeft = w; dy [pictures, outHeight, outWidth, outChannels], weight [outChannels, kernelH, kernelW, inChannels], dx
// [pictures, height, width, inChannels] of at most 2^31 - 1 pixels. Moves at least dy + weight + dx. Grid: (tiles of the
// largest stride class, 1, strideH strideW), Tiles<float>::Large of [pixels of the class, inChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Large::THREADS, 2) conv2d_backward_data_f32(
    const float* __restrict__ dy, const float* __restrict__ weight, float* __restrict__ dx, int pictures, int height, int width,
    int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
    int padLeft)
{
    backward_data_tile<Tiles<float>::Large>(
        dy, weight, dx, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH, strideW,
        padTop, padLeft);
}

// Large pictures: dx[n, h, w, i] = sum of dy[n, r, s, o] weight[o, kh, kw, i] over all o and all r strideH + kh - padTop = h, s strideW +
// kw - padLeft = w; dy [pictures, outHeight, outWidth, outChannels], weight [outChannels, kernelH, kernelW, inChannels], dx
// [pictures, height, width, inChannels] of at most 2^31 - 1 pixels. Moves at least dy + weight + dx. Grid: (tiles of the
// largest stride class, 1, strideH strideW), Tiles<double>::Large of [pixels of the class, inChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Large::THREADS, 2) conv2d_backward_data_f64(
    const double* __restrict__ dy, const double* __restrict__ weight, double* __restrict__ dx, int pictures, int height, int width,
    int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
    int padLeft)
{
    backward_data_tile<Tiles<double>::Large>(
        dy, weight, dx, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH, strideW,
        padTop, padLeft);
}

// Small pictures: dx[n, h, w, i] = sum of dy[n, r, s, o] weight[o, kh, kw, i] over all o and all r strideH + kh - padTop = h, s strideW +
// kw - padLeft = w; dy [pictures, outHeight, outWidth, outChannels], weight [outChannels, kernelH, kernelW, inChannels], dx
// [pictures, height, width, inChannels] of at most 2^31 - 1 pixels. Moves at least dy + weight + dx. Grid: (tiles of the
// largest stride class, 1, strideH strideW), Tiles<float>::Small of [pixels of the class, inChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Small::THREADS) conv2d_backward_data_small_f32(
    const float* __restrict__ dy, const float* __restrict__ weight, float* __restrict__ dx, int pictures, int height, int width,
    int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
    int padLeft)
{
    backward_data_tile<Tiles<float>::Small>(
        dy, weight, dx, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH, strideW,
        padTop, padLeft);
}

// Small pictures: dx[n, h, w, i] = sum of dy[n, r, s, o] weight[o, kh, kw, i] over all o and all r strideH + kh - padTop = h, s strideW +
// kw - padLeft = w; dy [pictures, outHeight, outWidth, outChannels], weight [outChannels, kernelH, kernelW, inChannels], dx
// [pictures, height, width, inChannels] of at most 2^31 - 1 pixels. Moves at least dy + weight + dx. Grid: (tiles of the
// largest stride class, 1, strideH strideW), Tiles<double>::Small of [pixels of the class, inChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Small::THREADS) conv2d_backward_data_small_f64(
    const double* __restrict__ dy, const double* __restrict__ weight, double* __restrict__ dx, int pictures, int height, int width,
    int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
    int padLeft)
{
    backward_data_tile<Tiles<double>::Small>(
        dy, weight, dx, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH, strideW,
        padTop, padLeft);
}

// Few input channels: dx[n, h, w, i] = sum of dy[n, r, s, o] weight[o, kh, kw, i] over all o and all r strideH + kh - padTop = h, s strideW +
// kw - padLeft = w; dy [pictures, outHeight, outWidth, outChannels], weight [outChannels, kernelH, kernelW, inChannels], dx
// [pictures, height, width, inChannels] of at most 2^31 - 1 pixels. Moves at least dy + weight + dx. Grid: (tiles of the
// largest stride class, 1, strideH strideW), Tiles<float>::Narrow of [pixels of the class, inChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Narrow::THREADS) conv2d_backward_data_narrow_f32(
    const float* __restrict__ dy, const float* __restrict__ weight, float* __restrict__ dx, int pictures, int height, int width,
    int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
    int padLeft)
{
    backward_data_tile<Tiles<float>::Narrow>(
        dy, weight, dx, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH, strideW,
        padTop, padLeft);
}

// Few input channels: dx[n, h, w, i] = sum of dy[n, r, s, o] weight[o, kh, kw, i] over all o and all r strideH + kh - padTop = h, s strideW +
// kw - padLeft = w; dy [pictures, outHeight, outWidth, outChannels], weight [outChannels, kernelH, kernelW, inChannels], dx
// [pictures, height, width, inChannels] of at most 2^31 - 1 pixels. Moves at least dy + weight + dx. Grid: (tiles of the
// largest stride class, 1, strideH strideW), Tiles<double>::Narrow of [pixels of the class, inChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Narrow::THREADS) conv2d_backward_data_narrow_f64(
    const double* __restrict__ dy, const double* __restrict__ weight, double* __restrict__ dx, int pictures, int height, int width,
    int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
    int padLeft)
{
    backward_data_tile<Tiles<double>::Narrow>(
        dy, weight, dx, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH, strideW,
        padTop, padLeft);
}

// Large weights: partial[z, o, kh, kw, i] = sum of dy[p, o] x[n, r strideH + kh - padTop, s strideW + kw - padLeft, i] over the output
// pixels p = (n, r, s) from z chunk to (z + 1) chunk - 1; x [pictures, height, width, inChannels], dy [pictures, outHeight,
// outWidth, outChannels], chunk a multiple of 8. Adding up the partials in order is the caller's. Moves at least x + dy +
// partial. Grid: (tiles, 1, chunks), Tiles<float>::Large of [outChannels, kernelH kernelW inChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Large::THREADS, 2) conv2d_backward_filter_f32(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partial, int pictures, int height, int width,
    int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
    int padLeft, int chunk)
{
    backward_filter_tile<Tiles<float>::Large>(
        x, dy, partial, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH, strideW,
        padTop, padLeft, chunk);
}

// Large weights: partial[z, o, kh, kw, i] = sum of dy[p, o] x[n, r strideH + kh - padTop, s strideW + kw - padLeft, i] over the output
// pixels p = (n, r, s) from z chunk to (z + 1) chunk - 1; x [pictures, height, width, inChannels], dy [pictures, outHeight,
// outWidth, outChannels], chunk a multiple of 8. Adding up the partials in order is the caller's. Moves at least x + dy +
// partial. Grid: (tiles, 1, chunks), Tiles<double>::Large of [outChannels, kernelH kernelW inChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Large::THREADS, 2) conv2d_backward_filter_f64(
    const double* __restrict__ x, const double* __restrict__ dy, double* __restrict__ partial, int pictures, int height, int width,
    int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
    int padLeft, int chunk)
{
    backward_filter_tile<Tiles<double>::Large>(
        x, dy, partial, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH, strideW,
        padTop, padLeft, chunk);
}

// Small weights: partial[z, o, kh, kw, i] = sum of dy[p, o] x[n, r strideH + kh - padTop, s strideW + kw - padLeft, i] over the output
// pixels p = (n, r, s) from z chunk to (z + 1) chunk - 1; x [pictures, height, width, inChannels], dy [pictures, outHeight,
// outWidth, outChannels], chunk a multiple of 8. Adding up the partials in order is the caller's. Moves at least x + dy +
// partial. Grid: (tiles, 1, chunks), Tiles<float>::Small of [outChannels, kernelH kernelW inChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<float>::Small::THREADS) conv2d_backward_filter_small_f32(
    const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ partial, int pictures, int height, int width,
    int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
    int padLeft, int chunk)
{
    backward_filter_tile<Tiles<float>::Small>(
        x, dy, partial, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH, strideW,
        padTop, padLeft, chunk);
}

// Small weights: partial[z, o, kh, kw, i] = sum of dy[p, o] x[n, r strideH + kh - padTop, s strideW + kw - padLeft, i] over the output
// pixels p = (n, r, s) from z chunk to (z + 1) chunk - 1; x [pictures, height, width, inChannels], dy [pictures, outHeight,
// outWidth, outChannels], chunk a multiple of 8. Adding up the partials in order is the caller's. Moves at least x + dy +
// partial. Grid: (tiles, 1, chunks), Tiles<double>::Small of [outChannels, kernelH kernelW inChannels] a block.
extern "C" __global__ void __launch_bounds__(Tiles<double>::Small::THREADS) conv2d_backward_filter_small_f64(
    const double* __restrict__ x, const double* __restrict__ dy, double* __restrict__ partial, int pictures, int height, int width,
    int inChannels, int outHeight, int outWidth, int outChannels, int kernelH, int kernelW, int strideH, int strideW, int padTop,
    int padLeft, int chunk)
{
    backward_filter_tile<Tiles<double>::Small>(
        x, dy, partial, pictures, height, width, inChannels, outHeight, outWidth, outChannels, kernelH, kernelW, strideH, strideW,
        padTop, padLeft, chunk);
}
