// Training samples from a folder of latents: which window of which clip, a draw of its posterior, and what conditions it.
using System.Globalization;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// Reads what <c>fashionflow project</c> wrote. A sample is a pure function of the options and its <see cref="DatasetPosition"/>:
/// not of what was read before, nor of threads or device. Clips are opened when a window of theirs is read, and closed again:
/// neither memory nor open files grow with the data set.
/// </summary>
public sealed class LatentDataset
{
    private readonly DeviceContext _context;
    private readonly string _folder;
    private readonly LatentDatasetOptions _options;
    private readonly double _scale;
    private readonly Shape _latent;
    private readonly Shape _tokens;
    private (int Epoch, LatentWindow[] Windows)? _plan;

    private LatentDataset(DeviceContext context, string folder, LatentIndex index, ModelConfiguration model, LatentDatasetOptions options)
    {
        (_context, _folder, _options, Recipe) = (context, folder, options, index.Recipe);
        _scale = model.Vae.ScalingFactor;
        _latent = new Shape([.. index.LatentShape]);
        _tokens = new Shape([.. index.TokenShape]);
        Frames = options.Frames ?? model.Frames;
        Span = checked(((Frames - 1) * options.Stride) + 1);
        var clips = index.Clips.Where(clip => clip.Split == options.Split).ToList();
        Clips = clips.FindAll(clip => clip.Frames >= Span);
        TooShort = clips.FindAll(clip => clip.Frames < Span);
    }

    /// <summary>How the latents were made. A training must use the same mode.</summary>
    public ProjectionRecipe Recipe { get; }

    /// <summary>The split's clips, by name.</summary>
    public IReadOnlyList<LatentIndexEntry> Clips { get; }

    /// <summary>Clips of the split that are shorter than a window, and so left out.</summary>
    public IReadOnlyList<LatentIndexEntry> TooShort { get; }

    /// <summary>Frames of a window.</summary>
    public int Frames { get; }

    /// <summary>Frames of a clip from a window's first to its last.</summary>
    public int Span { get; }

    /// <summary>Opens a folder and checks all of it: the index, every clip's header, and that the model takes such latents.</summary>
    /// <param name="context">Where samples are made.</param>
    /// <param name="folder">The folder.</param>
    /// <param name="model">The model that is to be trained.</param>
    /// <param name="options">Choices; all defaults if not given.</param>
    /// <exception cref="DatasetException">The index is missing, damaged or of another version, a clip's file is gone, damaged or of another recipe,
    /// the model takes other latents, or no clip is as long as a window.</exception>
    /// <exception cref="ModelException">The model cannot take so many frames.</exception>
    public static LatentDataset Open(DeviceContext context, string folder, ModelConfiguration model, LatentDatasetOptions? options = null)
    {
        var index = LatentIndex.TryRead(folder)
            ?? throw new DatasetException($"{folder} holds no {LatentIndex.FileName}; make it with: fashionflow project VIDEOS_DIR -o {folder}");
        var o = options ?? new LatentDatasetOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(o.Stride, 1);
        if (model.Unet.DescribeFrameProblem(o.Frames ?? model.Frames) is { } problem)
        {
            throw new ModelException(problem);
        }

        var dataset = new LatentDataset(context, folder, index, model, o);
        dataset.CheckModel(model);
        dataset.CheckClips();
        return dataset;
    }

    /// <summary>The position after so many samples more.</summary>
    public DatasetPosition Advance(DatasetPosition position, int samples)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(samples);
        var index = (long)position.Index + samples;
        return new DatasetPosition(checked(position.Epoch + (int)(index / Clips.Count)), (int)(index % Clips.Count));
    }

    /// <summary>Which window a sample is. Its numbers come from the seed's streams "dataset/order" and "dataset/window" of the epoch.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An epoch has no such index.</exception>
    public LatentWindow Window(DatasetPosition position)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(position.Epoch);
        ArgumentOutOfRangeException.ThrowIfNegative(position.Index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(position.Index, Clips.Count);
        var epoch = RandomEpoch(position);
        if (_plan?.Epoch != epoch)
        {
            _plan = (epoch, Plan(epoch));
        }

        return _plan.Value.Windows[position.Index];
    }

    /// <summary>
    /// The samples from a position on. A batch that passes the end of an epoch goes on with the next one, so that all batches have
    /// one size; the next batch starts at <see cref="Advance"/> of the position.
    /// </summary>
    /// <exception cref="DatasetException">A clip cannot be read any more.</exception>
    public LatentBatch Batch(DatasetPosition position, int size)
    {
        var positions = Enumerable.Range(0, size).Select(i => Advance(position, i)).ToArray();
        return Read(Array.ConvertAll(positions, Window), i => RandomEpoch(positions[i]));
    }

    /// <summary>Windows that the caller chose, such as those that a test loss or a preview is made of, with the first epoch's draws.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A window does not lie within its clip.</exception>
    /// <exception cref="DatasetException">A clip cannot be read any more.</exception>
    public LatentBatch Batch(params ReadOnlySpan<LatentWindow> windows)
    {
        foreach (var (clip, start) in windows)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(start, nameof(windows));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(start, Clips[clip].Frames - Span, nameof(windows));
        }

        return Read(windows.ToArray(), _ => 0);
    }

    /// <summary>A clip's first frame as it was encoded, to be shown.</summary>
    /// <exception cref="DatasetException">The clip cannot be read any more.</exception>
    public Rgb8Image Picture(int clip)
    {
        using var file = OpenClip(Clips[clip]);
        return LatentClip.Picture(file);
    }

    private int RandomEpoch(DatasetPosition position) => _options.Randomness == EpochRandomness.Frozen ? 0 : position.Epoch;

    // Two random numbers a clip: by the first the clips are sorted, the second places the window.
    private LatentWindow[] Plan(int epoch)
    {
        var keys = Draw("order");
        var places = Draw("window");
        var order = Enumerable.Range(0, Clips.Count).ToArray();

        // Equal keys, which a few thousand clips will hold, keep the clips' own order.
        Array.Sort(order, (a, b) => keys[a] != keys[b] ? keys[a].CompareTo(keys[b]) : a.CompareTo(b));

        // A place is a multiple of 2^-24 below 1, so that the product, exact in double, stays below the number of starts.
        return Array.ConvertAll(order, clip => new LatentWindow(clip, (int)(places[clip] * (Clips[clip].Frames - Span + 1))));

        double[] Draw(string what)
        {
            var random = new PhiloxStream(_options.Seed, Purpose(what, epoch));
            return [.. Enumerable.Range(0, Clips.Count).Select(_ => random.NextUniform())];
        }
    }

    private LatentBatch Read(LatentWindow[] windows, Func<int, int> epoch)
    {
        using var scope = TensorScope.Begin();
        var b = windows.Length;
        var latents = Tensor.Empty(_context, [b, Frames, .. _latent]);
        var tokens = Tensor.Empty(_context, [b, .. _tokens]);
        var adapterLatents = Tensor.Empty(_context, [b, .. _latent]);
        for (var i = 0; i < b; i++)
        {
            ReadOne(windows[i], epoch(i), latents.Narrow(i, 1), tokens.Narrow(i, 1), adapterLatents.Narrow(i, 1));
        }

        return new LatentBatch(scope.Keep(latents), scope.Keep(tokens), scope.Keep(adapterLatents), windows);
    }

    private void ReadOne(LatentWindow window, int epoch, Tensor latents, Tensor tokens, Tensor adapterLatent)
    {
        using var scope = TensorScope.Begin();
        var clip = Clips[window.Clip];
        using var file = OpenClip(clip);
        Shape shape = [Frames, .. _latent];
        var moments = Ops.ConcatChannels(Upload(file, LatentClip.Mean, window.Start, shape), 1, Upload(file, LatentClip.LogVariance, window.Start, shape));
        var sample = Ops.PosteriorSample(moments, WindowNoise(clip, window.Start, epoch), _scale);
        latents.CopyFrom(sample.Reshape(latents.Shape));
        tokens.CopyFrom(Upload(file, LatentClip.Tokens, window.Start, tokens.Shape));

        // The adapter sees a draw of its own, as in generating.
        Shape first = [1, .. _latent];
        var noise = Ops.Randn(_context, first, _options.Seed, Purpose("adapter latent", epoch, clip), window.Start * _latent.Count);
        adapterLatent.CopyFrom(Ops.PosteriorSample(moments.Narrow(0, 1), noise, _scale));
    }

    // A clip's every frame has its part of the clip's stream, whichever window it is in.
    private Tensor WindowNoise(LatentIndexEntry clip, int start, int epoch)
    {
        var purpose = Purpose("latent", epoch, clip);
        if (_options.Stride == 1)
        {
            return Ops.Randn(_context, [Frames, .. _latent], _options.Seed, purpose, start * _latent.Count);
        }

        var noise = Tensor.Empty(_context, [Frames, .. _latent]);
        for (var i = 0; i < Frames; i++)
        {
            using var scope = TensorScope.Begin();
            var frame = start + ((long)i * _options.Stride);
            noise.Narrow(i, 1).CopyFrom(Ops.Randn(_context, [1, .. _latent], _options.Seed, purpose, frame * _latent.Count));
        }

        return noise;
    }

    private Tensor Upload(SafetensorsFile file, string name, int start, Shape shape)
    {
        var values = new float[shape.Count];
        var each = values.Length / shape[0];
        for (var i = 0; i < shape[0]; i++)
        {
            LatentClip.ReadFrames(file, name, start + (i * _options.Stride), values.AsSpan(i * each, each));
        }

        return Tensor.FromArray<float>(_context, values, shape);
    }

    private static string Purpose(string what, int epoch, LatentIndexEntry? clip = null)
        => string.Create(CultureInfo.InvariantCulture, $"dataset/{what}/{epoch}{(clip is null ? string.Empty : $"/{clip.Name}")}");

    private void CheckModel(ModelConfiguration model)
    {
        Shape latent = [model.LatentHeight, model.LatentWidth, model.Vae.LatentChannels];
        Shape tokens = [model.Clip.Tokens, model.Clip.HiddenSize];
        if (_latent != latent || _tokens != tokens)
        {
            throw new DatasetException($"{_folder} holds latents {_latent} with tokens {_tokens} a frame, and the model takes {latent} with {tokens}: project the videos with this model");
        }

        if (Recipe.Vae.Options.ScalingFactor != _scale)
        {
            throw new DatasetException(string.Create(
                CultureInfo.InvariantCulture, $"{_folder} is of an autoencoder with scaling factor {Recipe.Vae.Options.ScalingFactor}, and the model's has {_scale}: project the videos with this model"));
        }

        if (Clips.Count == 0)
        {
            throw new DatasetException(TooShort.Count == 0
                ? $"{_folder} holds no clips of split \"{_options.Split}\""
                : $"{_folder} holds no clip of split \"{_options.Split}\" with the {Span} frames that a window spans; the longest has {TooShort.Max(clip => clip.Frames)}");
        }
    }

    private void CheckClips()
    {
        var recipe = Recipe.ToJson();
        foreach (var clip in Clips)
        {
            var path = clip.PathIn(_folder);
            using var file = OpenClip(clip);
            var info = LatentClip.TryDescribe(file, path);
            if (info is null || info.Recipe != recipe || info.Frames != clip.Frames
                || file.Tensors[LatentClip.Mean].Shape != new Shape([clip.Frames, .. _latent]) || file.Tensors[LatentClip.Tokens].Shape != new Shape([clip.Frames, .. _tokens]))
            {
                throw new DatasetException($"{path} is not the clip that {LatentIndex.FileName} lists; run fashionflow project again, which rebuilds it");
            }
        }
    }

    private SafetensorsFile OpenClip(LatentIndexEntry clip)
    {
        var path = clip.PathIn(_folder);
        try
        {
            return SafetensorsFile.Open(path);
        }
        catch (SafetensorsException e)
        {
            throw new DatasetException($"a clip that {LatentIndex.FileName} lists cannot be read: {e.Message}; run fashionflow project again, which rebuilds it", e);
        }
    }
}

/// <summary>Samples for one step, owned by the scope that they were read in, else by the caller.</summary>
/// <param name="Latents">Draws of the windows' posteriors [b, f, h, w, c], scaled. Frame 0 conditions the model and stays clean.</param>
/// <param name="Tokens">CLIP's tokens of frame 0 [b, n, d].</param>
/// <param name="AdapterLatents">Another draw of frame 0 [b, h, w, c], scaled: what the adapter takes.</param>
/// <param name="Windows">Where the samples are from.</param>
public sealed record LatentBatch(Tensor Latents, Tensor Tokens, Tensor AdapterLatents, IReadOnlyList<LatentWindow> Windows);
