// What a product or convolution does with a finished sum before it is stored: bias, residual, activation, in that order.
#pragma once

#include "exponential.cuh"
#include "normal_distribution.cuh"

// FashionFlow.Gpu.Epilogue, by number.
enum Epilogue
{
    EPILOGUE_NONE = 0,
    EPILOGUE_SILU = 1,        // x sigmoid(x)
    EPILOGUE_GELU = 2,        // x Phi(x), Phi the normal distribution function: Hendrycks and Gimpel 2016
    EPILOGUE_QUICK_GELU = 3,  // x sigmoid(1.702 x), as CLIP has it
};

__device__ __forceinline__ float fused_multiply_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
__device__ __forceinline__ double fused_multiply_add(double a, double b, double c) { return __fma_rn(a, b, c); }

// The activation alone. `epilogue` is the same for the whole grid, so the branch never diverges.
template <typename T>
__device__ __forceinline__ T apply_epilogue(int epilogue, T x)
{
    if (epilogue == EPILOGUE_NONE)
    {
        return x;
    }
    if (epilogue == EPILOGUE_GELU)
    {
        return x * normal_distribution(x);
    }
    const T slope = epilogue == EPILOGUE_QUICK_GELU ? T(1.702) : T(1);
    return x / (T(1) + exp_of(-slope * x));
}
