// One operator on the tape.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

/// <summary>An operator that was run: what it came from, what it made, what its backward needs.</summary>
internal sealed class TapeNode : IDisposable
{
    private readonly BackwardFunction _backward;

    public TapeNode(string operation, Variable?[] inputs, Variable output, ReadOnlySpan<Tensor?> saved, BackwardFunction backward)
    {
        (Operation, Inputs, Output, _backward) = (operation, inputs, output, backward);
        Saved = new Tensor?[saved.Length];
        SavedVersions = new int[saved.Length];
        for (var i = 0; i < saved.Length; i++)
        {
            if (saved[i] is { } tensor)
            {
                Saved[i] = TensorScope.Detach(tensor.AddReference());
                SavedVersions[i] = tensor.Version;
            }
        }
    }

    public string Operation { get; }

    public Variable?[] Inputs { get; }

    public Variable Output { get; }

    public Tensor?[] Saved { get; }

    public int[] SavedVersions { get; }

    /// <summary>Passes the result's gradient on to the inputs; nothing where no gradient has come.</summary>
    public void Backward()
    {
        if (Output.Gradient is { } gradient)
        {
            using var scope = TensorScope.Begin();
            _backward(new BackwardCall(this, gradient));
        }
    }

    /// <summary>Frees what was kept, and the result's gradient.</summary>
    public void Dispose()
    {
        foreach (var tensor in Saved)
        {
            tensor?.Dispose();
        }

        Output.Dispose();
    }
}
