// What tests run in a process of its own, whose peak memory and output are those of this work alone.
using System.Runtime.InteropServices;
using FashionFlow.App.Commands;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Projection;
using FashionFlow.App.Terminal;
using FashionFlow.Autograd;
using FashionFlow.Autograd.Checking;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.App.Tests;

/// <summary>The probes.</summary>
internal static partial class Probe
{
    // An autoencoder of factor 8 as the real one, thin enough to be quick, with frames large enough to show if they were kept:
    // 600 of 160 x 192 take 53 MiB.
    private static readonly ModelConfiguration Model = TinyModel.Configuration with
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
            case ["gradcheck", .. var options]:
                return GradcheckCommand.Run(new Screen { IsQuiet = options.Contains("quiet") }, "virtual", Gradients, new() { Seed = 4 }, options.Contains("json"), CancellationToken.None);
            case ["project", var frames, var target]:
                Project(int.Parse(frames), target, CancellationToken.None);
                Console.WriteLine($"{PeakKilobytes("self")} {PeakKilobytes("children")}");
                return 0;
            default:
                Console.Error.WriteLine("this is a test assembly; run ./test");
                return 2;
        }
    }

    // Of an operator two cases, one of them wrong; one that fails; and one behind it, on a device that is there again.
    private static GradCheckCase[] Gradients =>
    [
        new() { Operator = "Twice", Variant = "right", Inputs = [new("x", [2])], Run = x => Twice(x[0], 2) },
        new() { Operator = "Twice", Variant = "wrong", Inputs = [new("x", [2])], Run = x => Twice(x[0], double.NaN) },
        new() { Operator = "Fails", Variant = "at once", Inputs = [new("x", [2])], Run = _ => throw new InvalidOperationException("not\ntoday") },
        new() { Operator = "Silu", Variant = "[2]", Inputs = [new("x", [2])], Run = x => Functional.Silu(x[0]) },
    ];

    private static Tensor Twice(Tensor x, double claimed) => Tape.Record("Twice", Ops.Scale(x, 2), [x], [], call => call.Set(0, Ops.Scale(call.Gradient, claimed)));

    // The way of generate from the sampled latents on: decode, hash, encode, contact sheet, sidecar.
    private static void Decode(int frames, string target, CancellationToken cancellation)
    {
        using var context = DeviceContext.Open("virtual");
        using var pipeline = FashionFlowPipeline.Create(context, Model);
        using var scope = TensorScope.Begin();
        var video = Ops.Randn(context, [1, frames, Model.LatentHeight, Model.LatentWidth, 4], seed: 3, "latents");
        var output = new VideoOutput(target, VideoFormat.ForPath(target) ?? VideoFormat.Png, Overwrite: false) { WithContactSheet = true };
        using var files = new VideoFiles(output, framesPerSecond: 25, frames, cancellation);
        pipeline.Decode(video, progress: null, (_, frame) => files.Write(frame), cancellationToken: cancellation);
        files.Complete(Recipes.Any(), new SidecarPaths("/a", "/b"), cancellation);
    }

    // The way of project from the video on: decode, encode, gather.
    private static void Project(int frames, string target, CancellationToken cancellation)
    {
        var video = $"{target}.mp4";
        Assert.That(Ffmpeg.Run("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "testsrc=s=160x192:r=25", "-frames:v", $"{frames}", "-preset", "ultrafast", video])?.ExitCode, Is.Zero);
        using var context = DeviceContext.Open("virtual");
        using var encoder = LatentEncoder.Load(context, Model, modelDirectory: null, CompatibilityOptions.Fixed);
        using var clip = new LatentClipWriter(Path.GetDirectoryName(target)!, ProjectionRecipe.Of(Model, "nowhere", CompatibilityOptions.Fixed));
        Projector.Encode(video, encoder, clip, _ => { }, cancellation);
        using var output = PendingOutput.File(target, overwrite: false);
        output.Fill(stream => clip.WriteTo(stream, target, Path.GetFileName(video), string.Empty, 25));
        output.Commit();
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
