// Training steps of two U-Nets, ours and libtorch's on the same weights and the same batch: time and peak memory.
using System.Diagnostics;
using System.Globalization;
using FashionFlow.Autograd;
using FashionFlow.Autograd.Optimization;
using FashionFlow.Diffusion;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.VirtualGpu;
using TorchSharp;
using Tensor = FashionFlow.Tensors.Tensor;

namespace FashionFlow.Bench;

/// <summary>
/// A step is forward, mean squared error of the noise, backward, norm clipped to 1, AdamW. Ours runs twice, with activations kept and
/// with them computed again; libtorch, which keeps them, takes turns with each.
/// </summary>
internal static class TrainingCase
{
    private const int Rounds = 5;
    private const int WarmUp = 2;
    private const double Rate = 1e-4;

    public static void Run(VirtualDevice device)
    {
        Console.WriteLine($"{"training step, float32",-58} {"ours s",8} {"torch s",8} {"speed",6} {"ours MB",8} {"torch MB",9}");
        var small = new UnetOptions { Dim = 8 };
        Compare(device, "small", small, tokens: 50, batch: 1, frames: 6, height: 32, width: 16);

        // As recipes/demo/config.json has it.
        var demo = new UnetOptions
        {
            Dim = 24,
            Channels = 8,
            DimMult = [1, 2, 4],
            SelfAttentions = [false, true, true],
            TemporalCompression = [false, false, true],
            ResnetBlockDepths = [1, 1, 1],
            HeadWidth = 16,
            Heads = 4,
            ContextChannels = 192,
        };
        Compare(device, "demo", demo, tokens: 17, batch: 4, frames: 8, height: 24, width: 16);
    }

    private static void Compare(VirtualDevice device, string name, UnetOptions options, int tokens, int batch, int frames, int height, int width)
    {
        using var context = new DeviceContext(device, ownsDevice: false);
        using var unet = new SpaceTimeUnet(options);
        unet.Load(context, new SeededWeights(1, "unet", nothingZero: true));
        Shape video = [batch, frames, height, width, options.Channels];
        using var x = Ops.Randn(context, video, 1, "bench.x");
        using var noise = Ops.Randn(context, video, 1, "bench.noise");
        using var tokensOfPicture = Ops.Randn(context, [batch, tokens, options.ContextChannels], 1, "bench.context");
        using var timestep = Tensor.FromArray<float>(context, Enumerable.Repeat(500f, batch).ToArray(), [batch]);

        // libtorch's memory is what the process grows by, so it is measured before anything else of this model has run.
        using var torchStep = new TorchStep(unet, x, noise, timestep, tokensOfPicture);
        for (var i = 0; i < WarmUp; i++)
        {
            torchStep.Run();
        }

        using var bucket = new GradientBucket(unet.Parameters.Select(p => (p.Name, p.Parameter.Value)));
        using var optimizer = new AdamW(bucket, new AdamWOptions { MaxNorm = 1 }) { LearningRate = Rate };
        var inputs = context.LiveBytes;
        foreach (var recompute in new[] { false, true })
        {
            unet.Recompute = recompute;
            var ours = new List<double>();
            var theirs = new List<double>();
            double loss = 0;
            for (var round = -WarmUp; round < Rounds; round++)
            {
                context.ResetPeak();
                var ourTime = Seconds(() => loss = OurStep(unet, bucket, optimizer, x, noise, timestep, tokensOfPicture));
                var theirTime = Seconds(() => torchStep.Run());
                if (round >= 0)
                {
                    ours.Add(ourTime);
                    theirs.Add(theirTime);
                }
            }

            var (our, their) = (Measure.Median(ours), Measure.Median(theirs));
            var what = $"{name}: {unet.ParameterCount:N0} parameters, {batch} x {frames} x {height} x {width}{(recompute ? ", recomputing" : string.Empty)}";
            Console.WriteLine($"{what,-58} {our,8:F3} {their,8:F3} {their / our,6:F2} {context.PeakBytes / 1e6,8:F0} {torchStep.GrownBytes / 1e6,9:F0}");
            if (!recompute)
            {
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"  ours MB: weights, gradients, moments and inputs {inputs / 1e6:F0}; the loss after {WarmUp + Rounds} steps: ours {loss:G6}, torch {torchStep.LossAfter(WarmUp + Rounds):G6}"));
            }
        }
    }

    private static double OurStep(
        SpaceTimeUnet unet, GradientBucket bucket, AdamW optimizer, Tensor x, Tensor noise, Tensor timestep, Tensor tokens)
    {
        using var scope = TensorScope.Begin();
        bucket.Clear();
        Tensor loss;
        using (var tape = Tape.Begin())
        {
            loss = Functional.MeanSquaredError(unet.Forward(x, timestep, tokens), noise);
            tape.Backward(loss);
        }

        optimizer.Step();
        return loss.ToArray<float>()[0];
    }

    private static double Seconds(Action action)
    {
        var watch = Stopwatch.StartNew();
        var before = Environment.CpuUsage.TotalTime;
        action();
        return (Measure.ProcessorTime ? Environment.CpuUsage.TotalTime - before : watch.Elapsed).TotalSeconds;
    }

    /// <summary>The same in libtorch.</summary>
    private sealed class TorchStep : IDisposable
    {
        private readonly DisposeScope _all = torch.NewDisposeScope();
        private readonly TorchUnet _unet;
        private readonly torch.optim.Optimizer _optimizer;
        private readonly torch.Tensor _x;
        private readonly torch.Tensor _noise;
        private readonly torch.Tensor _timestep;
        private readonly torch.Tensor _tokens;
        private readonly List<double> _losses = [];
        private readonly long _before;

        public TorchStep(SpaceTimeUnet ours, Tensor x, Tensor noise, Tensor timestep, Tensor tokens)
        {
            ProcessMemory.Reset();
            _before = ProcessMemory.ResidentBytes;
            _unet = new TorchUnet(ours);
            _optimizer = torch.optim.AdamW(_unet.Parameters, lr: Rate, weight_decay: 0.01);
            _x = Video(x);
            _noise = Video(noise);
            _timestep = Copy(timestep);
            _tokens = Copy(tokens);
        }

        /// <summary>The most that the process has grown by in the steps run alone, before ours began.</summary>
        public long GrownBytes { get; private set; }

        public double LossAfter(int steps) => _losses[steps - 1];

        public void Run()
        {
            using var scope = torch.NewDisposeScope();
            _optimizer.zero_grad();
            var loss = torch.nn.functional.mse_loss(_unet.Forward(_x, _timestep, _tokens), _noise);
            loss.backward();
            torch.nn.utils.clip_grad_norm_(_unet.Parameters, 1);
            _optimizer.step();
            _losses.Add(loss.item<float>());
            if (_losses.Count <= WarmUp)
            {
                GrownBytes = ProcessMemory.PeakBytes - _before;
            }
        }

        public void Dispose()
        {
            _optimizer.Dispose();
            _all.Dispose();
        }

        private static torch.Tensor Copy(Tensor ours)
            => torch.tensor(ours.ToArray<float>(), [.. ours.Shape.Lengths.ToArray().Select(length => (long)length)]);

        private static torch.Tensor Video(Tensor ours) => Copy(ours).permute(0, 4, 1, 2, 3).contiguous();
    }
}
