// Steps of training: a run that stops and goes on has the bits of one that did not, and a number that is none stops it cleanly.
using FashionFlow.Autograd;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Tests.Training;

[TestFixture]
public sealed class TrainingLoopTests
{
    private const string Planted = "downs.1.0.block1.project";

    [TestCase(TrainedPart.Denoiser)]
    [TestCase(TrainedPart.Vae)]
    [TestCase(TrainedPart.Encoder)]
    public void Three_steps_a_stop_and_three_more_have_every_bit_of_six(TrainedPart part) => Run((context, folder) =>
    {
        var options = SmallTraining.Options with { Part = part };
        (double, double)[] atOnce;
        Dictionary<string, byte[]> wanted;
        using (var training = new SmallTraining(context, options, folder["latents"]))
        {
            var start = training.State();
            atOnce = training.Advance(6);
            wanted = training.State();
            Assert.That(training.Loop.IsDone);
            Assert.That(wanted.Where(f => start[f.Key].SequenceEqual(f.Value)), Is.Empty, "a step changes all of the state");
        }

        Directory.CreateDirectory(folder["saved"]);
        (double, double)[] before;
        using (var training = new SmallTraining(context, options, folder["latents"]))
        {
            before = training.Advance(3);
            training.Loop.Save(folder["saved"]);
        }

        using (var training = new SmallTraining(context, options, folder["latents"]))
        {
            training.Loop.Load(folder["saved"]);
            Assert.That(training.Loop.Step, Is.EqualTo(3));
            Assert.That(before.Concat(training.Advance(3)), Is.EqualTo(atOnce));
            AssertSame(training.State(), wanted);
        }

        string[] modules = part switch { TrainedPart.Vae => ["vae"], TrainedPart.Encoder => ["clip"], _ => ["adapter", "unet"] };
        Assert.That(wanted.Keys.Order(StringComparer.Ordinal), Is.EqualTo(modules.Select(m => $"{m}.safetensors").Concat(["average.safetensors", "optimizer.safetensors", "state.json"]).Order(StringComparer.Ordinal)));
    });

    [Test]
    public void Activations_that_are_computed_again_give_every_bit_of_those_kept() => Run((context, folder) =>
    {
        var states = new List<Dictionary<string, byte[]>>();
        foreach (var recompute in new[] { false, true })
        {
            using var training = new SmallTraining(context, SmallTraining.Options with { Recompute = recompute }, folder["latents"]);
            training.Advance(3);
            states.Add(training.State());
        }

        AssertSame(states[1], states[0]);
    });

    [Test]
    public void A_step_is_a_function_of_the_state_the_seed_and_its_number() => Run((context, folder) =>
    {
        double First(ulong seed)
        {
            using var training = new SmallTraining(context, SmallTraining.Options with { Seed = seed }, folder["latents"]);
            return training.Advance(1)[0].Loss;
        }

        var (one, again, other) = (First(3), First(3), First(4));
        Assert.That(again, Is.EqualTo(one));
        Assert.That(other, Is.Not.EqualTo(one));
    });

    [Test]
    public void The_average_lends_its_weights_and_takes_every_bit_back() => Run((context, folder) =>
    {
        using var training = new SmallTraining(context, SmallTraining.Options, folder["latents"]);
        training.Advance(3);
        var before = training.State();
        using (training.Loop.UseAverage())
        {
            using var other = new TemporaryFolder();
            training.Task.Modules[0].Module.Save(other["unet.safetensors"]);
            Assert.That(File.ReadAllBytes(other["unet.safetensors"]), Is.Not.EqualTo(before["unet.safetensors"]));
        }

        AssertSame(training.State(), before);
    });

    [TestCase(false)]
    [TestCase(true)]
    public void An_infinite_weight_is_found_and_nothing_is_updated(bool recompute) => Run((context, folder) =>
    {
        var store = new CheckpointStore(folder["checkpoints"], keep: 2);
        var options = SmallTraining.Options with { Recompute = recompute };
        Dictionary<string, byte[]> whole;
        using (var training = new SmallTraining(context, options, folder["latents"]))
        {
            training.Advance(2);
            store.Save(2, training.Loop.Save);
            whole = training.State();
            var weight = training.Task.Modules[0].Module.Parameters.Single(p => p.Name == $"{Planted}.spatial_conv.weight").Parameter;
            var values = weight.ReadTorch();
            values[5] = float.PositiveInfinity;
            weight.Overwrite(values);
            var planted = training.State();

            // The layer's path, and the library or kernel that ran it.
            var error = Assert.Throws<TrainingException>(() => training.Loop.Advance())!;
            Assert.That(error.Message, Does.Match($@"^step 3: the loss is NaN: in unet\.{Planted.Replace(".", @"\.", StringComparison.Ordinal)}, PseudoConv3d gave a value that is infinite or no number; it came from \S.*$"));
            AssertSame(training.State(), planted);
            Assert.That(training.Loop.Step, Is.EqualTo(2));
        }

        using (var training = new SmallTraining(context, options, folder["latents"]))
        {
            var latest = store.FindLatest(Assert.Fail)!;
            Assert.That(latest.Step, Is.EqualTo(2));
            training.Loop.Load(latest.Folder);
            AssertSame(training.State(), whole);
            training.Advance(1);
        }
    });

    [Test]
    public void An_infinite_latent_is_found_in_the_first_layer_that_it_meets() => Run((context, folder) =>
    {
        // Four frames are one window, so that every step takes them all; the adapter sees the first alone.
        Directory.CreateDirectory(folder["broken/train"]);
        using (var writer = new LatentClipWriter(folder["broken"], LatentFolder.Recipe))
        {
            for (var frame = 0; frame < 4; frame++)
            {
                var encoded = LatentFolder.Frame(0, frame);
                writer.Add(frame == 2 ? encoded with { Mean = [float.NegativeInfinity, .. encoded.Mean[1..]] } : encoded);
            }

            using var stream = File.Create(folder["broken/train/0.safetensors"]);
            writer.WriteTo(stream, folder["broken/train/0.safetensors"], "0.mp4", $"{0:x64}", 25);
        }

        LatentFolder.WriteIndex(folder["broken"]);
        using var training = new SmallTraining(context, SmallTraining.Options with { Batch = 1 }, folder["broken"]);
        var before = training.State();
        var error = Assert.Throws<TrainingException>(() => training.Loop.Advance())!;
        Assert.That(error.Message, Does.StartWith("step 1: the loss is NaN: in unet.conv_in, PseudoConv3d gave "));
        AssertSame(training.State(), before);
    });

    [Test]
    public void A_gradient_that_is_no_number_is_found_on_the_way_back() => Run((context, _) =>
    {
        using var task = new SteepTask(context);
        using var loop = new TrainingLoop(context, task, SmallTraining.Options);
        var before = task.Weight.ReadTorch();
        var error = Assert.Throws<TrainingException>(() => loop.Advance())!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(error.Message, Is.EqualTo(
                "step 1: a gradient is infinite or no number: in steep.inner, the backward pass of Scale gave a value that is infinite or no number; it came from scale_f32 (kernels/elementwise.cu)"));
            Assert.That(task.Weight.ReadTorch(), Is.EqualTo(before));
            Assert.That(loop.Step, Is.Zero);
        }
    });

    [TestCase("optimizer.safetensors")]
    [TestCase("unet.safetensors")]
    [TestCase("average.safetensors")]
    [TestCase("state.json")]
    public void A_checkpoint_of_another_training_is_one_clear_line(string missing) => Run((context, folder) =>
    {
        Directory.CreateDirectory(folder["saved"]);
        using var training = new SmallTraining(context, SmallTraining.Options, folder["latents"]);
        training.Loop.Save(folder["saved"]);
        File.Delete(folder[$"saved/{missing}"]);
        Assert.That(
            () => training.Loop.Load(folder["saved"]),
            Throws.TypeOf<TrainingException>().With.Message.StartsWith($"{folder["saved"]} does not fit this training: ").And.Message.Not.Contains("\n"));
    });

    private static void AssertSame(Dictionary<string, byte[]> ours, Dictionary<string, byte[]> wanted)
    {
        Assert.That(ours.Keys, Is.EquivalentTo(wanted.Keys));
        Assert.That(ours.Where(f => !wanted[f.Key].SequenceEqual(f.Value)).Select(f => f.Key), Is.Empty);
    }

    private static void Run(Action<DeviceContext, TemporaryFolder> body)
    {
        using var folder = new TemporaryFolder();
        LatentFolder.Write(folder["latents"], 5, 7, 6);
        using var context = GoldenFiles.OpenChecked();
        body(context, folder);
        context.CheckLeaks();
    }

    /// <summary>A loss that is finite where its gradient is not: w 1e30 1e30 of a small w.</summary>
    private sealed class SteepTask : TrainingTask
    {
        private readonly Outer _outer = new();

        public SteepTask(DeviceContext context)
        {
            _outer.Load(context, new SeededWeights(1, "steep"));
            Weight.Overwrite([1e-35f]);
        }

        public Parameter Weight => _outer.Inner.Weight;

        public override IReadOnlyList<TrainedModule> Modules => [new("steep", _outer)];

        public override double EpochsAfter(long steps) => steps;

        public override Tensor Loss(long step) => _outer.Inner.Forward();

        protected override void Dispose(bool disposing) => _outer.Dispose();
    }

    private sealed class Outer : Module
    {
        public Outer() => Inner = Add("inner", new Inner());

        public Inner Inner { get; }
    }

    private sealed class Inner : Module
    {
        public Inner() => Weight = Declare("weight", [1], Initialization.One);

        public Parameter Weight { get; }

        public Tensor Forward()
        {
            using var scope = TensorScope.Begin();
            return Return(scope, Functional.Scale(Functional.Scale(Weight.Value, 1e30), 1e30));
        }
    }
}
