// What tests of optimizers share: a device that notes launches, and a context with every check on for each test.
using FashionFlow.Gpu;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Tests;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Autograd.Tests.Optimization;

/// <summary>A fixture with a device of its own.</summary>
public abstract class DeviceFixture
{
    private RecordingDevice? _device;

    /// <summary>Names of the kernels launched, in order; tests clear it.</summary>
    protected List<string> Launches => _device!.Launches;

    [OneTimeSetUp]
    public void OpenDevice() => _device = new RecordingDevice(DeviceSelector.Open("virtual"));

    [OneTimeTearDown]
    public void CloseDevice() => _device?.Dispose();

    /// <summary>Runs a test body, which must leave no tensor alive.</summary>
    protected void Run(Action<DeviceContext> body)
    {
        using var context = new DeviceContext(_device!, ownsDevice: false, DeviceContextOptions.Checked);
        body(context);
        context.CheckLeaks();
    }

    /// <summary>A tensor of a function of its elements' numbers.</summary>
    protected static Tensor Make(DeviceContext context, DType type, Shape shape, Func<int, double> element)
    {
        double[] data = [.. Enumerable.Range(0, (int)shape.Count).Select(element)];
        return type == DType.Float64
            ? Tensor.FromArray<double>(context, data, shape)
            : Tensor.FromArray<float>(context, Array.ConvertAll(data, value => (float)value), shape);
    }

    /// <summary>The elements, floats widened.</summary>
    protected static double[] Read(Tensor tensor)
        => tensor.DType == DType.Float64 ? tensor.ToArray<double>() : Array.ConvertAll(tensor.ToArray<float>(), value => (double)value);

    /// <summary>Numbers in [-1, 1) without a pattern that matters: the fractional parts of multiples of an irrational number.</summary>
    protected static double Scattered(int i, int stream) => 2 * ((((i + 1) * 0.6180339887498949) + (stream * 0.7548776662466927)) % 1) - 1;
}
