// The full-size U-Net on seeded weights: time of a forward pass and peak memory.
using System.Diagnostics;
using FashionFlow.Diffusion;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Bench;

internal static class UnetCase
{
    private const int Rounds = 5;

    public static void Run(VirtualDevice device, bool alone)
    {
        using var context = new DeviceContext(device, ownsDevice: false);
        using var unet = new SpaceTimeUnet(new UnetOptions());
        unet.Load(context, new SeededWeights(1, "unet", nothingZero: true));
        using var x = Ops.Randn(context, [1, 16, 48, 32, 4], 1, "bench.x");
        using var tokens = Ops.Randn(context, [1, 50, 768], 1, "bench.context");
        using var timestep = Tensor.FromArray<float>(context, [500f], [1]);
        var weights = context.LiveBytes;
        var times = new List<double>();
        var processor = new List<double>();
        double first = 0;
        for (var round = 0; round <= Rounds; round++)
        {
            context.ResetPeak();
            var before = Environment.CpuUsage.TotalTime;
            var watch = Stopwatch.StartNew();
            unet.Forward(x, timestep, tokens).Dispose();
            device.Synchronize();
            if (round == 0)
            {
                first = watch.Elapsed.TotalSeconds;
            }
            else
            {
                times.Add(watch.Elapsed.TotalSeconds);
                processor.Add((Environment.CpuUsage.TotalTime - before).TotalSeconds);
            }
        }

        Console.WriteLine(
            $"SpaceTimeUnet, {unet.ParameterCount:N0} parameters, 16 frames 48 x 32: {Measure.Median(times):F2} s (median of {Rounds}; the first, "
            + $"with the kernels' compilation, {first:F2} s), {111.2 / Measure.Median(times):F0} GFLOP/s; "
            + $"processor time of all threads {Measure.Median(processor):F2} s");
        Console.WriteLine(
            $"  device memory: weights {weights / 1e6:F0} MB, at most {context.PeakBytes / 1e6:F0} MB in use, {context.ReservedBytes / 1e6:F0} MB reserved"
            + (alone ? $"; the process at most {Process.GetCurrentProcess().PeakWorkingSet64 / 1e6:F0} MB" : string.Empty));
    }
}
