// The gradient of GEGLU, value * gelu(gate), with respect to both: one pass, which computes the GELU again rather than read it.
#include "activation_slope.cuh"
#include "blocks.cuh"
#include "common.cuh"
#include "row.cuh"

namespace {

// What becomes of one value and gate with the gradient of their product.
template <typename T>
__device__ __forceinline__ void gate_backward(T value, T gate, T gradient, T& value_gradient, T& gate_gradient) {
    const T distribution = normal_distribution(gate);
    value_gradient = gradient * (gate * distribution);
    gate_gradient = gradient * value * gelu_slope(gate, distribution);
}

// A row of threads, blockDim.x wide, takes a row; in a last, partial step the threads past the end repeat the last vector.
template <typename T>
__device__ __forceinline__ void gate_rows_backward(
    const T* __restrict__ x, const T* __restrict__ gradient, T* __restrict__ dx, int rows, int c) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y;
    if (row >= rows) {
        return;
    }
    const T* value = x + static_cast<long long>(row) * 2 * c;
    const T* gate = value + c;
    const T* incoming = gradient + static_cast<long long>(row) * c;
    T* dvalue = dx + static_cast<long long>(row) * 2 * c;
    T* dgate = dvalue + c;
    if (c % 4 == 0 && is_vector_aligned(x) && is_vector_aligned(gradient) && is_vector_aligned(dx)) {
        each_of_row(0, c / 4, threadIdx.x, blockDim.x, [&](int i, bool) {
            const Four<T> v = load4(value + i * 4);
            const Four<T> g = load4(gate + i * 4);
            const Four<T> in = load4(incoming + i * 4);
            Four<T> dv, dg;
            gate_backward(v.x, g.x, in.x, dv.x, dg.x);
            gate_backward(v.y, g.y, in.y, dv.y, dg.y);
            gate_backward(v.z, g.z, in.z, dv.z, dg.z);
            gate_backward(v.w, g.w, in.w, dv.w, dg.w);
            store4(dvalue + i * 4, dv);
            store4(dgate + i * 4, dg);
        });
    } else {
        each_of_row(0, c, threadIdx.x, blockDim.x, [&](int i, bool) {
            gate_backward(value[i], gate[i], incoming[i], dvalue[i], dgate[i]);
        });
    }
}

}  // namespace

// x, dx [rows, 2c], the values, then the gates; gradient [rows, c]. With Phi and phi distribution and density of the normal
// distribution: dx = gradient * gate Phi(gate), then gradient * value (Phi(gate) + gate phi(gate)). Block (m, n) with m threads
// a row, whole warps in all. Moves 5 rows c elements.
extern "C" __global__ void __launch_bounds__(MAX_GEGLU_BLOCK) geglu_backward_f32(
    const float* __restrict__ x, const float* __restrict__ gradient, float* __restrict__ dx, int rows, int c) {
    gate_rows_backward<float>(x, gradient, dx, rows, c);
}

extern "C" __global__ void __launch_bounds__(MAX_GEGLU_BLOCK) geglu_backward_f64(
    const double* __restrict__ x, const double* __restrict__ gradient, double* __restrict__ dx, int rows, int c) {
    gate_rows_backward<double>(x, gradient, dx, rows, c);
}
