// The noise schedule's tables as the kernels of sampling and training read them, in device memory.
namespace FashionFlow.Tensors;

/// <summary>What an ancestral step reads, each a tensor [T] of the latents' element type.</summary>
/// <param name="Betas">beta_t.</param>
/// <param name="SqrtRecipAlphas">sqrt(1 / alpha_t).</param>
/// <param name="SqrtOneMinusAlphasCumprod">sqrt(1 - abar_t).</param>
/// <param name="PosteriorVariance">beta_t (1 - abar_(t-1)) / (1 - abar_t).</param>
public sealed record DdpmTables(Tensor Betas, Tensor SqrtRecipAlphas, Tensor SqrtOneMinusAlphasCumprod, Tensor PosteriorVariance);

/// <summary>What the forward process reads, each a tensor [T] of the latents' element type.</summary>
/// <param name="SqrtAlphasCumprod">sqrt(abar_t).</param>
/// <param name="SqrtOneMinusAlphasCumprod">sqrt(1 - abar_t).</param>
public sealed record NoisingTables(Tensor SqrtAlphasCumprod, Tensor SqrtOneMinusAlphasCumprod);
