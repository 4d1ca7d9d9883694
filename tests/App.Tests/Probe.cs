// What tests run in a process of its own: its peak memory is that of this work alone.
using System.Runtime.InteropServices;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.Diffusion;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.App.Tests;

/// <summary>The probes.</summary>
internal static partial class Probe
{
    // An autoencoder of factor 8 as the real one, thin enough to be quick, with frames large enough to show if they were kept:
    // 600 of 160 x 192 take 53 MiB.
    private static readonly ModelConfiguration Decoder = TinyModel.Configuration with
    {
        PictureWidth = 160,
        PictureHeight = 192,
        Vae = new AutoencoderOptions { BlockOutChannels = [4, 4, 4, 4], LayersPerBlock = 1, NormGroups = 2 },
    };

    private static int Main(string[] arguments)
    {
        switch (arguments)
        {
            case ["decode", var frames, var target]:
                Decode(int.Parse(frames), target, CancellationToken.None);
                Console.WriteLine($"{PeakKilobytes("self")} {PeakKilobytes("children")}");
                return 0;
            default:
                Console.Error.WriteLine("this is a test assembly; run ./test");
                return 2;
        }
    }

    // The way of generate from the sampled latents on: decode, hash, encode, contact sheet, sidecar.
    private static void Decode(int frames, string target, CancellationToken cancellation)
    {
        using var context = DeviceContext.Open("virtual");
        using var pipeline = FashionFlowPipeline.Create(context, Decoder);
        using var scope = TensorScope.Begin();
        var video = Ops.Randn(context, [1, frames, Decoder.LatentHeight, Decoder.LatentWidth, 4], seed: 3, "latents");
        var output = new VideoOutput(target, VideoFormat.ForPath(target) ?? VideoFormat.Png, Overwrite: false) { WithContactSheet = true };
        using var files = new VideoFiles(output, framesPerSecond: 25, frames, cancellation);
        pipeline.Decode(video, progress: null, (_, frame) => files.Write(frame), cancellation);
        files.Complete(Recipes.Any(), new SidecarPaths("/a", "/b"), cancellation);
    }

    // getrusage(2): ru_maxrss in kilobytes, the ninth of sixteen longs on 64-bit Linux after two timevals of two each.
    private static long PeakKilobytes(string who)
    {
        Span<long> usage = stackalloc long[18];
        Assert.That(GetResourceUsage(who == "self" ? 0 : -1, usage), Is.Zero);
        return usage[4];
    }

    [LibraryImport("libc", EntryPoint = "getrusage")]
    private static partial int GetResourceUsage(int who, Span<long> usage);
}
