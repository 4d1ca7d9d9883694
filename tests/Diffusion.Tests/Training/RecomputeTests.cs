// Activation checkpointing on a U-Net of four levels: the same gradients, and what it spares.
using FashionFlow.Autograd;
using FashionFlow.Diffusion;
using FashionFlow.Gpu;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Tests.Training;

[TestFixture]
public sealed class RecomputeTests
{
    private const int Frames = 32;

    // The golden small U-Net's: the full one with every width an eighth.
    private static readonly UnetOptions Options = new() { Dim = 8 };

    [Test]
    public void Gradients_are_the_same_to_the_bit_for_less_than_two_fifths_of_the_memory()
    {
        using var context = GoldenFiles.OpenChecked();
        var (kept, recomputed) = (Backward(context, recompute: false), Backward(context, recompute: true));
        TestContext.Out.WriteLine($"peak at {Frames} frames: {kept.Total:N0} bytes with activations kept, {recomputed.Total:N0} recomputed, {1 - ((double)recomputed.Total / kept.Total):p1} less; beyond weights {kept.Peak:N0} and {recomputed.Peak:N0}");
        Assert.That(recomputed.Gradients.Keys, Is.EqualTo(kept.Gradients.Keys));
        Assert.That(recomputed.Gradients.Where(g => !g.Value.AsSpan().SequenceEqual(kept.Gradients[g.Key])).Select(g => g.Key), Is.Empty);
        Assert.That(recomputed.Total, Is.LessThanOrEqualTo(0.4 * kept.Total), "a saving of 60 % of all that the device holds");
        context.CheckLeaks();
    }

    private static (Dictionary<string, float[]> Gradients, long Peak, long Total) Backward(DeviceContext context, bool recompute)
    {
        using var unet = new SpaceTimeUnet(Options) { Recompute = recompute };
        unet.Load(context, new SeededWeights(1, "unet", nothingZero: true));
        unet.RequireGradients();
        using var scope = TensorScope.Begin();
        var x = Ops.Randn(context, [1, Frames, 32, 16, Options.Channels], 1, "x").RequireGradient();
        var target = Ops.Randn(context, x.Shape, 1, "target");
        var conditioning = Ops.Randn(context, [1, 50, Options.ContextChannels], 1, "context").RequireGradient();
        var t = Tensor.FromArray<float>(context, [500], [1]);
        context.ResetPeak();
        var before = context.LiveBytes;
        using (var tape = Tape.Begin())
        {
            tape.Backward(Functional.FrameLoss(unet.Forward(x, t, conditioning), target, FrameReduction.Mean));
        }

        var (peak, total) = (context.PeakBytes - before, context.PeakBytes);
        var gradients = unet.Parameters.Select(p => (p.Name, p.Parameter.Value)).Append(("x", x)).Append(("context", conditioning))
            .ToDictionary(p => p.Item1, p => p.Item2.Gradient()?.ToArray<float>() ?? []);
        return (gradients, peak, total);
    }
}
