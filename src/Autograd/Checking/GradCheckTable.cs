// The table of everything that can be differentiated: a case or more for every operator of Functional.
namespace FashionFlow.Autograd.Checking;

/// <summary>All cases. <c>fashionflow gradcheck --all</c> and the tests run over them; a test holds the table to be complete.</summary>
public static class GradCheckTable
{
    /// <summary>Every case of every family.</summary>
    public static IReadOnlyList<GradCheckCase> Cases { get; } =
    [
        .. ConvolutionGradients.Cases,
        .. AttentionGradients.Cases,
        .. ElementwiseGradients.Cases,
        .. ProductGradients.Cases,
        .. LayoutGradients.Cases,
        .. LossGradients.Cases,
        .. VaeGradients.Cases,
        .. NormGradients.Cases,
    ];
}
