// inspect: what is in a file, exactly and in a form that harms no terminal; a bad file is named and the others are shown.
using System.Text.Json;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
public sealed class InspectTests
{
    [Test]
    public void Tensors_totals_and_metadata_are_listed()
    {
        using var folder = new TemporaryFolder();
        SafetensorsWriter.Write(
            folder["a.safetensors"],
            [new SafetensorsTensor("conv.weight", [2, 3], [1, 2, 3, 4, 5, 6]), SafetensorsTensor.Of("ids", [], new long[] { 7 }), SafetensorsTensor.Of("none", [0, 4], Array.Empty<Half>())],
            new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt", ["long"] = new string('x', 5000) });
        var result = BuiltProgram.Run("inspect", folder["a.safetensors"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(result.Error, Is.Empty);
            Assert.That(result.Output, Is.EqualTo($"""
                tensor       type  shape   bytes
                ids          I64   []          8
                conv.weight  F32   [2, 3]     24
                none         F16   [0, 4]      0
                metadata format: pt
                metadata long: {new string('x', 5000)}
                3 tensors, 7 parameters, 32 bytes

                """));
        }
    }

    // Every type that a file may hold. The numbers are small and exact in each, so that all statistics are exact too:
    // the mean of 1, 3 and 0, 0 is 1, the deviation the root of 6 / 4.
    [Test]
    public void Statistics_are_exact_in_every_type()
    {
        using var folder = new TemporaryFolder();
        SafetensorsWriter.Write(folder["a.safetensors"],
        [
            Four<sbyte>(), Four<byte>(), Four<short>(), Four<ushort>(), Four<int>(), Four<uint>(), Four<long>(), Four<ulong>(), Four<Half>(), Four<float>(), Four<double>(),
            SafetensorsTensor.Of("Boolean", [4], new[] { true, false, true, true }),
        ]);
        using var json = JsonDocument.Parse(BuiltProgram.Run("inspect", folder["a.safetensors"], "--stats", "--json").Output);
        var tensors = json.RootElement.GetProperty("tensors").EnumerateArray().ToList();
        Assert.That(tensors, Has.Count.EqualTo(12));
        using (Assert.EnterMultipleScope())
        {
            foreach (var tensor in tensors)
            {
                var expected = tensor.GetProperty("name").ValueEquals("Boolean")
                    ? $$"""{"min":0,"max":1,"mean":0.75,"std":{{Math.Sqrt(0.75 / 4):R}},"nan":0,"inf":0,"zeros":1}"""
                    : $$"""{"min":0,"max":3,"mean":1,"std":{{Math.Sqrt(1.5):R}},"nan":0,"inf":0,"zeros":2}""";
                Assert.That(tensor.GetProperty("stats").GetRawText(), Is.EqualTo(expected), tensor.GetProperty("dtype").GetString());
            }
        }

        static SafetensorsTensor Four<T>()
            where T : unmanaged, System.Numerics.INumberBase<T>
            => SafetensorsTensor.Of(typeof(T).Name, [4], new[] { T.CreateChecked(1), T.Zero, T.CreateChecked(3), T.Zero });
    }

    [Test]
    public void What_is_not_finite_is_counted_and_left_out()
    {
        using var folder = new TemporaryFolder();
        SafetensorsWriter.Write(folder["a.safetensors"],
        [
            new SafetensorsTensor("some", [6], [float.NaN, 2, float.PositiveInfinity, -4, float.NegativeInfinity, -0f]),
            SafetensorsTensor.Of("nothing", [2], new[] { Half.NaN, Half.PositiveInfinity }),
            new SafetensorsTensor("empty", [0], []),
        ]);
        var text = BuiltProgram.Run("inspect", folder["a.safetensors"], "--stats").Output;
        var json = BuiltProgram.Run("inspect", folder["a.safetensors"], "--stats", "--json").Output;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(text, Does.Match("(?m)^tensor +type +shape +bytes +min +max +mean +std +NaN +inf +zeros$"));
            Assert.That(text, Does.Match("(?m)^some +F32 +\\[6\\] +24 +-4 +2 +-0\\.6667 +2\\.494 +1 +2 +1$"));
            Assert.That(text, Does.Match("(?m)^nothing +F16 +\\[2\\] +4 +- +- +- +- +1 +1 +0$"));
            Assert.That(json, Does.Contain("""{"min":null,"max":null,"mean":null,"std":null,"nan":1,"inf":1,"zeros":0}"""));
            Assert.That(json, Does.Contain("""{"min":null,"max":null,"mean":null,"std":null,"nan":0,"inf":0,"zeros":0}"""));
        }
    }

    // A mean of 2^20 whose elements differ by one: a difference of sums of squares in doubles would still do, but not in floats;
    // 100,003 elements end in the middle of a chunk.
    [Test]
    public void Chunks_of_a_large_tensor_are_joined()
    {
        using var folder = new TemporaryFolder();
        SafetensorsWriter.Write(folder["a.safetensors"], [new SafetensorsTensor("x", [100_003], [.. Enumerable.Range(0, 100_003).Select(i => (1 << 20) + (float)(i % 3))])]);
        using var json = JsonDocument.Parse(BuiltProgram.Run("inspect", folder["a.safetensors"], "--stats", "--json").Output);
        var stats = json.RootElement.GetProperty("tensors")[0].GetProperty("stats");
        var mean = Enumerable.Range(0, 100_003).Average(i => (double)(i % 3));
        var deviation = Math.Sqrt(Enumerable.Range(0, 100_003).Average(i => ((i % 3) - mean) * ((i % 3) - mean)));
        using (Assert.EnterMultipleScope())
        {
            // Half a unit in the last place of 2^20 a chunk, of which there are 13.
            Assert.That(stats.GetProperty("mean").GetDouble(), Is.EqualTo((1 << 20) + mean).Within(13 * Math.Pow(2, -33)));
            Assert.That(stats.GetProperty("std").GetDouble(), Is.EqualTo(deviation).Within(13 * Math.Pow(2, -33)));
        }
    }

    [Test]
    public void Json_has_all_of_a_file_on_one_line()
    {
        using var folder = new TemporaryFolder();
        SafetensorsWriter.Write(folder["b.safetensors"], [new SafetensorsTensor("x\n", [2, 1], [1, 2])], new Dictionary<string, string>(StringComparer.Ordinal) { ["k"] = "a\nb" });
        SafetensorsWriter.Write(folder["a.safetensors"], []);
        var result = BuiltProgram.Run("inspect", folder.Path, "--json");
        Assert.That(result.Output.TrimEnd().Split('\n'), Is.EqualTo(new[]
        {
            $$$"""{"file":"{{{folder["a.safetensors"]}}}","format":"safetensors","tensors":[],"totals":{"tensors":0,"tensors_in_file":0,"parameters":0,"bytes":0},"metadata":{}}""",
            $$$"""{"file":"{{{folder["b.safetensors"]}}}","format":"safetensors","tensors":[{"name":"x\n","dtype":"F32","shape":[2,1],"bytes":8,"aligned":true}],"totals":{"tensors":1,"tensors_in_file":1,"parameters":2,"bytes":8},"metadata":{"k":"a\nb"}}""",
        }));
    }

    [Test]
    public void A_filter_shows_what_it_lets_through()
    {
        var result = BuiltProgram.Run("inspect", Path.Combine(Places.SourceTree!, "tests", "data", "schedule_tables.safetensors"), "--filter", "f64.");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Output.Split('\n').Count(line => line.Contains("F64", StringComparison.Ordinal)), Is.EqualTo(4));
            Assert.That(result.Output, Does.Not.Contain("F32").And.EndWith("4 tensors (of 12), 4,000 parameters, 32,000 bytes\n"));
        }
    }

    [TestCase]
    [TestCase("--json")]
    public void Nothing_in_a_file_steers_the_terminal(params string[] options)
    {
        using var folder = new TemporaryFolder();
        SafetensorsWriter.Write(
            folder["a.safetensors"],
            [new SafetensorsTensor("\u001b[2Jx\r\n\u009b31m\u0007", [1], [1])],
            new Dictionary<string, string>(StringComparer.Ordinal) { ["\u001b]0;title\u0007"] = "\u001b[31mred\nok" });
        var result = BuiltProgram.Run(["inspect", folder["a.safetensors"], .. options]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(result.Output.Where(char.IsControl).Distinct(), Is.EqualTo(new[] { '\n' }));
            Assert.That(result.Output, Does.Contain("\\u001b[2Jx").IgnoreCase.And.Contain("\\u001b[31mred").IgnoreCase);
        }
    }

    [Test]
    public void Misaligned_tensors_are_pointed_out()
    {
        using var folder = new TemporaryFolder();
        var header = """{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}"""u8;
        File.WriteAllBytes(folder["a.safetensors"], [(byte)header.Length, 0, 0, 0, 0, 0, 0, 0, .. header, 9, 0, 0, 0x80, 0x3F]);
        var result = BuiltProgram.Run("inspect", folder["a.safetensors"], "--stats");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Output, Does.Match("(?m)^f +F32 +\\[1\\] +4 +1 +1 +1 +0 +0 +0 +0$"));
            Assert.That(result.Output, Does.Contain("1 tensor not aligned to its elements, which is read all the same\n"));
        }
    }

    [Test]
    public void A_bad_file_is_named_and_the_others_are_shown()
    {
        using var folder = new TemporaryFolder();
        SafetensorsWriter.Write(folder["a.safetensors"], [new SafetensorsTensor("x", [1], [1])]);
        File.WriteAllText(folder["b.safetensors"], "not tensors at all");
        Directory.CreateDirectory(folder["empty"]);
        var result = BuiltProgram.Run("inspect", folder["none"], folder["empty"], folder.Path);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(3));
            Assert.That(result.ErrorLines, Has.Length.EqualTo(3));
            Assert.That(result.ErrorLines[0], Is.EqualTo($"error: {folder["none"]}: there is no such file"));
            Assert.That(result.ErrorLines[1], Is.EqualTo($"error: {folder["empty"]} holds no file of weights (.safetensors, .pth, .pt, .bin, .ckpt)"));
            Assert.That(result.ErrorLines[2], Does.StartWith($"error: {folder["b.safetensors"]}: a header of ").And.EndWith("is this a safetensors file?"));
            Assert.That(result.Output, Does.StartWith(folder["a.safetensors"] + "\n").And.Match("(?m)^x +F32 +\\[1\\] +4$"));
        }
    }

    [Test]
    public void A_single_bad_file_is_one_line_and_an_input_error()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllBytes(folder["a.safetensors"], [2, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'}', 1]);
        BuiltProgram.Run("inspect", folder["a.safetensors"]).MustFail(3, "the tensors take 0 bytes, but 1 follow the header: something follows the last tensor");
        BuiltProgram.Run("inspect").MustFail(2, "FILE is missing");
    }
}
