// One network of a model: from its weights file, or from the configuration's seed where there is none.
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion;

/// <summary>Loads the parts of models.</summary>
public static class ModelParts
{
    /// <summary>Loads a part.</summary>
    /// <param name="module">The network.</param>
    /// <param name="name">Its weights file's name, of <see cref="ModelFiles"/>.</param>
    /// <param name="context">Where its parameters go.</param>
    /// <param name="configuration">The model.</param>
    /// <param name="directory">The model's folder; null for a seeded model without one.</param>
    /// <exception cref="ModelException">There is neither a file nor a seed.</exception>
    public static void Load(Module module, string name, DeviceContext context, ModelConfiguration configuration, string? directory)
    {
        var path = directory is null ? null : ModelFiles.Find(directory, name);
        if (path is not null)
        {
            using var file = SafetensorsFile.Open(path);
            module.Load(context, new FileWeights(file, path));
        }
        else if (configuration.WeightSeed is { } seed)
        {
            var model = Path.GetFileNameWithoutExtension(name);
            module.Load(context, new SeededWeights(seed, model, nothingZero: configuration.SeededStart == SeededStart.Random));
        }
        else
        {
            throw Missing(directory, name);
        }
    }

    /// <summary>The error for a part that has neither a file nor a seed.</summary>
    public static ModelException Missing(string? directory, string name) => new(directory is null
        ? "the configuration has no seed, so its weights must come from a model directory"
        : $"{directory}: {name} is missing, and {ModelConfiguration.FileName} has no \"seed\" to make weights from");
}
