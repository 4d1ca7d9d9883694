// Safetensors: one test a rule of the format, the way there and back, and files made by others.
using System.Buffers.Binary;
using System.Text;
using CsCheck;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tensors.Tests.Weights;

public class SafetensorsTests
{
    private const string OneFloat = """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""";

    private string _folder = "";

    // Header (null: the file is just the data), bytes after it, the rule, and words of the message.
    private static IEnumerable<TestCaseData> BrokenRules()
    {
        yield return Rule("Shorter than eight bytes", null, 7, SafetensorsError.HeaderTooSmall, "a file of 7 bytes is no safetensors file");
        yield return Rule("Empty", null, 0, SafetensorsError.HeaderTooSmall, "a file of 0 bytes is no safetensors file");
        yield return Rule("Not an object", "[]", 0, SafetensorsError.InvalidHeaderStart, "does not start with \"{\"");
        yield return Rule("White space first", " {}", 0, SafetensorsError.InvalidHeaderStart, "does not start with \"{\"");
        yield return Rule("No header", "", 0, SafetensorsError.InvalidHeaderStart, "does not start with \"{\"");
        yield return Rule("Not JSON", "{\"x\":", 0, SafetensorsError.InvalidHeaderDeserialization, "");
        yield return Rule("Text after the object", "{} {}", 0, SafetensorsError.InvalidHeaderDeserialization, "not valid JSON");
        yield return Rule("Half a surrogate pair", """{"\ud800":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "not valid JSON");
        yield return Rule("Half a surrogate pair in a field", """{"x":{"dtyp\ud800":1,"dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "not valid JSON");
        yield return Rule("Half a surrogate pair in what is not read", """{"x":{"note":[{"n":"\udc00"}],"dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "not valid JSON");
        yield return Rule("Half a surrogate pair in metadata", """{"__metadata__":{"x":"\udc00\ud800"}}""", 0, SafetensorsError.InvalidHeaderDeserialization, "not valid JSON");
        yield return Rule("A tensor that is no object", """{"x":1}""", 0, SafetensorsError.InvalidHeaderDeserialization, "tensor \"x\" is not described by an object");
        yield return Rule("No type", """{"x":{"shape":[1],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "tensor \"x\" needs \"dtype\"");
        yield return Rule("No shape", """{"x":{"dtype":"F32","data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "tensor \"x\" needs");
        yield return Rule("No offsets", """{"x":{"dtype":"F32","shape":[1]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "tensor \"x\" needs");
        yield return Rule("Three offsets", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "of two numbers");
        yield return Rule("One offset", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "of two numbers");
        yield return Rule("Offsets that are no array", """{"x":{"dtype":"F32","shape":[1],"data_offsets":4}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "\"data_offsets\" is not an array");
        yield return Rule("A shape that is no array", """{"x":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "\"shape\" is not an array");
        yield return Rule("A shape of shapes", """{"x":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "\"shape\" holds something other than whole numbers");
        yield return Rule("An axis above 64 bits", """{"x":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "\"shape\" holds something other than whole numbers");
        yield return Rule("An axis with an exponent", """{"x":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "\"shape\" holds something other than whole numbers");
        yield return Rule("A comma at the end", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},}""", 4, SafetensorsError.InvalidHeaderDeserialization, "not valid JSON");
        yield return Rule("A comment", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}/* */}""", 4, SafetensorsError.InvalidHeaderDeserialization, "not valid JSON");
        yield return Rule("Nested beyond the crate's depth", $$$"""{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"y":{{{new string('[', 126)}}}{{{new string(']', 126)}}}}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "not valid JSON");
        yield return Rule("Nested without an end", $$$"""{"x":{{{new string('[', 1_000_000)}}}""", 0, SafetensorsError.InvalidHeaderDeserialization, "not valid JSON");
        yield return Rule("A type that is no string", """{"x":{"dtype":1,"shape":[1],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "\"dtype\" is not a string");
        yield return Rule("A negative axis", """{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "\"shape\" holds something other than whole numbers");
        yield return Rule("A fractional axis", """{"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "\"shape\" holds something other than whole numbers");
        yield return Rule("An offset that is text", """{"x":{"dtype":"F32","shape":[1],"data_offsets":["0",4]}}""", 4, SafetensorsError.InvalidHeaderDeserialization, "\"data_offsets\" holds something other");
        foreach (var type in new[] { "F4", "F6_E2M3", "F6_E3M2", "F8_E5M2", "F8_E4M3", "F8_E8M0", "C64" })
        {
            yield return Rule($"{type}, which this library lacks", $$$"""{"x":{"dtype":"{{{type}}}","shape":[8],"data_offsets":[0,8]}}""", 8, SafetensorsError.UnsupportedType, $"element type {type}, which is not supported");
        }

        yield return Rule("An unknown type", """{"x":{"dtype":"F31","shape":[4],"data_offsets":[0,4]}}""", 4, SafetensorsError.UnknownType, "element type \"F31\", which the format does not have");
        yield return Rule("A type in small letters", """{"x":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}}""", 4, SafetensorsError.UnknownType, "element type \"f32\"");
        yield return Rule("Metadata that are no object", """{"__metadata__":[]}""", 0, SafetensorsError.InvalidHeaderDeserialization, "\"__metadata__\" is not an object");
        yield return Rule("Metadata that are no string", """{"__metadata__":{"n":1}}""", 0, SafetensorsError.InvalidHeaderDeserialization, "metadata \"n\" is not a string");
        yield return Rule("A name twice", """{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}""", 8, SafetensorsError.DuplicateName, "tensor \"x\" occurs twice");
        yield return Rule("A name twice, once with an escape", """{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"\u0078":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}""", 8, SafetensorsError.DuplicateName, "tensor \"x\" occurs twice");
        yield return Rule("A shape twice", """{"x":{"dtype":"F32","shape":[],"shape":[],"data_offsets":[0,4]}}""", 4, SafetensorsError.DuplicateName, "tensor \"x\" has \"shape\" twice");
        yield return Rule("Offsets twice", """{"x":{"dtype":"F32","shape":[],"data_offsets":[0,4],"data_offsets":[0,4]}}""", 4, SafetensorsError.DuplicateName, "tensor \"x\" has \"data_offsets\" twice");
        yield return Rule("A field twice", """{"x":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 4, SafetensorsError.DuplicateName, "tensor \"x\" has \"dtype\" twice");
        yield return Rule("A metadata name twice", """{"__metadata__":{"n":"1","n":"2"}}""", 0, SafetensorsError.DuplicateName, "metadata \"n\" occurs twice");
        yield return Rule("Metadata twice", """{"__metadata__":{},"__metadata__":{}}""", 0, SafetensorsError.DuplicateName, "\"__metadata__\" occurs twice");
        yield return Rule("An end before its start", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4, SafetensorsError.InvalidOffset, "goes from byte 4 to byte 0");
        yield return Rule("A hole at the start", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, SafetensorsError.InvalidOffset, "tensor \"x\" leaves a hole before it: it starts at byte 4, the one before ends at 0");
        yield return Rule("A hole", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""", 12, SafetensorsError.InvalidOffset, "tensor \"y\" leaves a hole");
        yield return Rule("An overlap", """{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, SafetensorsError.InvalidOffset, "tensor \"y\" overlaps another");
        yield return Rule("Two tensors in one place", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, SafetensorsError.InvalidOffset, "overlaps another");
        yield return Rule("Bytes that do not fit the shape", """{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, SafetensorsError.TensorInvalidInfo, "tensor \"x\" of shape [2] and type F32 needs 8 bytes, its offsets give it 4");
        yield return Rule("Bytes that do not fit the type", """{"x":{"dtype":"F64","shape":[1],"data_offsets":[0,4]}}""", 4, SafetensorsError.TensorInvalidInfo, "needs 8 bytes");
        yield return Rule("An overflow of the element count", """{"x":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", 0, SafetensorsError.ValidationOverflow, "more than 2^64 bytes");
        yield return Rule("An overflow of the byte count", """{"x":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}""", 0, SafetensorsError.ValidationOverflow, "more than 2^64 bytes");
        yield return Rule("An axis above 31 bits", """{"x":{"dtype":"U8","shape":[2147483648,0],"data_offsets":[0,0]}}""", 0, SafetensorsError.ValidationOverflow, "an axis above 2^31 - 1");
        yield return Rule("An end above 63 bits", """{"x":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}}""", 0, SafetensorsError.InvalidOffset, "goes from byte 0 to byte 18446744073709551615");
        yield return Rule("Cut short", OneFloat, 3, SafetensorsError.MetadataIncompleteBuffer, "the tensors take 4 bytes, but 3 follow the header: the file was cut short");
        yield return Rule("Bytes left over", OneFloat, 5, SafetensorsError.MetadataIncompleteBuffer, "something follows the last tensor");

        static TestCaseData Rule(string name, string? header, int data, SafetensorsError error, string words)
            => new TestCaseData(header is null ? new byte[data] : Image(Encoding.UTF8.GetBytes(header), new byte[data]), error, words).SetArgDisplayNames(name);
    }

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("safetensors").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [TestCaseSource(nameof(BrokenRules))]
    public void A_broken_rule_is_named(byte[] image, SafetensorsError error, string words)
    {
        var path = Save(image);
        var exception = Assert.Throws<SafetensorsException>(() => SafetensorsFile.Open(path).Dispose());
        using (Assert.EnterMultipleScope())
        {
            Assert.That(exception!.Error, Is.EqualTo(error));
            Assert.That(exception.Message, Does.StartWith(path + ": ").And.Contain(words));
            Assert.That(exception.Message, Does.Not.Contain("\n"), "one line");
        }
    }

    [Test]
    public void A_header_that_is_not_UTF8_is_refused()
        => AssertRefused(Image([(byte)'{', (byte)'"', 0xC3, 0x28, (byte)'"', (byte)'}'], []), SafetensorsError.InvalidHeader);

    [TestCase(100_000_001UL, SafetensorsError.HeaderTooLarge)]
    [TestCase(ulong.MaxValue, SafetensorsError.HeaderTooLarge)]
    [TestCase(0x8000_0000_0000_0000UL, SafetensorsError.HeaderTooLarge)]
    [TestCase(100_000_000UL, SafetensorsError.InvalidHeaderLength)]
    [TestCase(3UL, SafetensorsError.InvalidHeaderLength)]
    public void A_header_length_is_checked_before_it_is_used(ulong length, SafetensorsError error)
    {
        var image = Image("{}"u8.ToArray(), []);
        BinaryPrimitives.WriteUInt64LittleEndian(image, length);
        AssertRefused(image, error);
    }

    [Test]
    public void A_missing_file_and_a_folder_are_refused()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                () => SafetensorsFile.Open(Path.Combine(_folder, "none.safetensors")),
                Throws.TypeOf<SafetensorsException>().With.Property(nameof(SafetensorsException.Error)).EqualTo(SafetensorsError.Io)
                    .And.Message.EndsWith("none.safetensors: there is no such file"));
            Assert.That(() => SafetensorsFile.Open(_folder), Throws.TypeOf<SafetensorsException>());
        }
    }

    [Test]
    public void What_the_format_allows_is_read()
    {
        // A scalar, an empty tensor, unknown fields, names of any script, padding, tensors out of order.
        var path = Save(Image(
            """{"β":{"dtype":"I16","shape":[2],"data_offsets":[4,8],"note":{"a":[1]}},"":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"none":{"dtype":"F64","shape":[3,0],"data_offsets":[4,4]},"__metadata__":{"k":"v"}}   """u8.ToArray(),
            [0, 0, 0x80, 0x3F, 1, 0, 0xFF, 0xFF]));
        using var file = SafetensorsFile.Open(path);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.Metadata, Is.EqualTo(new Dictionary<string, string>(StringComparer.Ordinal) { ["k"] = "v" }));
            Assert.That(file.Tensors[""], Is.EqualTo(new SafetensorsEntry("", DType.Float32, [], 0, 4)));
            Assert.That(file.Tensors["β"], Is.EqualTo(new SafetensorsEntry("β", DType.Int16, [2], 4, 4)));
            Assert.That(file.Tensors["none"].Shape, Is.EqualTo(new Shape(3, 0)));
            Assert.That(file.ReadFloat32(""), Is.EqualTo(new[] { 1f }));
            Assert.That(file.ReadFloat32("none"), Is.Empty);
            Assert.That(file.Bytes("β").ToArray(), Is.EqualTo(new byte[] { 1, 0, 0xFF, 0xFF }));
            Assert.That(
                () => file.ReadFloat32("β"),
                Throws.TypeOf<SafetensorsException>().With.Message.EndsWith("tensor \"β\" holds Int16, not floating-point numbers"));
            Assert.That(
                () => file.Bytes("z"),
                Throws.TypeOf<SafetensorsException>().With.Property(nameof(SafetensorsException.Error)).EqualTo(SafetensorsError.TensorNotFound));
        }
    }

    [Test]
    public void A_header_nested_as_deep_as_the_crate_allows_is_read()
    {
        var path = Save(Image(
            Encoding.UTF8.GetBytes($$$"""{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"y":{{{new string('[', 125)}}}{{{new string(']', 125)}}}}}"""), new byte[4]));
        using var file = SafetensorsFile.Open(path);
        Assert.That(file.Tensors["x"].Shape, Is.EqualTo(new Shape(1)));
    }

    [Test]
    public void Escapes_in_names_and_metadata_are_resolved()
    {
        var path = Save(Image(
            """{"\u00e9\ud83d\ude00\n\"\\\/é\t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"__metad\u0061ta__":{"\u0000":"\b\f\r\uFFFF\uabCD"}}"""u8.ToArray(), [7]));
        using var file = SafetensorsFile.Open(path);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.Tensors.Keys, Is.EqualTo(new[] { "é\U0001F600\n\"\\/é\t" }));
            Assert.That(file.Metadata["\0"], Is.EqualTo("\b\f\r\uFFFF\uABCD"));
        }
    }

    // The header is padded to a multiple of 8; the first byte puts the three after it at odd places.
    [Test]
    public void Misaligned_tensors_are_read_and_told_apart()
    {
        var path = Save(Image(
            """{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[2],"data_offsets":[1,9]},"d":{"dtype":"F64","shape":[1],"data_offsets":[9,17]},"h":{"dtype":"F16","shape":[1],"data_offsets":[17,19]}} """u8.ToArray(),
            [1, 0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 0, 0x3C]));
        using var file = SafetensorsFile.Open(path);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.ReadFloat32("f"), Is.EqualTo(new[] { 1f, -2f }));
            Assert.That(file.ReadFloat32("d"), Is.EqualTo(new[] { 1.5f }));
            Assert.That(file.ReadFloat32("h"), Is.EqualTo(new[] { 1f }));
            Assert.That(file.Tensors.Keys.Where(name => !file.IsAligned(name)), Is.EqualTo(new[] { "f", "d", "h" }));
        }
    }

    [Test]
    public void A_part_of_a_tensor_is_read_within_its_bounds()
    {
        var path = Save(Image("""{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}"""u8.ToArray(), [1, 2, 3, 4, 5]));
        using var file = SafetensorsFile.Open(path);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.Bytes("a", 1, 2).ToArray(), Is.EqualTo(new byte[] { 2, 3 }));
            Assert.That(file.Bytes("b", 2, 0).ToArray(), Is.Empty);
            Assert.That(() => file.Bytes("a", 1, 3).Length, Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => file.Bytes("b", -1, 1).Length, Throws.TypeOf<ArgumentOutOfRangeException>());
            Assert.That(() => file.Bytes("a", long.MaxValue, 1).Length, Throws.TypeOf<ArgumentOutOfRangeException>());
        }
    }

    [Test]
    public void A_hostile_name_stays_in_its_line()
    {
        var name = "a\\nerror: all is well\\u001b[2J\\u202e" + new string('x', 100_000);
        var path = Save(Image(Encoding.UTF8.GetBytes($$$"""{"{{{name}}}":{"dtype":"F31\n\u0007","shape":[1],"data_offsets":[0,4]}}"""), new byte[4]));
        var exception = Assert.Throws<SafetensorsException>(() => SafetensorsFile.Open(path).Dispose());
        using (Assert.EnterMultipleScope())
        {
            Assert.That(exception!.Message, Does.Contain("""tensor "a\u000aerror: all is well\u001b[2J\u202exxx""").And.EndsWith("""x…" has element type "F31\u000a\u0007", which the format does not have"""));
            Assert.That(exception.Message, Has.Length.LessThan(path.Length + 250));
        }
    }

    // The bound of SafetensorsFile.Open. Each file is the worst of its kind: text with an escape, axes, names and tensors.
    [TestCase("a long name", SafetensorsError.TensorInvalidInfo)]
    [TestCase("long metadata", null)]
    [TestCase("a long type", SafetensorsError.UnknownType)]
    [TestCase("a long shape", null)]
    [TestCase("a long literal", SafetensorsError.InvalidHeaderDeserialization)]
    [TestCase("a long list of offsets", SafetensorsError.InvalidHeaderDeserialization)]
    [TestCase("the most tensors", null)]
    [TestCase("one tensor too many", SafetensorsError.TooManyNames)]
    [TestCase("the most metadata", null)]
    [TestCase("more metadata yet", SafetensorsError.TooManyNames)]
    public void Opening_needs_no_more_than_twice_the_file_and_16_MiB(string kind, SafetensorsError? error)
    {
        const int Long = 20_000_000;
        var text = "\\n" + new string('x', Long);
        var header = kind switch
        {
            "a long name" => $$$"""{"{{{text}}}":{"dtype":"U8","shape":[1],"data_offsets":[0,0]}}""",
            "long metadata" => $$$"""{"__metadata__":{"x":"{{{text}}}"}}""",
            "a long type" => $$$"""{"x":{"dtype":"{{{text}}}","shape":[0],"data_offsets":[0,0]}}""",
            "a long shape" => $$$"""{"x":{"dtype":"U8","shape":[0{{{string.Concat(Enumerable.Repeat(",0", Long / 2))}}}],"data_offsets":[0,0]}}""",
            "a long literal" => $$$"""{"x":tru{{{text}}}}""",
            "a long list of offsets" => $$$"""{"x":{"dtype":"U8","shape":[0],"data_offsets":[0{{{string.Concat(Enumerable.Repeat(",0", Long / 2))}}}]}}""",
            "the most tensors" => "{" + string.Join(',', Enumerable.Range(0, 250_000).Select(Empty)) + "}",
            "one tensor too many" => "{" + string.Join(',', Enumerable.Range(0, 250_001).Select(Empty)) + "}",
            "the most metadata" => "{\"__metadata__\":{" + string.Join(',', Enumerable.Range(0, 250_000).Select(i => $"\"{i:x}\":\"1\"")) + "}}",
            _ => "{\"__metadata__\":{" + string.Join(',', Enumerable.Range(0, 3_000_000).Select(i => $"\"{i:x}\":\"1\"")) + "}}",
        };
        var path = Save(Image(Encoding.UTF8.GetBytes(header), []));
        var before = GC.GetAllocatedBytesForCurrentThread();
        SafetensorsError? found = null;
        try
        {
            SafetensorsFile.Open(path).Dispose();
        }
        catch (SafetensorsException e)
        {
            found = e.Error;
        }

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(found, Is.EqualTo(error));
            Assert.That(allocated, Is.AtMost((2 * new FileInfo(path).Length) + (16 << 20)));
        }

        static string Empty(int i) => $$$"""
            "{{{i:x}}}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}
            """;
    }

    [Test]
    public void A_closed_file_gives_no_memory()
    {
        var path = Save(Image(Encoding.UTF8.GetBytes(OneFloat), new byte[4]));
        var file = SafetensorsFile.Open(path);
        file.Dispose();
        Assert.That(() => file.ReadFloat32("x"), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Every_floating_point_type_is_read_as_float()
    {
        var path = Path.Combine(_folder, "types.safetensors");
        SafetensorsWriter.Write(path,
        [
            SafetensorsTensor.Of("f16", [3], new[] { (Half)1.5f, Half.Epsilon, Half.NegativeInfinity }),
            SafetensorsTensor.Of("f64", [2], new[] { 1 + Math.Pow(2, -24), 1 + (3 * Math.Pow(2, -24)) }),
            new SafetensorsTensor("f32", [1, 2], [-0f, float.Epsilon]),
        ]);
        using var file = SafetensorsFile.Open(path);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(file.ReadFloat32("f16"), Is.EqualTo(new[] { 1.5f, MathF.Pow(2, -24), float.NegativeInfinity }));
            Assert.That(file.ReadFloat32("f64"), Is.EqualTo(new[] { 1f, 1 + (2 * MathF.Pow(2, -23)) }), "ties to even");
            Assert.That(file.ReadFloat32("f32").Select(BitConverter.SingleToInt32Bits), Is.EqualTo(new[] { int.MinValue, 1 }));
        }
    }

    [Test]
    public void Bfloat16_is_the_upper_half_of_a_float()
    {
        var path = Save(Image("""{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"""u8.ToArray(), [0x80, 0x3F, 0x49, 0xC0]));
        using var file = SafetensorsFile.Open(path);
        Assert.That(file.ReadFloat32("x"), Is.EqualTo(new[] { 1f, -3.140625f }));
    }

    [Test]
    public void Tensors_go_to_the_device_and_back_to_a_file() => TestDevices.Run(context =>
    {
        var path = Path.Combine(_folder, "device.safetensors");
        var again = Path.Combine(_folder, "again.safetensors");
        var values = Enumerable.Range(0, 1_500_000).Select(i => i * 0.5f).ToArray();
        SafetensorsWriter.Write(path, [new SafetensorsTensor("large", [500, 3000], values), SafetensorsTensor.Of("bytes", [3], new byte[] { 1, 2, 3 })]);
        using (var file = SafetensorsFile.Open(path))
        {
            using var large = file.Load(context, "large");
            using var bytes = file.Load(context, "bytes");
            using (Assert.EnterMultipleScope())
            {
                Assert.That(large.Shape, Is.EqualTo(new Shape(500, 3000)));
                Assert.That(large.ToArray<float>().AsSpan().SequenceEqual(values));
                Assert.That(bytes.DType, Is.EqualTo(DType.UInt8));
            }

            SafetensorsWriter.Write(again, [new SafetensorsTensor("bytes", bytes), new SafetensorsTensor("large", large)]);
        }

        Assert.That(File.ReadAllBytes(again).AsSpan().SequenceEqual(File.ReadAllBytes(path)), "the same tensors give the same bytes in whatever order they come");
    });

    [Test]
    public void What_is_written_is_read_back()
        => Gen.Select(Gen.String[0, 20], Gen.Int[0, 4].Array[0, 4], Gen.Bool).Array[0, 8].Sample(
            items =>
            {
                var path = Path.Combine(_folder, $"{Guid.NewGuid():N}.safetensors");
                var tensors = items.Where(item => item.Item1 != "__metadata__" && IsText(item.Item1)).DistinctBy(item => item.Item1).Select((item, i) => item.Item3
                    ? new SafetensorsTensor(item.Item1, item.Item2, [.. Enumerable.Range(0, (int)new Shape(item.Item2).Count).Select(k => (float)(k + i))])
                    : SafetensorsTensor.Of(item.Item1, item.Item2, Enumerable.Range(0, (int)new Shape(item.Item2).Count).Select(k => (byte)(k + i)).ToArray())).ToList();
                SafetensorsWriter.Write(path, tensors, new Dictionary<string, string>(StringComparer.Ordinal) { ["line"] = "a\n\"b\"\u0001" });
                using var file = SafetensorsFile.Open(path);
                return file.Metadata["line"] == "a\n\"b\"\u0001"
                    && file.Tensors.Count == tensors.Count
                    && tensors.TrueForAll(tensor => file.Tensors[tensor.Name] is var entry && entry.Shape == tensor.Shape && entry.DType == tensor.DType)
                    && (File.ReadAllBytes(path)[0] & 7) == 0;
            },
            iter: 50);

    [Test]
    public void A_tensor_that_is_produced_while_it_is_written_gives_the_same_bytes_in_a_file_and_in_a_stream()
    {
        float[] values = [1, -2, 3.5f, 0];
        byte[] few = [9];
        SafetensorsTensor[] tensors =
        [
            SafetensorsTensor.Of<byte>("few", [1], few),
            SafetensorsTensor.Streamed("x", DType.Float32, [2, 2], stream =>
            {
                foreach (var value in values)
                {
                    stream.Write(BitConverter.GetBytes(value));
                }
            }),
        ];
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal) { ["k"] = "v" };
        var path = Path.Combine(_folder, "streamed.safetensors");
        SafetensorsWriter.Write(path, tensors, metadata);
        using var stream = new MemoryStream();
        SafetensorsWriter.Write(stream, "a stream", tensors, metadata);
        Assert.That(stream.ToArray(), Is.EqualTo(File.ReadAllBytes(path)));
        using var file = SafetensorsFile.Open(path);
        Assert.That(file.ReadFloat32("x"), Is.EqualTo(values));
        Assert.That(
            () => SafetensorsWriter.Write(Stream.Null, "a stream", [tensors[0], tensors[0]]),
            Throws.TypeOf<SafetensorsException>().With.Message.StartsWith("a stream: two tensors would be called"));
    }

    [Test]
    public void The_writer_refuses_what_could_not_be_read()
    {
        var path = Path.Combine(_folder, "bad.safetensors");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(
                () => SafetensorsWriter.Write(path, [new SafetensorsTensor("x", [1], [1]), new SafetensorsTensor("x", [1], [2])]),
                Throws.TypeOf<SafetensorsException>().With.Message.Contains("two tensors would be called \"x\""));
            Assert.That(() => SafetensorsWriter.Write(path, [new SafetensorsTensor("__metadata__", [1], [1])]), Throws.TypeOf<SafetensorsException>());
            Assert.That(() => new SafetensorsTensor("x", [2], [1]), Throws.ArgumentException.With.Message.Contains("1 elements given for shape [2]"));
            Assert.That(
                () => SafetensorsWriter.Write(Path.Combine(_folder, "none", "x.safetensors"), []),
                Throws.TypeOf<SafetensorsException>().With.Property(nameof(SafetensorsException.Error)).EqualTo(SafetensorsError.Io));
            Assert.That(Directory.EnumerateFileSystemEntries(_folder), Is.Empty, "nothing is left behind");
        }
    }

    // The crate's own test vectors (tensor.rs, test_serialization and test_forced_alignment): compact JSON, spaces up to a multiple of 8.
    [TestCase("attn.0", new[] { 1, 2, 3 }, """{"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}}""")]
    [TestCase("attn0", new[] { 1, 1, 2, 3 }, """{"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}       """)]
    public void Files_are_laid_out_as_the_Rust_crate_does_it(string name, int[] shape, string header)
    {
        var path = Path.Combine(_folder, "x.safetensors");
        SafetensorsWriter.Write(path, [new SafetensorsTensor(name, shape, [0, 1, 2, 3, 4, 5])]);
        float[] values = [0, 1, 2, 3, 4, 5];
        Assert.That(
            File.ReadAllBytes(path),
            Is.EqualTo(Image(Encoding.UTF8.GetBytes(header), System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(values).ToArray())));
    }

    [Test]
    public void Larger_types_come_first_then_names()
    {
        var path = Path.Combine(_folder, "x.safetensors");
        SafetensorsWriter.Write(path,
        [
            SafetensorsTensor.Of("a", [1], new byte[] { 1 }),
            new SafetensorsTensor("c", [1], [1]),
            new SafetensorsTensor("B", [1], [1]),
            SafetensorsTensor.Of("d", [1], new double[] { 1 }),
        ]);
        using var file = SafetensorsFile.Open(path);
        Assert.That(file.Tensors.Values.OrderBy(entry => entry.Offset).Select(entry => entry.Name), Is.EqualTo(new[] { "d", "B", "c", "a" }));
    }

    [TestCaseSource(nameof(GoldenFiles))]
    public void Files_made_by_others_are_read_and_written_again(string name)
    {
        var copy = Path.Combine(_folder, "copy.safetensors");
        using var file = SafetensorsFile.Open(Path.Combine(GoldenFolder, name));
        SafetensorsWriter.Write(
            copy,
            file.Tensors.Values.Where(entry => entry.DType == DType.Float32).Select(entry => new SafetensorsTensor(entry.Name, entry.Shape, file.ReadFloat32(entry.Name))),
            file.Metadata);
        using var again = SafetensorsFile.Open(copy);
        Assert.That(again.Metadata, Is.EqualTo(file.Metadata));
        foreach (var entry in again.Tensors.Values)
        {
            Assert.That(entry.Shape, Is.EqualTo(file.Tensors[entry.Name].Shape), entry.Name);
            Assert.That(again.Bytes(entry.Name).SequenceEqual(file.Bytes(entry.Name)), entry.Name);
        }
    }

    private static string GoldenFolder => Path.Combine(TestContext.CurrentContext.TestDirectory, "../../../../../../shared/golden");

    private static IEnumerable<string> GoldenFiles()
        => Directory.Exists(GoldenFolder)
            ? Directory.EnumerateFiles(GoldenFolder, "*.safetensors").Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)
            : [];

    private static byte[] Image(byte[] header, byte[] data)
    {
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        return [.. length, .. header, .. data];
    }

    private static bool IsText(string text)
    {
        try
        {
            new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetByteCount(text);
            return true;
        }
        catch (EncoderFallbackException)
        {
            return false;
        }
    }

    private void AssertRefused(byte[] image, SafetensorsError error)
    {
        var path = Save(image);
        Assert.That(
            () => SafetensorsFile.Open(path).Dispose(),
            Throws.TypeOf<SafetensorsException>().With.Property(nameof(SafetensorsException.Error)).EqualTo(error));
    }

    private string Save(byte[] image)
    {
        var path = Path.Combine(_folder, "file.safetensors");
        File.WriteAllBytes(path, image);
        return path;
    }
}
