// What a training leaves for others to use: a model's folder.
using System.Text.Json;
using System.Text.Json.Nodes;
using FashionFlow.App.Media;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Training;

/// <summary>Writes model folders: the trained parts as they are now, the others and the configuration as they were.</summary>
internal static class FinishedModel
{
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    /// <summary>Writes the folder, whole or not at all; one that is there is replaced.</summary>
    /// <param name="target">The folder.</param>
    /// <param name="source">The folder of the model that was started from.</param>
    /// <param name="modules">The trained parts.</param>
    /// <param name="half">Whether trained weights are rounded to float16.</param>
    /// <param name="scalingFactor">A new autoencoder's scaling factor; null keeps the old one.</param>
    /// <param name="compatibility">The mode that a denoiser was trained in, which it is to be sampled in; null for other parts.</param>
    /// <exception cref="UserError">It cannot be written.</exception>
    public static void Write(
        string target, string source, IReadOnlyList<TrainedModule> modules, bool half, double? scalingFactor, CompatibilityOptions? compatibility)
    {
        using var output = PendingOutput.OwnFolder(target);
        try
        {
            foreach (var name in ModelFiles.All)
            {
                var path = ModelFiles.Find(source, name);
                if (modules.FirstOrDefault(m => m.FileName == name) is { } trained)
                {
                    WriteWeights(Path.Combine(output.Path, name), trained, half, path);
                }
                else if (path is not null)
                {
                    File.Copy(path, Path.Combine(output.Path, name));
                }
            }

            WriteConfiguration(output.Path, source, scalingFactor, compatibility);
            output.Commit();
        }
        catch (Exception e) when (PendingOutput.IsFailure(e) || e is SafetensorsException { Error: SafetensorsError.Io })
        {
            throw output.Failure(e);
        }
    }

    private static void WriteWeights(string path, TrainedModule trained, bool half, string? source)
    {
        IReadOnlyDictionary<string, string>? metadata = null;
        if (source is not null)
        {
            // A model may have its sizes there instead of in a file of their own.
            using var old = SafetensorsFile.Open(source);
            metadata = old.Metadata.ToDictionary();
        }

        SafetensorsWriter.Write(
            path,
            trained.Module.Parameters.Select(p => half
                ? SafetensorsTensor.Of(p.Name, p.Parameter.TorchShape, Array.ConvertAll(p.Parameter.ReadTorch(), v => (Half)v))
                : new SafetensorsTensor(p.Name, p.Parameter.TorchShape, p.Parameter.ReadTorch())),
            metadata);
    }

    private static void WriteConfiguration(string folder, string source, double? scalingFactor, CompatibilityOptions? compatibility)
    {
        var path = Path.Combine(source, ModelConfiguration.FileName);
        if (!File.Exists(path) && scalingFactor is null && compatibility is null)
        {
            return;
        }

        var configuration = File.Exists(path) ? Parse(File.ReadAllText(path)) : [];
        if (ModelFiles.All.All(name => File.Exists(Path.Combine(folder, name))) && configuration.Remove("seed"))
        {
            // Nothing is left that a seed would make, and what was said of such weights is no longer true.
            configuration.Remove("start");
            configuration.Remove("note");
        }

        if (compatibility is not null)
        {
            configuration["compat"] = compatibility.Name;
        }

        if (scalingFactor is { } factor)
        {
            if (configuration["vae"] is not JsonObject vae)
            {
                // A section here takes the place of the sizes in the weights' metadata: they come along.
                configuration["vae"] = vae = SizesOf(Path.Combine(folder, ModelFiles.Vae));
            }

            vae["scaling_factor"] = factor;
        }

        File.WriteAllText(Path.Combine(folder, ModelConfiguration.FileName), configuration.ToJsonString(s_indented) + "\n");
    }

    private static JsonObject SizesOf(string weights)
    {
        using var file = SafetensorsFile.Open(weights);
        return file.Metadata.TryGetValue("config", out var text) ? Parse(text) : [];
    }

    private static JsonObject Parse(string json)
        => JsonNode.Parse(json, documentOptions: new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true })!.AsObject();
}
