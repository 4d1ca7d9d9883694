// Ours against libtorch, operator by operator, on the same threads in one run; the full U-Net; training steps. See README.md.
using System.Globalization;
using FashionFlow.Bench;
using FashionFlow.VirtualGpu;
using TorchSharp;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
var threads = args.Contains("--one-thread", StringComparer.Ordinal) ? 1 : 2;
var what = args.FirstOrDefault(a => !a.StartsWith("--", StringComparison.Ordinal)) ?? "all";
Measure.ProcessorTime = args.Contains("--processor-time", StringComparer.Ordinal);
var prepared = false;
using var device = new VirtualDevice(new VirtualDeviceOptions { WorkerThreads = threads });
Console.WriteLine($"{DateTime.UtcNow:yyyy-MM-dd}, {Machine.Processor}, {threads} thread{(threads == 1 ? string.Empty : "s")}, {(Measure.ProcessorTime ? "processor" : "wall")} time; ours: {device.Blas.Name}");
if (what is not ("unet" or "train"))
{
    Operators();
}

if (what is "all" or "unet")
{
    UnetCase.Run(device, alone: what is "unet");
}

if (what is "all" or "train")
{
    PrepareTorch();
    TrainingCase.Run(device);
}

void PrepareTorch()
{
    if (!prepared)
    {
        prepared = true;
        TorchNative.Prepare();
        torch.set_num_threads(threads);
        torch.set_num_interop_threads(1);
    }
}

void Operators()
{
    PrepareTorch();
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
