// The way to PyTorch's format and back, and the archive as another reader of zip files sees it.
using System.IO.Compression;
using CsCheck;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tensors.Tests.Weights;

public class PyTorchWriterTests
{
    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("pytorch").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void What_was_written_is_read_back()
    {
        var names = Gen.String[Gen.Char.AlphaNumeric, 1, 12];
        var shape = Gen.Int[0, 5].Array[0, 4];
        Gen.Select(Gen.Select(names, shape).Array[0, 6], Gen.Int[0, 9]).Where((tensors, _) => tensors.Select(t => t.Item1).Distinct(StringComparer.Ordinal).Count() == tensors.Length).Sample((tensors, first) =>
        {
            var written = tensors.Select((t, i) => Tensor(t.Item1, new Shape(t.Item2), (first + i) % 10)).ToList();
            using var file = PyTorchFile.Open(Write(written));
            Assert.That(file.Tensors.Keys, Is.EqualTo(tensors.Select(t => t.Item1)));
            Assert.That(file.Values, Is.Empty);
            foreach (var tensor in written)
            {
                using var expected = new MemoryStream();
                tensor.WriteTo(expected);
                using var read = new MemoryStream();
                file.CopyTo(tensor.Name, read);
                Assert.That((file.Tensors[tensor.Name].DType, file.Tensors[tensor.Name].Shape, file.Tensors[tensor.Name].IsContiguous), Is.EqualTo((tensor.DType, tensor.Shape, true)));
                Assert.That(read.ToArray(), Is.EqualTo(expected.ToArray()));
            }
        });
    }

    [Test]
    public void The_archive_is_one_that_other_readers_take_with_records_where_they_can_be_mapped()
    {
        var image = File.ReadAllBytes(Write([new SafetensorsTensor("a.weight", [3], [1, 2, 3]), SafetensorsTensor.Of("b", [2], new long[] { 4, 5 })]));
        using var archive = new ZipArchive(new MemoryStream(image));
        Assert.That(
            archive.Entries.Select(e => (e.FullName, e.Length, e.CompressedLength)),
            Is.EqualTo(new[] { "data.pkl", "byteorder", "data/0", "data/1", "version" }.Zip([archive.Entries[0].Length, 6, 12, 16, 2], (name, length) => ($"archive/{name}", length, length))));
        foreach (var entry in archive.Entries)
        {
            // It compares the checksum when all of it was read.
            using var stream = entry.Open();
            using var bytes = new MemoryStream();
            stream.CopyTo(bytes);
            Assert.That(image.AsSpan().IndexOf(bytes.ToArray()) % 64, entry.Length > 6 ? Is.Zero : Is.GreaterThanOrEqualTo(0), entry.FullName);
        }
    }

    [Test]
    public void The_same_tensors_give_the_same_bytes()
    {
        SafetensorsTensor[] tensors = [new SafetensorsTensor("x", [2], [1, 2])];
        var first = File.ReadAllBytes(Write(tensors));
        Assert.That(File.ReadAllBytes(Write(tensors)), Is.EqualTo(first));
    }

    [Test]
    public void What_PyTorch_has_no_storage_for_and_a_name_that_is_there_twice_are_refused()
    {
        var refusal = Assert.Throws<PyTorchFileException>(() => Write([SafetensorsTensor.Of("x", [1], new uint[] { 1 })]))!;
        Assert.That((refusal.Error, refusal.Message), Is.EqualTo((PyTorchFileError.UnsupportedType, "a.pth: PyTorch's storages have no elements of type UInt32")));
        refusal = Assert.Throws<PyTorchFileException>(() => Write([new SafetensorsTensor("x", [], [1]), new SafetensorsTensor("x", [], [1])]))!;
        Assert.That(refusal.Message, Is.EqualTo("a.pth: two tensors are called \"x\""));
    }

    [Test]
    public void Floating_point_types_change_into_one_another_by_rounding_to_nearest_even()
    {
        float[] values = [1 + (1 / 256f), 1 + (3 / 256f), -1 - (1 / 256f), 1 + (1 / 2048f), 1 + (3 / 2048f), 65520, 3e38f, float.NaN, float.NegativeInfinity, 1e-8f];
        using var file = PyTorchFile.Open(Write([new SafetensorsTensor("x", [values.Length], values)]));
        Assert.That(As(DType.BFloat16, b => BitConverter.UInt32BitsToSingle((uint)BitConverter.ToUInt16(b) << 16)), Is.EqualTo(new[] { 1, 1 + (4 / 256f), -1, 1, 1, 65536, BitConverter.UInt32BitsToSingle(0x7f620000), float.NaN, float.NegativeInfinity, BitConverter.UInt32BitsToSingle(0x322c0000) }));
        Assert.That(As(DType.Float16, b => (float)BitConverter.ToHalf(b)), Is.EqualTo(values.Select(v => (float)(Half)v)));
        Assert.That(As(DType.Float32, b => BitConverter.ToSingle(b)), Is.EqualTo(values));

        float[] As(DType type, Func<byte[], float> read)
        {
            using var stream = new MemoryStream();
            file.CopyTo("x", stream, type);
            return [.. stream.ToArray().Chunk(type.SizeInBytes()).Select(read)];
        }
    }

    [Test]
    public void Files_of_both_formats_and_an_index_of_several_are_opened_by_what_they_hold()
    {
        SafetensorsWriter.Write(Path.Combine(_folder, "one.bin"), [new SafetensorsTensor("a", [1], [1])]);
        using (var stream = File.Create(Path.Combine(_folder, "two.bin")))
        {
            PyTorchWriter.Write(stream, "two.bin", [new SafetensorsTensor("b", [1], [2]), new SafetensorsTensor("c", [1], [3])]);
        }

        var index = Path.Combine(_folder, "model.bin.index.json");
        File.WriteAllText(index, """{"metadata":{"total_size":12},"weight_map":{"c":"two.bin","a":"one.bin","b":"two.bin"}}""");
        using (var file = WeightFile.Open(index))
        {
            Assert.That(file.Entries.Select(e => (e.Name, file.ReadFloat32(e.Name)[0])), Is.EqualTo(new[] { ("c", 3f), ("a", 1f), ("b", 2f) }));
        }

        foreach (var (text, words) in new[]
        {
            ("{", "the index is not valid JSON"), ("{}", "an index needs an object \"weight_map\""), ("""{"weight_map":{}}""", "the index names no tensor"),
            ("""{"weight_map":{"a":"../one.bin"}}""", "tensor \"a\" is not placed in a file beside the index"), ("""{"weight_map":{"a":7}}""", "tensor \"a\" is not placed in a file beside the index"),
            ("""{"weight_map":{"a":"one.bin","d":"one.bin"}}""", "tensor \"d\" should be in \"one.bin\", and is not"),
            ("""{"weight_map":{"a":"one.bin","b":"two.bin"}}""", "\"two.bin\" holds tensor \"c\", which the index does not place there"),
            ("""{"weight_map":{"a":"none.bin"}}""", "none.bin: there is no such file"), ("""{"weight_map":{"a":"one.bin","a":"two.bin"}}""", "tensor \"a\" is placed twice"),
        })
        {
            File.WriteAllText(index, text);
            Assert.That(Assert.Catch<WeightFileException>(() => WeightFile.Open(index).Dispose())!.Message, Does.EndWith(words), text);
        }
    }

    private static SafetensorsTensor Tensor(string name, Shape shape, int kind)
    {
        var count = (int)shape.Count;
        return kind switch
        {
            0 => Of<float>(i => i * 0.5f), 1 => Of<double>(i => i * 0.1), 2 => Of<Half>(i => (Half)i), 3 => Of<long>(i => -i), 4 => Of<int>(i => i << 20),
            5 => Of<short>(i => (short)-i), 6 => Of<sbyte>(i => (sbyte)-i), 7 => Of<byte>(i => (byte)i), 8 => Of<bool>(i => i % 2 == 0),
            _ => SafetensorsTensor.Streamed(name, DType.BFloat16, shape, stream => stream.Write(new byte[count * 2])),
        };

        SafetensorsTensor Of<T>(Func<int, T> value)
            where T : unmanaged => SafetensorsTensor.Of(name, shape, Enumerable.Range(0, count).Select(value).ToArray());
    }

    private string Write(IReadOnlyList<SafetensorsTensor> tensors)
    {
        var path = Path.Combine(_folder, $"{Guid.NewGuid():n}.pth");
        using var stream = File.Create(path);
        PyTorchWriter.Write(stream, "a.pth", tensors);
        return path;
    }
}
