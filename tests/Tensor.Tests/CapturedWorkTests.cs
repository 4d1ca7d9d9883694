// Work that is captured once and repeated: the same bits, memory that nobody else is given, and the driver's refusals.
using FashionFlow.Gpu;
using FashionFlow.Tests;

namespace FashionFlow.Tensors.Tests;

[Category("EveryDevice")]
public sealed class CapturedWorkTests
{
    private static IEnumerable<TestDevice> Devices => TestDevice.AtHand;

    [TestCaseSource(nameof(Devices))]
    public void Replayed_work_gives_the_bits_of_work_that_is_done(TestDevice device) => TestDevices.Run(device, (context, _) =>
    {
        using var scope = TensorScope.Begin();
        var (x, weight, bias) = (Ops.Randn(context, [6, 16], 1, "x"), Ops.Randn(context, [16, 16], 2, "weight"), Ops.Randn(context, [16], 3, "bias"));
        Tensor Work() => Ops.Silu(Ops.Linear(Ops.Add(x, x), weight, bias, Epilogue.Gelu));
        var expected = Work().ToArray<float>();
        using var captured = CapturedWork.Capture(context, Work);
        for (var i = 0; i < 3; i++)
        {
            // What is allocated, written and freed meanwhile is no memory of the graph's.
            using var other = Ops.Randn(context, [i + 1, 64], (ulong)i, "other");
            var before = other.ToArray<float>();
            captured.Replay();
            Assert.That(captured.Result.ToArray<float>(), Is.EqualTo(expected), $"{i}");
            Assert.That(other.ToArray<float>(), Is.EqualTo(before), $"{i}");
        }
    });

    [TestCaseSource(nameof(Devices))]
    public void Replayed_work_reads_what_lies_in_its_inputs_now(TestDevice device) => TestDevices.Run(device, (context, _) =>
    {
        using var scope = TensorScope.Begin();
        var x = Tensor.FromArray<float>(context, [1, 2, 3], [3]);
        using var captured = CapturedWork.Capture(context, () => Ops.Scale(x, 2));
        var other = Tensor.FromArray<float>(context, [10, 20, 30], [3]);
        context.Device.Copy(x.Pointer<byte>(), other.Pointer<byte>(), x.Bytes, context.Stream);
        captured.Replay();
        Assert.That(captured.Result.ToArray<float>(), Is.EqualTo([20, 40, 60]));
    });

    [TestCaseSource(nameof(Devices))]
    public void Nodes_are_what_was_queued(TestDevice device) => TestDevices.Run(device, (context, _) =>
    {
        // Poison is a fill for each new tensor.
        context.PoisonMemory = false;
        using var scope = TensorScope.Begin();
        var x = Ops.Randn(context, [6, 16], 1, "x");
        using var captured = CapturedWork.Capture(context, () => Ops.Silu(Ops.Gelu(Ops.Add(x, x))));
        Assert.That(captured.Nodes, Is.EqualTo(3));
        context.PoisonMemory = true;
    });

    private static IEnumerable<TestCaseData> Refused =>
        from device in Devices
        from what in ((string Name, Action<DeviceContext, Tensor> Do)[])
        [
            ("reading a tensor", (_, x) => x.ToArray<float>()),
            ("writing a tensor", (context, _) => Tensor.FromArray<float>(context, [1], [1]).Dispose()),
            ("waiting for the stream", (context, _) => context.Stream.Synchronize()),
            ("waiting for the device", (context, _) => context.Device.Synchronize()),
            ("allocating", (context, _) => context.Device.Free(context.Device.Allocate(16))),
            ("loading a module", (context, _) => context.Device.LoadModule(".version 7.0\n.target sm_70\n.address_size 64\n"u8).Dispose()),
        ]
        select new TestCaseData(device, what.Do).SetArgDisplayNames($"{device}", what.Name);

    // The first time the work is done for real, and whatever it does is right; then it is captured.
    [TestCaseSource(nameof(Refused))]
    public void What_a_graph_cannot_repeat_is_refused_and_ends_the_capture(TestDevice device, Action<DeviceContext, Tensor> forbidden) => TestDevices.Run(device, (context, _) =>
    {
        using var scope = TensorScope.Begin();
        var x = Tensor.FromArray<float>(context, [1, 2, 3], [3]);
        var runs = 0;
        Tensor Work()
        {
            var y = Ops.Scale(x, 2);
            if (runs++ > 0)
            {
                forbidden(context, x);
            }

            return y;
        }

        Assert.That(
            () => CapturedWork.Capture(context, Work),
            Throws.TypeOf<GpuException>().With.Property(nameof(GpuException.Result)).EqualTo(CudaResult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED));
        Assert.That(Ops.Scale(x, 3).ToArray<float>(), Is.EqualTo([3, 6, 9]), "the stream works as before");
        using var good = CapturedWork.Capture(context, () => Ops.Scale(x, 4));
        good.Replay();
        Assert.That(good.Result.ToArray<float>(), Is.EqualTo([4, 8, 12]));
        NamedDevice.StandIn?.ForgetMisuses();
    });

    [TestCaseSource(nameof(Devices))]
    public void An_error_that_the_work_swallowed_ends_the_capture_all_the_same(TestDevice device) => TestDevices.Run(device, (context, _) =>
    {
        context.Stream.BeginCapture();
        Assert.That(context.Stream.Synchronize, Throws.TypeOf<GpuException>());
        Assert.That(
            context.Stream.EndCapture,
            Throws.TypeOf<GpuException>().With.Property(nameof(GpuException.Result)).EqualTo(CudaResult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED));
        Assert.That(
            context.Stream.EndCapture,
            Throws.TypeOf<GpuException>().With.Property(nameof(GpuException.Result)).EqualTo(CudaResult.CUDA_ERROR_STREAM_CAPTURE_UNMATCHED));
    });

    [TestCaseSource(nameof(Devices))]
    public void Memory_of_captured_work_goes_back_with_it(TestDevice device) => TestDevices.Run(device, (context, _) =>
    {
        context.ReleaseCached();
        var before = context.ReservedBytes;
        using (var x = Ops.Randn(context, [64, 64], 1, "x"))
        {
            var captured = CapturedWork.Capture(context, () => Ops.Silu(Ops.Add(x, x)));
            Assert.That(context.ReservedBytes, Is.GreaterThan(before));
            captured.Dispose();
        }

        context.ReleaseCached();
        Assert.That(context.ReservedBytes, Is.EqualTo(before));
    });
}
