// Large models in several files, with an index that says which tensor is where.
using System.Text.Json;

namespace FashionFlow.Tensors.Weights;

/// <summary>
/// Hugging Face's sharded layout: <c>model.safetensors.index.json</c> (or <c>pytorch_model.bin.index.json</c>) has a
/// <c>weight_map</c> from each tensor to the file beside it that holds it.
/// </summary>
public sealed class ShardedWeightFile : WeightFile
{
    /// <summary>How the names of indices end.</summary>
    public const string Extension = ".index.json";

    private const long LargestIndex = 64 << 20;

    private readonly List<WeightFile> _files;
    private readonly OrderedDictionary<string, WeightFile> _owners;

    private ShardedWeightFile(string path, List<WeightFile> files, OrderedDictionary<string, WeightFile> owners) => (Path, _files, _owners) = (path, files, owners);

    /// <inheritdoc/>
    public override string Path { get; }

    /// <inheritdoc/>
    public override string Format => $"{_files.Count} files, {_files[0].Format}";

    /// <inheritdoc/>
    public override IEnumerable<WeightEntry> Entries => _owners.Select(o => o.Value.Find(o.Key)!);

    /// <inheritdoc/>
    public override IEnumerable<KeyValuePair<string, string>> Notes => _files[0].Notes;

    /// <summary>Opens an index and all the files that it names.</summary>
    /// <exception cref="WeightFileException">One of them is missing or damaged, or they do not hold what the index says.</exception>
    public static new ShardedWeightFile Open(string path)
    {
        var places = ReadIndex(path);
        var files = new Dictionary<string, WeightFile>(StringComparer.Ordinal);
        try
        {
            var owners = new OrderedDictionary<string, WeightFile>(StringComparer.Ordinal);
            foreach (var (tensor, name) in places)
            {
                if (!files.TryGetValue(name, out var file))
                {
                    files.Add(name, file = WeightFile.Open(System.IO.Path.Combine(System.IO.Path.GetDirectoryName(path) ?? string.Empty, name)));
                }

                owners.Add(tensor, file.Find(tensor) is not null ? file : throw Error(SafetensorsError.TensorNotFound, path, $"tensor {PrintableText.Quoted(tensor)} should be in {PrintableText.Quoted(name)}, and is not"));
            }

            foreach (var (name, file) in files)
            {
                if (file.Entries.FirstOrDefault(e => !places.TryGetValue(e.Name, out var at) || at != name) is { } stray)
                {
                    throw Error(SafetensorsError.InvalidHeader, path, $"{PrintableText.Quoted(name)} holds tensor {PrintableText.Quoted(stray.Name)}, which the index does not place there");
                }
            }

            return new ShardedWeightFile(path, [.. files.Values], owners);
        }
        catch
        {
            foreach (var file in files.Values)
            {
                file.Dispose();
            }

            throw;
        }
    }

    /// <inheritdoc/>
    public override WeightEntry? Find(string name) => _owners.TryGetValue(name, out var file) ? file.Find(name) : null;

    /// <inheritdoc/>
    public override void Read(string name, Action<ReadOnlySpan<byte>> take) => (_owners.TryGetValue(name, out var file) ? file : throw Missing(name)).Read(name, take);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _files.ForEach(file => file.Dispose());

    /// <inheritdoc/>
    protected override WeightFileException Missing(string name) => Error(SafetensorsError.TensorNotFound, Path, $"there is no tensor {PrintableText.Quoted(name)}");

    /// <inheritdoc/>
    protected override WeightFileException WrongType(WeightEntry entry)
        => Error(SafetensorsError.InvalidTensorView, Path, $"tensor {PrintableText.Quoted(entry.Name)} holds {entry.DType}, not floating-point numbers");

    private static OrderedDictionary<string, string> ReadIndex(string path)
    {
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            if (stream.Length > LargestIndex)
            {
                throw Error(SafetensorsError.TooManyNames, path, $"an index of {stream.Length} bytes is too large");
            }

            using var json = JsonDocument.Parse(stream);
            if (json.RootElement.ValueKind != JsonValueKind.Object || !json.RootElement.TryGetProperty("weight_map", out var map) || map.ValueKind != JsonValueKind.Object)
            {
                throw Error(SafetensorsError.InvalidHeader, path, "an index needs an object \"weight_map\"");
            }

            var places = new OrderedDictionary<string, string>(StringComparer.Ordinal);
            foreach (var member in map.EnumerateObject())
            {
                // A name, and not a path that leads elsewhere.
                if (member.Value.ValueKind != JsonValueKind.String || member.Value.GetString() is not { Length: > 0 } name || System.IO.Path.GetFileName(name) != name)
                {
                    throw Error(SafetensorsError.InvalidHeader, path, $"tensor {PrintableText.Quoted(member.Name)} is not placed in a file beside the index");
                }

                if (!places.TryAdd(member.Name, name))
                {
                    throw Error(SafetensorsError.DuplicateName, path, $"tensor {PrintableText.Quoted(member.Name)} is placed twice");
                }
            }

            return places.Count > 0 ? places : throw Error(SafetensorsError.InvalidHeader, path, "the index names no tensor");
        }
        catch (JsonException e)
        {
            throw Error(SafetensorsError.InvalidHeaderDeserialization, path, "the index is not valid JSON", e);
        }
        catch (Exception e) when (MappedFile.IsFileError(e))
        {
            throw Error(SafetensorsError.Io, path, MappedFile.Describe(e), e);
        }
    }

    private static SafetensorsException Error(SafetensorsError error, string path, string detail, Exception? cause = null) => new(error, path, detail, cause);
}
