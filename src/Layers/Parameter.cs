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
    public float[] ReadTorch() => Value.DType == DType.Float64
        ? Array.ConvertAll(Layout.Unpack(Value.ToArray<double>()), x => (float)x)
        : Layout.Unpack(Value.ToArray<float>());

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
