// Operators that move elements without changing them: joining, cutting, permuting, folding, resampling.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>a [.., ca] times a factor, joined with b [.., cb] along the channels: [.., ca + cb].</summary>
    public static Tensor ConcatChannels(Tensor a, double aScale, Tensor b) => Pending();

    /// <summary>a [b, n1, c] and b [b, n2, c] joined along the tokens: [b, n1 + n2, c].</summary>
    public static Tensor ConcatTokens(Tensor a, Tensor b) => Pending();

    /// <summary>A range of the channels of x [.., c]: [.., length].</summary>
    public static Tensor SliceChannels(Tensor x, int start, int length) => Pending();

    /// <summary>The axes of x in another order: axis i of the result is axis axes[i] of x.</summary>
    public static Tensor Permute(Tensor x, params int[] axes) => Pending();

    /// <summary>[b, f, h, w, c] to [b, f, h/p, w/p, p*p*c], the new channels in the order (row in patch, column in patch, c).</summary>
    public static Tensor SpaceToDepth(Tensor x, int patch = 2) => Pending();

    /// <summary>The inverse of <see cref="SpaceToDepth"/>: [b, f, h, w, p*p*c] to [b, f, h*p, w*p, c].</summary>
    public static Tensor DepthToSpace(Tensor x, int patch = 2) => Pending();

    /// <summary>[b, f, h, w, c] to [b, f/2, h, w, 2*c], the new channels in the order (frame in pair, c).</summary>
    public static Tensor FoldFrames(Tensor x) => Pending();

    /// <summary>The inverse of <see cref="FoldFrames"/>: [b, f, h, w, 2*c] to [b, 2*f, h, w, c].</summary>
    public static Tensor UnfoldFrames(Tensor x) => Pending();

    /// <summary>Each pixel of x [n, h, w, c] four times: [n, 2h, 2w, c].</summary>
    public static Tensor UpsampleNearest2x(Tensor x) => Pending();

    /// <summary>The largest of each 2x2 block of x [n, h, w, c]: [n, h/2, w/2, c]; an odd last row or column is left out.</summary>
    public static Tensor MaxPool2x2(Tensor x) => Pending();
}
