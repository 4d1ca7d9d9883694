// The gated activation of the feed-forward layers.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

public static partial class Functional
{
    /// <inheritdoc cref="Ops.Geglu"/>
    public static Tensor Geglu(Tensor x)
        => Tape.Record(nameof(Geglu), Ops.Geglu(x), [x], [x], static call => call.Set(0, Ops.GegluBackward(call.Saved(0), call.Gradient)));
}
