// A training of each part, small enough that a test can make steps of it.
using FashionFlow.Autograd.Optimization;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Diffusion.Training;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.Tests.Training;

/// <summary>A loop on a task of the tiny model, as a process has them after its start.</summary>
internal sealed class SmallTraining : IDisposable
{
    /// <summary>Everything on: a rate that changes, clipping, averaging.</summary>
    public static readonly TrainingOptions Options = new()
    {
        Steps = 6,
        Batch = 2,
        Seed = 3,
        Rate = LearningRate.Cosine(1e-3, 6, 2),
        MaxNorm = 1,
        AverageDecay = 0.9,
    };

    /// <summary>A training at step 0.</summary>
    /// <param name="context">The device.</param>
    /// <param name="options">Settings, the part among them.</param>
    /// <param name="latents">The denoiser's folder of latents.</param>
    public SmallTraining(DeviceContext context, TrainingOptions options, string latents)
    {
        var c = TinyModel.Configuration;
        Task = options.Part switch
        {
            TrainedPart.Vae => new AutoencoderTask(context, Loaded(new AutoencoderKl(c.Vae), "vae"), Pictures(), options with { Crop = 8 }),
            TrainedPart.Encoder => new EncoderTask(context, Loaded(new ClipVisionModel(c.Clip), "clip"), Pictures(), options),
            _ => new DenoisingTask(
                context,
                c,
                Loaded(new SpaceTimeUnet(c.Unet), "unet"),
                Loaded(c.CreateAdapter(), "adapter"),
                LatentDataset.Open(context, latents, c, new LatentDatasetOptions { Seed = options.Seed }),
                options),
        };
        Loop = new TrainingLoop(context, Task, options);

        T Loaded<T>(T module, string name)
            where T : Module
        {
            module.Load(context, new SeededWeights(5, name, nothingZero: true));
            return module;
        }
    }

    public TrainingTask Task { get; }

    public TrainingLoop Loop { get; }

    /// <summary>Makes steps.</summary>
    /// <returns>Their losses and norms.</returns>
    public (double Loss, double Norm)[] Advance(int steps)
        => [.. Enumerable.Range(0, steps).Select(_ => Loop.Advance()).Select(step => (step.Loss, step.GradientNorm))];

    /// <summary>The whole state: the bytes of each file that a checkpoint has.</summary>
    public Dictionary<string, byte[]> State()
    {
        using var folder = new TemporaryFolder();
        Loop.Save(folder.Path);
        return folder.Names.ToDictionary(name => name, name => File.ReadAllBytes(folder[name]));
    }

    public void Dispose()
    {
        Loop.Dispose();
        Task.Dispose();
    }

    /// <summary>Three clips of soft colours.</summary>
    private static FrameSet Pictures()
    {
        var set = new FrameSet(16, 24);
        for (var clip = 0; clip < 3; clip++)
        {
            set.Add([.. Enumerable.Range(0, 3).Select(frame => Picture(clip, frame))]);
        }

        return set;
    }

    private static Rgb8Image Picture(int clip, int frame)
    {
        var picture = new Rgb8Image(16, 24);
        for (var i = 0; i < picture.Data.Length; i++)
        {
            picture.Data[i] = (byte)(128 + (100 * Math.Sin((i * 0.02 * (clip + 1)) + frame)));
        }

        return picture;
    }
}
