// From a picture's tokens to one vector of length 1, as contrastive losses compare them.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

public static partial class Functional
{
    /// <inheritdoc cref="Ops.MeanTokens"/>
    public static Tensor MeanTokens(Tensor x)
    {
        var shape = x.Shape;
        return Tape.Record(nameof(MeanTokens), Ops.MeanTokens(x), [x], [], call => call.Set(0, Ops.MeanTokensBackward(call.Gradient, shape[1])));
    }

    /// <inheritdoc cref="Ops.NormalizeRows"/>
    public static Tensor NormalizeRows(Tensor x, double eps = 1e-12)
        => Tape.Record(
            nameof(NormalizeRows), Ops.NormalizeRows(x, eps), [x], [x],
            call => call.Set(0, Ops.NormalizeRowsBackward(call.Saved(0), call.Gradient, eps)));
}
