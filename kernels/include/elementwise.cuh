// Element by element: sums, scaling, activations, conversion; the bodies of elementwise.cu and elementwise_half.cu.
#pragma once

#include "activation.cuh"
#include "common.cuh"
#include "map2.cuh"
#include "rows.cuh"

// y[i] = function(x[i]). A thread takes four neighbouring elements in one vector access where the tensors are aligned to it
// and the four exist; the rest goes one by one.
template <typename T, typename F>
__device__ __forceinline__ void map1(const T* __restrict__ x, T* __restrict__ y, int n, F function) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first <= n - 4 && is_vector_aligned(x) && is_vector_aligned(y)) {
        const Four<Compute<T>> v = load4(x + first);
        store4(y + first, {function(v.x), function(v.y), function(v.z), function(v.w)});
        return;
    }
    for (int i = first; i < n && i < first + 4; ++i) {
        y[i] = T(function(x[i]));
    }
}

template <typename T>
struct Sum {
    __device__ __forceinline__ T operator()(T a, T b) const { return a + b; }
};

template <typename T>
struct Product {
    T factor;
    __device__ __forceinline__ T operator()(T x) const { return factor * x; }
};

template <typename T>
struct ScaledSum {
    T factor;
    __device__ __forceinline__ T operator()(T a, T b) const { return fma_of(factor, b, a); }
};

template <typename T>
struct SiluOf {
    __device__ __forceinline__ T operator()(T x) const { return silu(x); }
};

template <typename T>
struct GeluOf {
    __device__ __forceinline__ T operator()(T x) const { return gelu(x); }
};

template <typename T>
struct QuickGeluOf {
    __device__ __forceinline__ T operator()(T x) const { return quick_gelu(x); }
};

// Comparisons in this order let a NaN through, as torch.clamp does.
template <typename T>
struct Clamped {
    T low, high;
    __device__ __forceinline__ T operator()(T x) const { return x < low ? low : x > high ? high : x; }
};

template <typename T>
__device__ __forceinline__ void add_broadcast_row(
    const T* __restrict__ x, const T* __restrict__ row, T* __restrict__ y, int rows, int columns) {
    RowTile tile;
    if (!row_tile(rows, columns, tile)) {
        return;
    }
    const T* x_row = x + tile.row * columns;
    T* y_row = y + tile.row * columns;
    for_columns(
        tile, columns % 4 == 0 && is_vector_aligned(x) && is_vector_aligned(row) && is_vector_aligned(y),
        [=](int column) {
            const Four<Compute<T>> u = load4(x_row + column);
            const Four<Compute<T>> v = load4(row + column);
            store4(y_row + column, {u.x + v.x, u.y + v.y, u.z + v.z, u.w + v.w});
        },
        [=](int column) { y_row[column] = T(x_row[column] + row[column]); });
}

template <typename T>
__device__ __forceinline__ void fill(T* __restrict__ y, Compute<T> value, int n) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first <= n - 4 && is_vector_aligned(y)) {
        store4(y + first, {value, value, value, value});
        return;
    }
    for (int i = first; i < n && i < first + 4; ++i) {
        y[i] = T(value);
    }
}

template <typename To, typename From>
__device__ __forceinline__ void cast(const From* __restrict__ x, To* __restrict__ y, int n) {
    const int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
    if (first <= n - 4 && is_vector_aligned(x) && is_vector_aligned(y)) {
        typedef Compute<To> C;
        const Four<Compute<From>> v = load4(x + first);
        store4(y + first, {static_cast<C>(v.x), static_cast<C>(v.y), static_cast<C>(v.z), static_cast<C>(v.w)});
        return;
    }
    for (int i = first; i < n && i < first + 4; ++i) {
        y[i] = static_cast<To>(x[i]);
    }
}
