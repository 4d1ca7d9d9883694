// The golden files of picture preprocessing: a small one in the tree, the full one where the shared data lies beside the clone.
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Tensors.Weights;
using FashionFlow.Tests;

namespace FashionFlow.Diffusion.Tests.Preprocessing;

/// <summary>Pictures stored as [height, width, 3] bytes.</summary>
internal sealed class GoldenPictures(string path)
{
    private readonly SafetensorsFile _file = SafetensorsFile.Open(path);

    public static GoldenPictures InTree { get; } = new(GoldenFiles.Data("pillow_resize.safetensors"));

    /// <summary>Null where the shared data is not there.</summary>
    public static GoldenPictures? Full { get; } = GoldenFiles.Shared("clip_preprocess.safetensors") is { } path ? new(path) : null;

    /// <summary>The resized pictures: pil.FILTER.HEIGHTxWIDTH.</summary>
    public IEnumerable<string> Resized => _file.Tensors.Keys.Where(n => n.StartsWith("pil.bi", StringComparison.Ordinal)).Order(StringComparer.Ordinal);

    public byte[] Bytes(string name) => [.. _file.Bytes(name)];

    public float[] Floats(string name) => _file.ReadFloat32(name);

    public Rgb8Image Picture(string name) => new(_file.Tensors[name].Shape[1], _file.Tensors[name].Shape[0], Bytes(name));
}
