// The golden files of picture preprocessing: a small one in the tree, the full one where the shared data lies beside the clone.
using System.Buffers.Binary;
using System.Text.Json;

namespace FashionFlow.Diffusion.Tests.Preprocessing;

/// <summary>Raw tensors of a safetensors file.</summary>
internal sealed class GoldenPictures
{
    // First, since the paths below are made from it.
    private static readonly string Root = FindRoot();

    private readonly byte[] _file;
    private readonly JsonElement _header;
    private readonly int _data;

    private GoldenPictures(string path)
    {
        _file = File.ReadAllBytes(path);
        var length = (int)BinaryPrimitives.ReadUInt64LittleEndian(_file);
        _header = JsonDocument.Parse(_file.AsMemory(8, length)).RootElement;
        _data = 8 + length;
    }

    public static GoldenPictures InTree { get; } = new(Path.Combine(Root, "tests", "data", "pillow_resize.safetensors"));

    public static string FullPath { get; } = Path.Combine(Root, "..", "shared", "golden", "clip_preprocess.safetensors");

    public IEnumerable<string> Names => _header.EnumerateObject().Select(p => p.Name).Where(n => n != "__metadata__");

    public static GoldenPictures Full() => new(FullPath);

    public int[] Shape(string name) => [.. _header.GetProperty(name).GetProperty("shape").EnumerateArray().Select(e => e.GetInt32())];

    public byte[] Bytes(string name)
    {
        var range = _header.GetProperty(name).GetProperty("data_offsets");
        return _file[(_data + range[0].GetInt32())..(_data + range[1].GetInt32())];
    }

    public Diffusion.Preprocessing.Rgb8Image Picture(string name) => new(Shape(name)[1], Shape(name)[0], Bytes(name));

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "FashionFlow.Native.sln")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The tests run outside the repository.");
        }

        return folder;
    }
}
