// A value as the tape knows it: its form, and the gradient that gathers for it during a backward pass.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

/// <summary>The history of a tensor whose gradient is asked for. Leaves keep their gradient; others lose it when it has been passed on.</summary>
internal sealed class Variable : TensorHistory, IDisposable
{
    private readonly Tensor? _leaf;
    private readonly Tensor? _buffer;

    /// <summary>A value that an operator made.</summary>
    public Variable(Tensor result, Tape recorder)
        : this(result, leaf: null, buffer: null) => Recorder = recorder;

    private Variable(Tensor value, Tensor? leaf, Tensor? buffer)
    {
        (Shape, Type, Context) = (value.Shape, value.DType, value.Context);
        (_leaf, _buffer, Gradient) = (leaf, buffer, buffer);
    }

    public Shape Shape { get; }

    public DType Type { get; }

    public DeviceContext Context { get; }

    public bool IsLeaf => _leaf is not null;

    /// <summary>The tape that its operator is on; null for a leaf.</summary>
    public Tape? Recorder { get; }

    /// <summary>Whether its operator has left the tape, or its leaf was disposed: a gradient that gathers here would reach nobody.</summary>
    public bool IsOver { get; private set; }

    /// <summary>What has gathered so far; null before the first share.</summary>
    public Tensor? Gradient { get; private set; }

    /// <summary>A value that somebody made and wants the gradient of.</summary>
    /// <param name="leaf">The value. Its disposal disposes the gradient.</param>
    /// <param name="buffer">Where the gradient gathers, the caller's; null lets it be made when it is needed.</param>
    public static Variable OfLeaf(Tensor leaf, Tensor? buffer) => new(leaf, leaf, buffer);

    /// <summary>Adds a share of the gradient. Shares come in the reverse order of the operators, so the sum's order is fixed.</summary>
    public void Accumulate(Tensor share)
    {
        if (Gradient is null && IsLeaf && share.SharesMemory)
        {
            // A leaf's gradient outlives the pass, and whoever else holds this memory (another leaf, the caller) may write it then.
            var own = Kept(Tensor.Empty(Context, Shape, Type));
            using var alike = Kept(share.Reshape(Shape));
            own.CopyFrom(alike);
            Gradient = own;
        }
        else if (Gradient is null)
        {
            Gradient = Kept(share.Shape == Shape ? share.AddReference() : share.Reshape(Shape));
        }
        else if (_buffer is not null || !Gradient.SharesMemory)
        {
            using var alike = Kept(share.Reshape(Shape));
            Ops.Accumulate(Gradient, alike);
        }
        else
        {
            // Somebody else holds this memory, as the other input of an Add does: it must not be written.
            using var alike = Kept(share.Reshape(Shape));
            var sum = Kept(Ops.Add(Gradient, alike));
            Gradient.Dispose();
            Gradient = sum;
        }
    }

    /// <summary>Sets the gradient to nothing, or to zeros where a buffer gathers it.</summary>
    public void Clear()
    {
        if (_buffer is not null)
        {
            Ops.Fill(_buffer, 0);
            return;
        }

        Gradient?.Dispose();
        Gradient = null;
    }

    /// <summary>Frees the gradient, unless it is the caller's buffer.</summary>
    public void Dispose()
    {
        IsOver = true;
        if (_buffer is null)
        {
            Gradient?.Dispose();
        }

        Gradient = null;
    }

    /// <inheritdoc/>
    protected override void Narrowed(Tensor source, Tensor view, int start)
    {
        var rows = source.Shape[0];
        Tape.Record("Narrow", view, [source], [], call => call.Set(0, Ops.PadRows(call.Gradient, start, rows)));
    }

    /// <inheritdoc/>
    protected override void Released(Tensor tensor)
    {
        if (ReferenceEquals(tensor, _leaf))
        {
            Dispose();
        }
    }

    private static Tensor Kept(Tensor tensor)
    {
        TensorScope.Detach(tensor).History = null;
        return tensor;
    }
}
