// The tiny model as a folder, as a user has one: seeded, or with weight files that a test can change.
using FashionFlow.Diffusion;
using FashionFlow.Layers;
using FashionFlow.Tensors;

namespace FashionFlow.App.Tests;

/// <summary>Writes model folders.</summary>
internal static class TinyModelFolder
{
    /// <summary>A folder with a configuration alone, which makes the weights from a seed.</summary>
    public static string WriteSeeded(string folder)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, ModelConfiguration.FileName), TinyModel.Json.Replace("\"frames\"", "\"seed\": 5, \"frames\"", StringComparison.Ordinal));
        return folder;
    }

    /// <summary>A folder with a configuration and four weight files.</summary>
    public static string WriteFiles(string folder)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, ModelConfiguration.FileName), TinyModel.Json);
        using var context = DeviceContext.Open("virtual");
        var c = TinyModel.Configuration;
        Save(new SpaceTimeUnet(c.Unet), ModelFiles.Unet);
        Save(c.CreateAdapter(), ModelFiles.Adapter);
        Save(new AutoencoderKl(c.Vae), ModelFiles.Vae);
        Save(new ClipVisionModel(c.Clip), ModelFiles.Clip);
        return folder;

        void Save(Module module, string name)
        {
            using (module)
            {
                module.Load(context, new SeededWeights(c.WeightSeed!.Value, Path.GetFileNameWithoutExtension(name), nothingZero: true));
                module.Save(Path.Combine(folder, name));
            }
        }
    }
}
