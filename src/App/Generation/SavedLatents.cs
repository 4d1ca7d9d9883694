// OUT.latents: a video that is not done yet, on disk, with all that its remaining steps and its decoding depend on.
using System.Globalization;
using System.Text.Json;
using FashionFlow.App.Media;
using FashionFlow.Diffusion;
using FashionFlow.Gpu;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Generation;

/// <summary>What the run was to write, so that going on needs no options.</summary>
/// <param name="Target">The video's full path.</param>
/// <param name="ContactSheet">Whether a contact sheet was asked for.</param>
/// <param name="Overwrite">Whether what is there may be replaced.</param>
/// <param name="KeepLatents">Whether the latents stay when the video is done.</param>
/// <param name="CheckpointEvery">Steps between checkpoints; null for one now and then.</param>
/// <param name="PreviewEvery">Steps between previews; null for none.</param>
internal sealed record SavedOutput(string Target, bool ContactSheet, bool Overwrite, bool KeepLatents, int? CheckpointEvery, int? PreviewEvery);

/// <summary>
/// The file is a safetensors file: <c>video</c> [1, f, h, w, c], <c>picture</c> [1, h, w, c] and <c>conditioning</c> [1, n, d],
/// <c>memory</c> of the video's shape where the sampler has one; the recipe, paths and output in its metadata, as JSON. It tells of folders, as the sidecar does, and stays at home.
/// </summary>
internal sealed class SavedLatents
{
    /// <summary>The ending of the files.</summary>
    public const string Extension = ".latents";

    private const string FormatName = "fashionflow sampling";
    private const string FormatVersion = "1";
    private const string Video = "video", Picture = "picture", Conditioning = "conditioning", Memory = "memory";

    private SavedLatents(string path, Recipe recipe, SidecarPaths paths, SavedOutput output, int stepsDone)
        => (Path, Recipe, Paths, Output, StepsDone) = (path, recipe, paths, output, stepsDone);

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>How the video is made.</summary>
    public Recipe Recipe { get; }

    /// <summary>Where the inputs were.</summary>
    public SidecarPaths Paths { get; }

    /// <summary>What was to be written.</summary>
    public SavedOutput Output { get; }

    /// <summary>Steps that were taken.</summary>
    public int StepsDone { get; }

    /// <summary>Whether only the decoding is left.</summary>
    public bool IsSampled => StepsDone == Recipe.Options.Steps;

    /// <summary>The file's path beside a video.</summary>
    public static string PathFor(string target) => target + Extension;

    /// <summary>What to do with the file of a run that did not end.</summary>
    public static string HowToGoOn(string path) => $"go on with: {Commands.CommandLine.ProgramName} generate --resume {Quoted(path)}";

    /// <summary>Writes the file, whole or not at all.</summary>
    /// <exception cref="UserError">It cannot be written.</exception>
    public static void Write(string path, SamplingState state, Recipe recipe, SidecarPaths paths, SavedOutput output)
    {
        var tensors = new List<SafetensorsTensor> { new(Video, state.Video), new(Picture, state.Picture), new(Conditioning, state.Conditioning) };

        // Behind the last step nobody asks for it.
        if (state.Memory is { } memory && state.StepsDone < recipe.Options.Steps)
        {
            tensors.Add(new SafetensorsTensor(Memory, memory));
        }

        var metadata = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            ["format"] = FormatName,
            ["format_version"] = FormatVersion,
            ["steps_done"] = state.StepsDone.ToString(CultureInfo.InvariantCulture),
            ["recipe"] = recipe.ToJson(),
            ["paths"] = JsonSerializer.Serialize(paths, RecipeJson.OneLine.SidecarPaths),
            ["output"] = JsonSerializer.Serialize(output, RecipeJson.OneLine.SavedOutput),
        };
        PendingOutput.WriteFile(path, overwrite: true, stream => SafetensorsWriter.Write(stream, path, tensors, metadata));
    }

    /// <summary>Reads what a file says of itself, and checks that its tensors fit that.</summary>
    /// <exception cref="UserError">It is of another kind, or its parts do not fit together.</exception>
    /// <exception cref="SafetensorsException">It is damaged, or no safetensors file at all.</exception>
    public static SavedLatents Open(string path)
    {
        using var file = OpenFile(path);
        var m = file.Metadata;
        if (m.GetValueOrDefault("format") != FormatName)
        {
            throw new UserError(ExitCode.Input, $"{path} does not hold a video in the making", $"generate writes such files beside its outputs, as OUT{Extension}");
        }

        if (m.GetValueOrDefault("format_version") != FormatVersion)
        {
            throw Damaged(path, $"its version is \"{m.GetValueOrDefault("format_version")}\", and this program reads {FormatVersion}");
        }

        var recipe = Recipe.TryParse(m.GetValueOrDefault("recipe") ?? string.Empty) ?? throw Damaged(path, "its recipe cannot be read");
        var (paths, output) = (Parse(RecipeJson.OneLine.SidecarPaths, "paths"), Parse(RecipeJson.OneLine.SavedOutput, "output"));
        if (!int.TryParse(m.GetValueOrDefault("steps_done"), NumberStyles.None, CultureInfo.InvariantCulture, out var done) || done < 1 || done > recipe.Options.Steps)
        {
            throw Damaged(path, $"\"{m.GetValueOrDefault("steps_done")}\" steps of {recipe.Options.Steps} are done");
        }

        var video = ShapeOf(Video);
        var fits = video.Rank == 5 && video[0] == 1 && video[1] == recipe.Options.Frames && ShapeOf(Picture) == new Shape(1, video[2], video[3], video[4]);
        if (!fits || ShapeOf(Conditioning) is not { Rank: 3 } conditioning || conditioning[0] != 1)
        {
            throw Damaged(path, $"its tensors are not those of {recipe.Options.Frames} frames");
        }

        if (file.Tensors.ContainsKey(Memory) && ShapeOf(Memory) != video)
        {
            throw Damaged(path, $"tensor \"{Memory}\" is not of the video's shape");
        }

        var remembers = recipe.Options.Sampler == Recipe.Word(SamplerKind.Dpmpp) && done < recipe.Options.Steps;
        return remembers && !file.Tensors.ContainsKey(Memory)
            ? throw Damaged(path, $"tensor \"{Memory}\" is missing")
            : new SavedLatents(path, recipe, paths, output, done);

        T Parse<T>(System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, string key)
        {
            try
            {
                return JsonSerializer.Deserialize(m.GetValueOrDefault(key) ?? string.Empty, type) ?? throw new JsonException();
            }
            catch (JsonException)
            {
                throw Damaged(path, $"its {key} cannot be read");
            }
        }

        Shape ShapeOf(string name) => file.Tensors.TryGetValue(name, out var entry) && entry.DType == DType.Float32
            ? entry.Shape
            : throw Damaged(path, $"tensor \"{name}\" is missing or not of {DType.Float32}");
    }

    /// <summary>Brings the state to a device.</summary>
    /// <param name="context">The device.</param>
    /// <param name="configuration">The model, whose shapes the tensors must have.</param>
    /// <exception cref="UserError">They have others.</exception>
    public SamplingState ToState(DeviceContext context, ModelConfiguration configuration)
    {
        using var file = OpenFile(Path);
        Shape expected = [1, Recipe.Options.Frames, configuration.LatentHeight, configuration.LatentWidth, configuration.Unet.Channels];
        return file.Tensors[Video].Shape != expected || file.Tensors[Conditioning].Shape[2] != configuration.Unet.ContextChannels
            ? throw new UserError(ExitCode.Input, $"{Path}: its video is {file.Tensors[Video].Shape}, the model's are {expected}", "name the model that it was begun with: --model DIR")
            : new SamplingState(StepsDone, Read(Video), Read(Picture), Read(Conditioning), file.Tensors.ContainsKey(Memory) ? Read(Memory) : null);

        Tensor Read(string name) => TensorScope.Detach(Tensor.FromArray<float>(context, file.ReadFloat32(name), file.Tensors[name].Shape));
    }

    /// <summary>Refuses a model that is not the one that the run was begun with.</summary>
    /// <exception cref="UserError">A file is another.</exception>
    public void RequireModel(RecipeModel model)
    {
        if (Recipe.Model.Differences(model) is [var first, ..])
        {
            throw new UserError(ExitCode.Input, $"{first} of the model is not the one that {Path} was begun with", "name the model that it was begun with: --model DIR");
        }
    }

    // As a shell takes it.
    private static string Quoted(string path) => path.All(c => char.IsAsciiLetterOrDigit(c) || "._-/+,:@%=".Contains(c, StringComparison.Ordinal))
        ? path
        : $"'{path.Replace("'", "'\\''", StringComparison.Ordinal)}'";

    private static SafetensorsFile OpenFile(string path)
        => File.Exists(path) || Directory.Exists(path) ? SafetensorsFile.Open(path) : throw new UserError(ExitCode.Input, $"{path} does not exist");

    private static UserError Damaged(string path, string what) => new(ExitCode.Input, $"{path} is damaged: {what}");
}
