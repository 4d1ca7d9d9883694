// Other people's files become a model's folder: all of it is checked before anything is written.
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FashionFlow.Gpu;
using FashionFlow.Layers;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion.Import;

/// <summary>Where a model's parts come from.</summary>
/// <param name="Checkpoint">A training's file with the U-Net and the adapter.</param>
/// <param name="Vae">The autoencoder's file, or its folder as diffusers lays it out.</param>
/// <param name="Clip">CLIP's file, or its folder as Hugging Face lays it out.</param>
public sealed record ImportSources(string Checkpoint, string Vae, string Clip)
{
    /// <summary>A config.json with the sizes of a model that is not full-size; null for the published sizes.</summary>
    public string? Configuration { get; init; }

    /// <summary>Whether averaged weights are taken where the checkpoint has both.</summary>
    public bool Averaged { get; init; }
}

/// <summary>A part of a model that is being imported.</summary>
/// <param name="FileName">Its weights file's name, of <see cref="ModelFiles"/>.</param>
/// <param name="Source">The file that it comes from.</param>
/// <param name="Prefix">What the names of its tensors start with there.</param>
/// <param name="Parameters">How many learned values it has.</param>
public sealed record ImportedPart(string FileName, string Source, string Prefix, long Parameters);

/// <summary>
/// A model read from a PyTorch checkpoint of U-Net and adapter, a Stable Diffusion autoencoder and a CLIP encoder, in any of the
/// formats that <see cref="WeightFile"/> reads. Names that a training wrapped around others (<c>net.</c>, <c>module.</c>) are
/// found and left out; what is missing, surplus or of another shape is named.
/// </summary>
public sealed class ModelImport : IDisposable
{
    /// <summary>The file of hashes, as <c>sha256sum --check</c> reads it.</summary>
    public const string HashFile = "SHA256SUMS";

    // Below this share of its parameters a file does not hold a network at all.
    private const double Recognised = 0.5;

    private static readonly string[] s_vaeKeys =
        ["in_channels", "out_channels", "block_out_channels", "layers_per_block", "latent_channels", "norm_num_groups", "scaling_factor", "act_fn"];

    private static readonly string[] s_clipKeys =
        ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "image_size", "patch_size", "layer_norm_eps", "hidden_act"];

    private readonly List<WeightFile> _files = [];
    private readonly List<(ImportedPart Part, WeightFile File, FileWeights Weights, Module Module)> _parts = [];
    private readonly List<string> _notes = [];

    private ModelImport(ImportSources sources)
    {
        try
        {
            Configuration = ReadConfiguration(sources);
            var checkpoint = Open(sources.Checkpoint);
            Add(ModelFiles.Unet, "U-Net", new SpaceTimeUnet(Configuration.Unet), checkpoint, sources.Averaged);
            Add(ModelFiles.Adapter, "adapter", Configuration.CreateAdapter(), checkpoint, sources.Averaged);
            Add(ModelFiles.Vae, "autoencoder", new AutoencoderKl(Configuration.Vae), Open(FindFile(sources.Vae, "vae", "diffusion_pytorch_model")), averaged: false);
            Add(ModelFiles.Clip, "CLIP vision encoder", new ClipVisionModel(Configuration.Clip), Open(FindFile(sources.Clip, "image_encoder", "model", "pytorch_model")), averaged: false);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The model's sizes.</summary>
    public ModelConfiguration Configuration { get; }

    /// <summary>The parts, all of them checked.</summary>
    public IReadOnlyList<ImportedPart> Parts => [.. _parts.Select(p => p.Part)];

    /// <summary>What a user may want to know, a sentence each.</summary>
    public IReadOnlyList<string> Notes => _notes;

    /// <summary>Opens and checks all files. Nothing is written.</summary>
    /// <exception cref="WeightFileException">A file is missing or damaged, or holds more than tensors and plain data.</exception>
    /// <exception cref="WeightLoadException">A file does not hold what its part needs: every difference is named.</exception>
    /// <exception cref="ModelException">A file is of another model, or the sizes do not fit together.</exception>
    public static ModelImport Open(ImportSources sources)
    {
        ArgumentNullException.ThrowIfNull(sources);
        return new ModelImport(sources);
    }

    /// <summary>Writes the model into a folder that exists: four safetensors files, config.json and the hashes of all five.</summary>
    /// <param name="folder">The folder, empty.</param>
    /// <param name="type">The element type; null keeps the one that each tensor has.</param>
    /// <param name="progress">Gets the part that is being written.</param>
    /// <param name="cancellation">Stops it between tensors.</param>
    /// <exception cref="WeightFileException">A file's elements are damaged, or a file cannot be written.</exception>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public void Write(string folder, DType? type, Action<ImportedPart>? progress = null, CancellationToken cancellation = default)
    {
        var hashes = new StringBuilder();
        foreach (var (part, file, weights, module) in _parts)
        {
            progress?.Invoke(part);
            var path = Path.Combine(folder, part.FileName);
            SafetensorsWriter.Write(path, module.Parameters.Select(parameter =>
            {
                var stored = weights.StoredAs(parameter);

                // A model computes in float: nothing is kept in double.
                var wanted = type ?? (stored.DType == DType.Float64 ? DType.Float32 : stored.DType);
                return SafetensorsTensor.Streamed(parameter.Name, wanted, parameter.Parameter.TorchShape, stream =>
                {
                    cancellation.ThrowIfCancellationRequested();
                    file.CopyTo(stored.Name, stream, wanted);
                });
            }));
            Hash(path);
        }

        var configuration = Path.Combine(folder, ModelConfiguration.FileName);
        File.WriteAllText(configuration, ConfigurationWriter.Write(Configuration));
        Hash(configuration);
        File.WriteAllText(Path.Combine(folder, HashFile), hashes.ToString());

        void Hash(string path) => hashes.Append(CultureInfo.InvariantCulture, $"{ContentHash.Of(path)}  {Path.GetFileName(path)}\n");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _parts.ForEach(p => p.Module.Dispose());
        _files.ForEach(f => f.Dispose());
    }

    private void Add(string fileName, string what, Module module, WeightFile file, bool averaged)
    {
        var groups = WeightGroup.Find(file, module);
        var full = groups.Where(g => g.Matches >= Recognised * module.Parameters.Count()).ToList();
        if (full.Count == 0)
        {
            module.Dispose();
            throw new ModelException($"{file.Path} does not hold the {what}{Resemblance(file)}");
        }

        var chosen = full.FirstOrDefault(g => g.IsAveraged == averaged) ?? full[0];
        if (averaged != chosen.IsAveraged)
        {
            _notes.Add(averaged
                ? $"{file.Path} has no averaged weights of the {what}; its last ones are taken"
                : $"{file.Path} has the {what}'s averaged weights alone ({chosen.Prefix}*), and they are taken");
        }
        else if (!averaged && full.FirstOrDefault(g => g.IsAveraged) is { } other)
        {
            _notes.Add($"{file.Path} has averaged weights of the {what} too ({other.Prefix}*), which often sample better: --ema takes them");
        }

        var weights = new FileWeights(file, $"{file.Path} ({what})", chosen.Prefix);
        _parts.Add((new ImportedPart(fileName, file.Path, chosen.Prefix, module.ParameterCount), file, weights, module));
        weights.Check(module, [.. module.Parameters]);
    }

    private WeightFile Open(string path)
    {
        var file = WeightFile.Open(path);
        _files.Add(file);
        return file;
    }

    // What it is instead, by names that nothing else has.
    private static string Resemblance(WeightFile file)
    {
        var names = file.Entries.Select(e => e.Name).ToList();
        (string Name, string Part)[] known =
        [
            ("lora", "a LoRA, which changes another model's weights"),
            ("model.diffusion_model.", "an original Stable Diffusion checkpoint: take the diffusers folder of the model instead"),
            ("transformer_blocks.", "Stable Diffusion's own U-Net, which makes pictures and not videos"),
            ("decoder.up_blocks.", "an autoencoder"),
            ("vision_model.", "a CLIP model"),
            ("text_model.", "a CLIP text encoder, without the vision half"),
            ("vae2clip.", "an adapter"),
            ("conv_in.spatial_conv.", "a FashionFlow U-Net"),
        ];
        foreach (var (name, part) in known)
        {
            if (names.Exists(n => n.Contains(name, StringComparison.Ordinal)))
            {
                return $"; it looks like {part}";
            }
        }

        return names.Count == 0 ? "; it holds no tensor" : $"; its {names.Count} tensors are called otherwise, such as {PrintableText.Of(names[0], PrintableText.MessageLength)}";
    }

    // What the sizes file does not say of autoencoder and CLIP, their own folders may.
    private static ModelConfiguration ReadConfiguration(ImportSources sources) => ModelConfiguration.Read(sources.Configuration, sources.Checkpoint, name => name switch
    {
        "vae" => ForeignSection(sources.Vae, "vae", s_vaeKeys, nested: null),
        "clip" => ForeignSection(sources.Clip, "image_encoder", s_clipKeys, nested: "vision_config"),
        _ => null,
    }) with { WeightSeed = null };

    // Of the dozens of keys in a published config.json, those that are sizes.
    private static JsonOptions? ForeignSection(string source, string subfolder, string[] keys, string? nested)
    {
        var path = ((string[])[Path.Combine(source, ModelConfiguration.FileName), Path.Combine(source, subfolder, ModelConfiguration.FileName)]).FirstOrDefault(File.Exists);
        if (path is null)
        {
            return null;
        }

        try
        {
            var json = JsonNode.Parse(File.ReadAllText(path)) as JsonObject;
            var section = (nested is null ? null : json?[nested] as JsonObject) ?? json;
            var sizes = new JsonObject();
            foreach (var key in keys)
            {
                if (section?[key] is { } value)
                {
                    sizes[key] = value.DeepClone();
                }
            }

            return JsonOptions.Parse(sizes.ToJsonString(), path);
        }
        catch (JsonException e)
        {
            throw new ModelException($"{path}: not valid JSON", e);
        }
    }

    // A folder's weights, safetensors before PyTorch, whole before sharded.
    private static string FindFile(string source, string subfolder, params string[] names)
    {
        if (!Directory.Exists(source))
        {
            return source;
        }

        string[] extensions = [".safetensors", ".bin", ".safetensors.index.json", ".bin.index.json"];
        return extensions
            .SelectMany(extension => names.SelectMany(name => (string[])[Path.Combine(source, name + extension), Path.Combine(source, subfolder, name + extension)]))
            .FirstOrDefault(File.Exists)
            ?? throw new ModelException($"{source} holds no weights: none of {string.Join(", ", names.SelectMany(n => extensions[..2].Select(e => n + e)))}, also not in {subfolder}/");
    }
}
