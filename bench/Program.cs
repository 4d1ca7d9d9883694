// Ours against libtorch, operator by operator, on the same threads in one run; then the full U-Net. See README.md.
using System.Globalization;
using FashionFlow.Bench;
using FashionFlow.VirtualGpu;
using TorchSharp;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var threads = args.Contains("--one-thread", StringComparer.Ordinal) ? 1 : 2;
var what = args.FirstOrDefault(a => !a.StartsWith("--", StringComparison.Ordinal)) ?? "all";
Measure.ProcessorTime = args.Contains("--processor-time", StringComparer.Ordinal);
using var device = new VirtualDevice(new VirtualDeviceOptions { WorkerThreads = threads });
Console.WriteLine($"{DateTime.UtcNow:yyyy-MM-dd}, {Machine.Processor}, {threads} thread{(threads == 1 ? string.Empty : "s")}, {(Measure.ProcessorTime ? "processor" : "wall")} time; ours: {device.Blas.Name}");
if (what is not "unet")
{
    Operators();
}

if (what is "all" or "unet")
{
    UnetCase.Run(device, alone: what is "unet");
}

void Operators()
{
    TorchNative.Prepare();
    torch.set_num_threads(threads);
    torch.set_num_interop_threads(1);
    using var noGradients = torch.no_grad();
    Console.WriteLine($"medians; speed = libtorch {torch.__version__}'s time / ours (above 1 ours is faster); torch: the faster of channels first and channels last");
    Console.WriteLine(Row.Header);
    using var cases = new OperatorCases(device);
    (string Name, Action Run)[] groups = [("gemm", cases.Gemm), ("conv", cases.Convolution), ("norm", cases.Norms), ("attention", cases.Attention)];
    foreach (var (name, run) in groups)
    {
        if (what is "all" || string.Equals(what, name, StringComparison.Ordinal))
        {
            run();
        }
    }
}
