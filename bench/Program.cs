// Ours against libtorch, operator by operator, on the same threads in one run; then the full U-Net. See README.md.
using System.Globalization;
using FashionFlow.Bench;
using FashionFlow.VirtualGpu;
using TorchSharp;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var threads = args.Contains("--one-thread", StringComparer.Ordinal) ? 1 : 2;
var what = args.FirstOrDefault(a => !a.StartsWith("--", StringComparison.Ordinal)) ?? "all";
Measure.ProcessorTime = args.Contains("--processor-time", StringComparer.Ordinal);
TorchNative.Prepare();
torch.set_num_threads(threads);
torch.set_num_interop_threads(1);
using var noGradients = torch.no_grad();

using var device = new VirtualDevice(new VirtualDeviceOptions { WorkerThreads = threads });
Console.WriteLine($"{DateTime.UtcNow:yyyy-MM-dd}, {Machine.Processor}, {threads} threads; ours: {device.Blas.Name}; theirs: libtorch {torch.__version__}");
Console.WriteLine("medians; speed = libtorch's time / ours (above 1 ours is faster); torch: the faster of channels first and channels last");
Console.WriteLine(Row.Header);
using var cases = new OperatorCases(device);
if (what is "all" or "gemm")
{
    cases.Gemm();
}

if (what is "all" or "conv")
{
    cases.Convolution();
}

if (what is "all" or "norm")
{
    cases.Norms();
}

if (what is "all" or "attention")
{
    cases.Attention();
}

if (what is "all" or "unet")
{
    UnetCase.Run(device);
}
