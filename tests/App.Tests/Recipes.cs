// A recipe for tests that need one.
using FashionFlow.App.Generation;

namespace FashionFlow.App.Tests;

/// <summary>Makes recipes.</summary>
internal static class Recipes
{
    public static Recipe Any() => new()
    {
        Program = "fashionflow 0.0.0",
        Input = new RecipeInput("Kleid – 裙子.jpg", "00", 3),
        Model = new RecipeModel("m", Trained: true, new Dictionary<string, string>(StringComparer.Ordinal) { ["unet.safetensors"] = "11" }),
        Options = new RecipeOptions("ddim", 20, 0.1, ulong.MaxValue, 16, 12.5, "crop", 128, 160),
        Compat = new RecipeCompat("fixed", "fixed", 1e-5, "double"),
        Device = new RecipeDevice("virtual", "sm_80", "a device"),
        Encoder = new RecipeEncoder("mp4", "7.1"),
    };
}
