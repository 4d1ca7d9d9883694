// PyTorch files: those that PyTorch wrote, those that would run a command, and one test a rule.
using System.Globalization;
using System.Numerics;
using CsCheck;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tensors.Tests.Weights;

public class PyTorchFileTests
{
    private string _folder = "";

    // What the file is, its bytes, what is wrong, and words of the message.
    private static IEnumerable<TestCaseData> Refused()
    {
        var floats = new byte[16];
        yield return Case("Empty", [], PyTorchFileError.UnknownFormat, "an empty file");
        yield return Case("A Git-LFS pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 287000000\n"u8, PyTorchFileError.UnknownFormat, "a Git-LFS pointer");
        yield return Case("A web page", "\n<!DOCTYPE html><html>"u8, PyTorchFileError.UnknownFormat, "a web page");
        yield return Case("A text", "weights"u8, PyTorchFileError.UnknownFormat, "neither a zip archive nor a pickle");
        yield return Case("A pickle of something", PickleText.Start().Int(1).Stop(), PyTorchFileError.UnknownFormat, "a pickle, but not one that torch.save wrote");
        yield return Case("Another archive", HandmadeZip.Make([("a/readme", [1])]), PyTorchFileError.UnknownFormat, "has no data.pkl");
        yield return Case("Two pickles", HandmadeZip.Make([("a/data.pkl", [1]), ("b/data.pkl", [1])]), PyTorchFileError.UnknownFormat, "several data.pkl");
        yield return Case("TorchScript", HandmadeZip.Make([("a/data.pkl", [1]), ("a/constants.pkl", [1])]), PyTorchFileError.UnsupportedFormat, "a TorchScript program");
        yield return Case("Big-endian", HandmadeZip.Make([("a/data.pkl", [1]), ("a/byteorder", "big"u8.ToArray())]), PyTorchFileError.UnsupportedFormat, "big-endian");
        yield return Case("Compressed", HandmadeZip.Make([("a/data.pkl", [1])], method: 8), PyTorchFileError.UnsupportedFormat, "record \"a/data.pkl\" is compressed");
        yield return Case("Encrypted", HandmadeZip.Make([("a/data.pkl", [1])], flags: 1), PyTorchFileError.UnsupportedFormat, "record \"a/data.pkl\" is encrypted");
        yield return Case("A record twice", HandmadeZip.Make([("a/data.pkl", [1]), ("a/data.pkl", [1])]), PyTorchFileError.InvalidArchive, "is there twice");
        yield return Case("Cut off", PickleText.Start().Int(1).Archive().AsSpan()[..^1], PyTorchFileError.InvalidArchive, "its end is missing: the file was cut off");

        yield return Pickled("No stop", p => p.Int(1), PyTorchFileError.InvalidPickle, "it ends in the middle", p => p.Stop()[..^1]);
        yield return Pickled("Text behind the end", p => p.Int(1), PyTorchFileError.InvalidPickle, "goes on behind its end at byte 5", p => [.. p.Stop(), 0]);
        yield return Pickled("Protocol 0", p => p, PyTorchFileError.InvalidPickle, "does not start as a pickle of protocol 2", _ => "I1\n."u8.ToArray());
        yield return Pickled("Protocol 6", p => p, PyTorchFileError.InvalidPickle, "protocol 6 is not known", _ => [0x80, 6, (byte)'N', (byte)'.']);
        yield return Pickled("Nothing", p => p, PyTorchFileError.InvalidPickle, "0 values are left at its end");
        yield return Pickled("Two things", p => p.Int(1).Int(2), PyTorchFileError.InvalidPickle, "2 values are left at its end");
        yield return Pickled("A mark at the end", p => p.Ops("("), PyTorchFileError.InvalidPickle, "left at its end");
        yield return Pickled("An empty stack", p => p.Ops("R"), PyTorchFileError.InvalidPickle, "finds nothing on the stack");
        yield return Pickled("A mark taken for a value", p => p.Ops("]("), PyTorchFileError.InvalidPickle, "finds nothing on the stack", p => [.. p.Stop()[..^1], (byte)'a', (byte)'.']);
        yield return Pickled("No mark", p => p.Int(1).Ops("t"), PyTorchFileError.InvalidPickle, "finds no mark");
        yield return Pickled("An item of a number", p => p.Int(1).Int(2).Int(3).Ops("s"), PyTorchFileError.InvalidPickle, "set in what is no dictionary");
        yield return Pickled("An element of a tuple", p => p.Ops(")").Int(3).Ops("a"), PyTorchFileError.InvalidPickle, "appended to what is no list");
        yield return Pickled("A key without a value", p => p.Ops("}(").Int(3).Ops("u"), PyTorchFileError.InvalidPickle, "a key without a value");
        yield return Pickled("A key that is a list", p => p.Ops("}]").Int(3).Ops("s"), PyTorchFileError.InvalidPickle, "a dictionary's key is a list");
        yield return Pickled("A text that is not UTF-8", p => p.Op((byte)'X', 1, 0, 0, 0, 0xff), PyTorchFileError.InvalidPickle, "a text is not UTF-8");
        yield return Pickled("A text that passes the end", p => p.Op((byte)'X', 0xff, 0xff, 0xff, 0x7f), PyTorchFileError.InvalidPickle, "ends in the middle");
        yield return Pickled("A text of 8 EB", p => p.Op([0x8d, .. Enumerable.Repeat((byte)0xff, 8)]), PyTorchFileError.InvalidPickle, "passes its end");
        yield return Pickled("What was not stored", p => p.Op((byte)'h', 7), PyTorchFileError.InvalidPickle, "value 7 is used before it was stored");
        yield return Pickled("A long number", p => p.Op([0x8a, 65, .. new byte[65]]), PyTorchFileError.LimitExceeded, "65 bytes, more than 64");
        yield return Pickled("A call of a number", p => p.Int(1).Ops(")R"), PyTorchFileError.InvalidPickle, "a whole number is called");
        yield return Pickled("A call with a list", p => p.Global("collections", "OrderedDict").Ops("]R"), PyTorchFileError.InvalidPickle, "arguments are a list, not a tuple");
        yield return Pickled("A call with too much", p => p.Global("collections", "OrderedDict").Tuple(1).Ops("R"), PyTorchFileError.InvalidPickle, "collections.OrderedDict gets arguments that it does not take");
        yield return Pickled("State of a list", p => p.Ops("]}b"), PyTorchFileError.InvalidPickle, "set in what is no dictionary");
        yield return Pickled("A name without an end", p => p.Ops("c" + new string('a', 300)), PyTorchFileError.InvalidPickle, "a global's name has no end");

        foreach (var (module, name) in ((string, string)[])[("os", "system"), ("posix", "system"), ("builtins", "eval"), ("torch.nn.modules.linear", "Linear"), ("argparse", "Namespace"), ("torch", "load"), ("numpy.core.multiarray", "scalar")])
        {
            yield return Pickled($"{module}.{name}", p => p.Global(module, name), PyTorchFileError.ForbiddenGlobal, $"data.pkl, byte 2: it asks for {module}.{name}, which is neither a tensor nor plain data; nothing was run");
        }

        yield return Pickled("A name from the stack", p => p.Text("os").Text("system").Op(0x93), PyTorchFileError.ForbiddenGlobal, "it asks for os.system");
        yield return Pickled("A name with a line's end", p => p.Text("os\n").Text("\u001b[2J").Op(0x93), PyTorchFileError.ForbiddenGlobal, "it asks for os\\u000a.\\u001b[2J");
        yield return Pickled("Complex numbers", p => p.Global("torch", "ComplexFloatStorage"), PyTorchFileError.UnsupportedType, "torch.ComplexFloatStorage, which this library does not have");
        foreach (var (code, name) in ((byte, string)[])[((byte)'i', "INST"), ((byte)'o', "OBJ"), (0x81, "NEWOBJ"), (0x92, "NEWOBJ_EX"), (0x82, "EXT1"), ((byte)'P', "PERSID"), (0x8f, "EMPTY_SET"), (0x96, "BYTEARRAY8")])
        {
            yield return Pickled(name, p => p.Op(code), PyTorchFileError.ForbiddenOpcode, $"data.pkl, byte 2: instruction {name} is not one");
        }

        yield return Pickled("An unknown instruction", p => p.Op(0xfe), PyTorchFileError.ForbiddenOpcode, "instruction 0xfe, which pickles do not have");

        yield return View("A storage that is missing", p => p.Tensor("1", "FloatStorage", 4, 0, [4], [1]), PyTorchFileError.InvalidTensor, "storage \"1\" is not in the archive");
        yield return View("A storage of another length", p => p.Tensor("0", "FloatStorage", 5, 0, [4], [1]), PyTorchFileError.InvalidTensor, "storage \"0\" has 16 bytes in the archive, and the pickle says 20");
        yield return View("A storage of two types", p => p.Ops("(").Tensor("0", "FloatStorage", 4, 0, [4], [1]).Tensor("0", "IntStorage", 4, 0, [4], [1]).Ops("t"), PyTorchFileError.InvalidTensor, "storage \"0\" is described in two ways");
        yield return View("A negative storage", p => p.Tensor("0", "FloatStorage", -4, 0, [4], [1]), PyTorchFileError.InvalidPickle, "a storage is described in a way");
        yield return View("A storage of too many", p => p.Tensor("0", "FloatStorage", long.MaxValue, 0, [4], [1]), PyTorchFileError.InvalidPickle, "a storage is described in a way");
        yield return View("A view past the end", p => p.Tensor("0", "FloatStorage", 4, 1, [4], [1]), PyTorchFileError.InvalidTensor, "reaches element 4 of storage \"0\", which has 4");
        yield return View("A view past all numbers", p => p.Tensor("0", "FloatStorage", 4, 1, [int.MaxValue, int.MaxValue], [long.MaxValue, long.MaxValue]), PyTorchFileError.InvalidTensor, "reaches element");
        yield return View("A view from behind the end", p => p.Tensor("0", "FloatStorage", 4, 5, [0], [1]), PyTorchFileError.InvalidTensor, "reaches element 4");
        yield return View("A negative offset", p => p.Tensor("0", "FloatStorage", 4, -1, [4], [1]), PyTorchFileError.InvalidPickle, "gets arguments that it does not take");
        yield return View("A negative size", p => p.Tensor("0", "FloatStorage", 4, 0, [-4], [1]), PyTorchFileError.InvalidTensor, "not all whole numbers from 0");
        yield return View("A negative stride", p => p.Tensor("0", "FloatStorage", 4, 3, [4], [-1]), PyTorchFileError.InvalidTensor, "not all whole numbers from 0");
        yield return View("Sizes without strides", p => p.Tensor("0", "FloatStorage", 4, 0, [4, 1], [1]), PyTorchFileError.InvalidPickle, "gets arguments that it does not take");
        yield return View("A long axis", p => p.Tensor("0", "FloatStorage", 4, 0, [1L << 31], [0]), PyTorchFileError.InvalidTensor, "an axis of 2147483648 elements is too long");
        yield return View("Sixty-five axes", p => p.Tensor("0", "FloatStorage", 4, 0, [.. Enumerable.Repeat(1L, 65)], [.. Enumerable.Repeat(1L, 65)]), PyTorchFileError.LimitExceeded, "65 axes, more than 64");
        yield return View("Four elements that repeat for ever", p => p.Tensor("0", "FloatStorage", 4, 0, [1 << 30, 1 << 30], [0, 0]), PyTorchFileError.LimitExceeded, "repeats those of a storage of 4");
        yield return View("An untyped storage without a type", p => p.Tensor("0", "UntypedStorage", 16, 0, [4], [1]), PyTorchFileError.InvalidPickle, "a tensor has no element type");

        static TestCaseData Case(string name, ReadOnlySpan<byte> bytes, PyTorchFileError error, string words)
            => new TestCaseData(bytes.ToArray(), error, words).SetArgDisplayNames(name);

        static TestCaseData Pickled(string name, Func<PickleText, PickleText> make, PyTorchFileError error, string words, Func<PickleText, byte[]>? finish = null)
            => Case(name, HandmadeZip.Make([("x/data.pkl", (finish ?? (p => p.Stop()))(make(PickleText.Start())))]), error, words);

        TestCaseData View(string name, Func<PickleText, PickleText> make, PyTorchFileError error, string words)
            => Case(name, make(PickleText.Start()).Archive(("0", floats)), error, words);
    }

    private static IEnumerable<string> Shared(string name) => File.Exists(DataFiles.Shared(name)) ? [name] : [];

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("pytorch").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [TestCaseSource(nameof(Refused))]
    public void What_is_wrong_is_named_in_one_line(byte[] bytes, PyTorchFileError error, string words)
    {
        var path = Write(bytes);
        var refusal = Assert.Throws<PyTorchFileException>(() => PyTorchFile.Open(path).Dispose())!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That((refusal.Error, refusal.Message), Is.EqualTo((error, refusal.Message)));
            Assert.That(refusal.Message, Does.StartWith(path + ": ").And.Contain(words).And.Not.Contain("\n").And.Length.LessThan(path.Length + 500));
        }
    }

    [Test]
    public void A_file_that_is_not_there_is_said_to_be_missing()
    {
        var refusal = Assert.Throws<PyTorchFileException>(() => PyTorchFile.Open(Path.Combine(_folder, "none.pth")))!;
        Assert.That((refusal.Error, refusal.Message), Is.EqualTo((PyTorchFileError.Io, Path.Combine(_folder, "none.pth") + ": there is no such file")));
    }

    [TestCase("malicious.pth", "data.pkl")]
    [TestCase("malicious_legacy.pth", "the fourth pickle")]
    public void A_file_that_would_run_a_command_is_refused_by_the_command_s_name(string name, string record)
    {
        var refusal = Assert.Throws<PyTorchFileException>(() => PyTorchFile.Open(DataFiles.Of(name)).Dispose())!;
        Assert.That(refusal.Error, Is.EqualTo(PyTorchFileError.ForbiddenGlobal));
        Assert.That(refusal.Message, Does.Contain(record).And.Contain("it asks for posix.system"));
        Assert.That(File.Exists("/tmp/pwned"), Is.False, "what the command would have made");
    }

    [TestCase("checkpoint_odd.pth", true)]
    [TestCase("checkpoint_odd_legacy.pth", false)]
    public void Views_types_scalars_and_plain_data_are_those_that_PyTorch_saved(string name, bool isArchive)
    {
        using var file = PyTorchFile.Open(DataFiles.Of(name));
        Assert.That(file.IsArchive, Is.EqualTo(isArchive));
        AssertEqual(file, DataFiles.Of("checkpoint_odd_expected.safetensors"), name => name);
        (string, object?)[] values =
        [
            ("meta.epoch", 12L), ("meta.lr", 1e-4), ("meta.name", "naïve ü"), ("meta.none", null), ("meta.flag", true), ("meta.tuple.0", 1L), ("meta.tuple.1", 2.5),
            ("meta.tuple.2", "x"), ("meta.list.0", 1L), ("meta.list.1.0", 2L), ("meta.list.1.1", 3L), ("meta.big", BigInteger.Pow(2, 70)), ("meta.neg", -5L), ("meta.bytes_len", 256L),
        ];
        Assert.That(file.Values.Select(v => (v.Key, v.Value)), Is.EqualTo(values));
    }

    [TestCaseSource(nameof(Shared), new object[] { "checkpoint_tiny.pth" })]
    public void A_training_s_checkpoint_holds_the_models_and_the_optimizer(string name)
    {
        using var file = PyTorchFile.Open(DataFiles.Shared(name));
        AssertPart(file, "net.", "unet_tiny.safetensors");
        AssertPart(file, "adapter.", "adapter.safetensors");
        AssertPart(file, "opt.state.", "checkpoint_tiny_opt_expected.safetensors");
        Assert.That(
            (file.Values["opt.param_groups.0.lr"], file.Values["opt.param_groups.0.betas.1"], file.Values["opt.param_groups.0.params.3"]), Is.EqualTo((1e-4, 0.999, 3L)));
    }

    [TestCaseSource(nameof(Shared), new object[] { "checkpoint_tiny_half.pth" })]
    public void Half_types_are_those_of_the_model_rounded(string name)
    {
        using var file = PyTorchFile.Open(DataFiles.Shared(name));
        using var full = SafetensorsFile.Open(DataFiles.Shared("unet_tiny.safetensors"));
        var types = new HashSet<DType>();
        foreach (var tensor in file.Tensors.Values.Where(t => full.Tensors.ContainsKey(t.Name[(t.Name.IndexOf('.', StringComparison.Ordinal) + 1)..])))
        {
            types.Add(tensor.DType);
            var wanted = full.ReadFloat32(tensor.Name[(tensor.Name.IndexOf('.', StringComparison.Ordinal) + 1)..]).Select(v => tensor.DType == DType.Float16 ? (float)(Half)v : Bfloat(v));
            Assert.That(file.ReadFloat32(tensor.Name), Is.EqualTo(wanted), tensor.Name);
        }

        Assert.That(types, Is.SupersetOf(new[] { DType.BFloat16 }).Or.SupersetOf(new[] { DType.Float16 }));
        static float Bfloat(float value)
        {
            // To nearest, ties to even.
            var bits = BitConverter.SingleToUInt32Bits(value);
            return BitConverter.UInt32BitsToSingle((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
        }
    }

    [TestCaseSource(nameof(Shared), new object[] { "checkpoint_tiny_legacy.pth" })]
    public void The_old_form_holds_the_same_models(string name)
    {
        using var file = PyTorchFile.Open(DataFiles.Shared(name));
        Assert.That(file.IsArchive, Is.False);
        AssertPart(file, "net.", "unet_tiny.safetensors", whole: false);
    }

    [Test]
    public void Every_view_of_a_storage_has_the_elements_that_its_strides_say()
    {
        var storage = Enumerable.Range(0, 997).Select(i => (short)(i * 31)).ToArray();
        var bytes = new byte[storage.Length * 2];
        Buffer.BlockCopy(storage, 0, bytes, 0, bytes.Length);
        var axis = Gen.Select(Gen.Int[0, 5], Gen.Int[0, 40]);
        Gen.Select(axis.Array[0, 4], Gen.Int[0, 60], Gen.Bool).Where((axes, offset, _) => offset + axes.Sum(a => Math.Max(a.Item1 - 1, 0) * a.Item2) < storage.Length).Sample((axes, offset, contiguous) =>
        {
            var sizes = axes.Select(a => (long)a.Item1).ToArray();
            var strides = axes.Select(a => (long)a.Item2).ToArray();
            if (contiguous)
            {
                // The inner axes lie together.
                for (var i = sizes.Length - 1; i >= sizes.Length / 2; i--)
                {
                    strides[i] = i == sizes.Length - 1 ? 1 : strides[i + 1] * Math.Max(sizes[i + 1], 1);
                }
            }

            var wanted = new List<short>();
            Walk(0, offset);
            using var file = PyTorchFile.Open(Write(PickleText.Start().Ops("}").Text("t").Tensor("0", "ShortStorage", storage.Length, offset, sizes, strides).Ops("s").Archive(("0", bytes))));
            using var read = new MemoryStream();
            file.CopyTo("t", read);
            var got = new short[read.Length / 2];
            Buffer.BlockCopy(read.ToArray(), 0, got, 0, (int)read.Length);
            Assert.That(got, Is.EqualTo(wanted));

            void Walk(int depth, long place)
            {
                if (depth == sizes.Length)
                {
                    wanted.Add(storage[place]);
                    return;
                }

                for (var i = 0; i < sizes[depth]; i++)
                {
                    Walk(depth + 1, place + (i * strides[depth]));
                }
            }
        });
    }

    [Test]
    public void A_long_strided_view_is_read_in_pieces()
    {
        // 200 000 elements, every second one of a storage: several buffers full.
        var bytes = new byte[400_000 * 4];
        Buffer.BlockCopy(Enumerable.Range(0, 400_000).Select(i => (float)i).ToArray(), 0, bytes, 0, bytes.Length);
        using var file = PyTorchFile.Open(Write(PickleText.Start().Ops("}").Text("t").Tensor("0", "FloatStorage", 400_000, 1, [200_000], [2]).Ops("s").Archive(("0", bytes))));
        Assert.That(file.ReadFloat32("t"), Is.EqualTo(Enumerable.Range(0, 200_000).Select(i => (i * 2f) + 1)));
    }

    [Test]
    public void Archives_of_more_than_four_gigabytes_have_wider_numbers()
    {
        var pickle = PickleText.Start().Ops("}").Text("t").Tensor("0", "ByteStorage", 3, 0, [3], [1]).Ops("s").Stop();
        (string, byte[])[] records = [("x/data.pkl", pickle), ("x/data/0", [7, 8, 9]), ("x/byteorder", "little"u8.ToArray())];
        using var file = PyTorchFile.Open(Write(HandmadeZip.Make(records, zip64: true, comment: "PK\u0005\u0006, a comment"u8.ToArray())));
        using var read = new MemoryStream();
        file.CopyTo("t", read);
        Assert.That(read.ToArray(), Is.EqualTo(new byte[] { 7, 8, 9 }));
    }

    [Test]
    public void An_untyped_storage_takes_its_type_from_the_tensor()
    {
        var bytes = new byte[8];
        BitConverter.TryWriteBytes(bytes, (ushort)65535);
        var pickle = PickleText.Start().Ops("}").Text("t").Global("torch._utils", "_rebuild_tensor_v3").Ops("(").Storage("0", "UntypedStorage", 8).Int(0).Tuple(4).Tuple(1)
            .Op(0x89).Global("collections", "OrderedDict").Ops(")R").Global("torch", "uint16").Ops("tRs");
        using var file = PyTorchFile.Open(Write(pickle.Archive(("0", bytes))));
        Assert.That((file.Tensors["t"].DType, file.Tensors["t"].Shape), Is.EqualTo((DType.UInt16, new Shape(4))));
    }

    [Test]
    public void Bytes_devices_sizes_and_parameters_are_plain_data()
    {
        var pickle = PickleText.Start().Ops("}(").Text("bytes").Global("_codecs", "encode").Ops("(").Text("\u00ff\u0001").Text("latin1").Ops("tR")
            .Text("device").Global("torch", "device").Ops("(").Text("cuda").Int(1).Ops("tR")
            .Text("size").Global("torch", "Size").Ops("(").Tuple(2, 3).Ops("tR")
            .Text("dtype").Global("torch", "float16")
            .Int(-7).Op(0x88)
            .Ops("u").Stop();
        using var file = PyTorchFile.Open(Write(HandmadeZip.Make([("x/data.pkl", pickle)])));
        (string, object?)[] values =
            [("bytes", new byte[] { 255, 1 }), ("device", "cuda:1"), ("size.0", 2L), ("size.1", 3L), ("dtype", "torch.float16"), ("-7", true)];
        Assert.That(file.Values.Select(v => (v.Key, v.Value)), Is.EqualTo(values));
    }

    [Test]
    public void A_damaged_storage_is_noticed_when_it_is_read_and_the_others_are_not_harmed()
    {
        var image = PickleText.Start().Ops("(").Tensor("0", "ByteStorage", 3, 0, [3], [1]).Tensor("1", "ByteStorage", 3, 0, [3], [1]).Ops("t").Archive(("0", [250, 251, 252]), ("1", [1, 2, 3]));
        image[image.AsSpan().IndexOf(new byte[] { 250, 251, 252 }) + 1] ^= 1;
        using var file = PyTorchFile.Open(Write(image));
        for (var twice = 0; twice < 2; twice++)
        {
            var refusal = Assert.Throws<PyTorchFileException>(() => file.CopyTo("0", Stream.Null))!;
            Assert.That((refusal.Error, refusal.Message), Is.EqualTo((PyTorchFileError.ChecksumMismatch, refusal.Message)));
            Assert.That(refusal.Message, Does.EndWith("storage \"0\" is not what was written: its checksum differs"));
        }

        Assert.DoesNotThrow(() => file.CopyTo("1", Stream.Null));
    }

    [Test]
    public void What_holds_itself_or_has_more_names_than_memory_is_refused()
    {
        // A list in itself, and forty dictionaries each of which holds the one before it twice.
        var endless = PickleText.Start().Ops("]").Op((byte)'q', 0, (byte)'h', 0).Ops("a").Archive();
        var laughs = PickleText.Start().Ops("}").Op((byte)'q', 0);
        for (byte i = 0; i < 40; i++)
        {
            laughs.Ops("}(").Text("a").Op((byte)'h', i).Text("b").Op((byte)'h', i).Ops("u").Op((byte)'q', (byte)(i + 1));
        }

        // All of them stay on the stack below the last: gather them in a tuple.
        var image = HandmadeZip.Make([("x/data.pkl", [0x80, 2, (byte)'(', .. laughs.Stop()[2..^1], (byte)'t', (byte)'.'])]);
        foreach (var bytes in (byte[][])[endless, image])
        {
            var refusal = Assert.Throws<PyTorchFileException>(() => PyTorchFile.Open(Write(bytes)).Dispose())!;
            Assert.That(refusal.Error, Is.EqualTo(PyTorchFileError.LimitExceeded), refusal.Message);
        }
    }

    [Test]
    public void Two_things_of_one_name_are_refused()
    {
        var pickle = PickleText.Start().Ops("}(").Text("a.b").Int(1).Text("a").Ops("}").Text("b").Int(2).Ops("su");
        var refusal = Assert.Throws<PyTorchFileException>(() => PyTorchFile.Open(Write(pickle.Archive())).Dispose())!;
        Assert.That(refusal.Message, Does.EndWith("two things are called \"a.b\""));
    }

    [Test]
    public void Unknown_names_and_other_types_are_said_to_be_that()
    {
        using var file = PyTorchFile.Open(DataFiles.Of("checkpoint_odd.pth"));
        Assert.That(Assert.Throws<PyTorchFileException>(() => file.ReadFloat32("none"))!.Error, Is.EqualTo(PyTorchFileError.TensorNotFound));
        Assert.That(Assert.Throws<PyTorchFileException>(() => file.ReadFloat32("int64"))!.Message, Does.EndWith("tensor \"int64\" holds Int64, not floating-point numbers"));
    }

    private static void AssertPart(PyTorchFile file, string prefix, string expected, bool whole = true)
    {
        using var stored = SafetensorsFile.Open(DataFiles.Shared(expected));
        var names = file.Tensors.Keys.Where(n => n.StartsWith(prefix, StringComparison.Ordinal)).Select(n => n[prefix.Length..]).ToList();
        Assert.That(names, Is.Not.Empty);
        Assert.That(names, whole ? Is.EquivalentTo(stored.Tensors.Keys.Where(names.Contains)) : Is.SubsetOf(stored.Tensors.Keys));
        AssertEqual(file, DataFiles.Shared(expected), name => prefix + name, names);
    }

    private static void AssertEqual(PyTorchFile file, string expected, Func<string, string> nameOf, IReadOnlyCollection<string>? only = null)
    {
        using var stored = SafetensorsFile.Open(expected);
        if (only is null)
        {
            Assert.That(file.Tensors.Keys, Is.EquivalentTo(stored.Tensors.Keys.Select(nameOf)));
        }

        foreach (var name in only ?? [.. stored.Tensors.Keys])
        {
            var tensor = file.Tensors[nameOf(name)];
            var entry = stored.Tensors[name];
            using var read = new MemoryStream();
            file.CopyTo(tensor.Name, read);
            Assert.That((tensor.DType, tensor.Shape), Is.EqualTo((entry.DType, entry.Shape)), name);
            Assert.That(read.ToArray().AsSpan().SequenceEqual(stored.Bytes(name)), name);
        }
    }

    private string Write(byte[] bytes)
    {
        var path = Path.Combine(_folder, string.Create(CultureInfo.InvariantCulture, $"{Guid.NewGuid():n}.pth"));
        File.WriteAllBytes(path, bytes);
        return path;
    }
}
