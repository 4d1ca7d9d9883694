// One learned tensor: its PyTorch shape, its place in device memory, and how it starts.
using FashionFlow.Gpu;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>A parameter of a <see cref="Module"/>. Until it is loaded it is a description alone and takes no memory.</summary>
public sealed class Parameter
{
    private Tensor? _value;

    internal Parameter(Shape torchShape, WeightLayout layout, Initialization initialization)
    {
        TorchShape = torchShape;
        Layout = layout;
        Initialization = initialization;
    }

    /// <summary>The shape in PyTorch files.</summary>
    public Shape TorchShape { get; }

    /// <summary>The order in device memory.</summary>
    public WeightLayout Layout { get; }

    /// <summary>How it starts in a new model.</summary>
    public Initialization Initialization { get; }

    /// <summary>Whether it has a value.</summary>
    public bool IsLoaded => _value is not null;

    /// <summary>The value, in the device's order and shape.</summary>
    /// <exception cref="InvalidOperationException">The module was not loaded.</exception>
    public Tensor Value => _value ?? throw new InvalidOperationException("the module has no weights yet: call Load first");

    /// <summary>The value in PyTorch's order.</summary>
    public float[] ReadTorch() => ReadTorch(Value);

    /// <summary>A tensor that lies as the value does (its gradient, its average) in PyTorch's order.</summary>
    public float[] ReadTorch(Tensor alike) => alike.DType == DType.Float64
        ? Array.ConvertAll(Layout.Unpack(alike.ToArray<double>()), x => (float)x)
        : Layout.Unpack(alike.ToArray<float>());

    /// <summary>Overwrites the value in place, from PyTorch's order, where whoever holds the tensor sees it.</summary>
    public void Overwrite(float[] torch)
    {
        var packed = Layout.Pack(torch);
        if (Value.DType == DType.Float64)
        {
            Value.CopyFrom<double>(Array.ConvertAll(packed, x => (double)x));
        }
        else
        {
            Value.CopyFrom<float>(packed);
        }
    }

    internal Tensor Upload(DeviceContext context, float[] torch, DType type)
    {
        var packed = Layout.Pack(torch);
        return TensorScope.Detach(type == DType.Float64
            ? Tensor.FromArray<double>(context, Array.ConvertAll(packed, x => (double)x), Layout.DeviceShape)
            : Tensor.FromArray<float>(context, packed, Layout.DeviceShape));
    }

    internal void Assign(Tensor? value)
    {
        _value?.Dispose();
        _value = value;
    }
}

/// <summary>A parameter under its full PyTorch name.</summary>
public readonly record struct NamedParameter(string Name, Parameter Parameter);
