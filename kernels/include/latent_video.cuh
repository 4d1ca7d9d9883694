// Where an element of a latent video lies, for kernels that treat its frames and videos differently.
#pragma once

// A product that is rounded by itself, never contracted into a fused multiply-add: PyTorch rounds after every operation.
__device__ __forceinline__ float rounded_product(float a, float b) { return __fmul_rn(a, b); }
__device__ __forceinline__ double rounded_product(double a, double b) { return __dmul_rn(a, b); }

// Where an element of x [batch, frames, frame] lies: blocks along y walk batch x frames, so that video and frame are the same
// for a whole block and cost no division an element.
struct Place
{
    int video;
    int frame;
    int inFrame;
    long long at;
    long long inPicture;
};

__device__ __forceinline__ Place place_of(int frames, int frameElements)
{
    Place place;
    place.video = blockIdx.y / frames;
    place.frame = blockIdx.y - place.video * frames;
    place.inFrame = blockIdx.x * blockDim.x + threadIdx.x;
    place.at = (long long)blockIdx.y * frameElements + place.inFrame;
    place.inPicture = (long long)place.video * frameElements + place.inFrame;
    return place;
}

// A timestep as an index into tables of `steps` entries.
__device__ __forceinline__ int held_step(int t, int steps) { return t < 0 ? 0 : t >= steps ? steps - 1 : t; }
