// Tensors that outlived their owner, each with its shape and, where recorded, the place that made it.
using System.Text;

namespace FashionFlow.Tensors;

/// <summary>Tensors were still alive where none should have been.</summary>
public sealed class TensorLeakException : InvalidOperationException
{
    private const int Listed = 8;

    internal TensorLeakException(int expected, IReadOnlyCollection<Tensor> live)
        : base(Describe(expected, live))
    {
    }

    private static string Describe(int expected, IReadOnlyCollection<Tensor> live)
    {
        var text = new StringBuilder($"expected {expected} live tensors but found {live.Count}: ");
        text.AppendJoin("; ", live.Take(Listed).Select(tensor => tensor.Describe()));
        return (live.Count > Listed ? text.Append("; ...") : text).ToString();
    }
}
