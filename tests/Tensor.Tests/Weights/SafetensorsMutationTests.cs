// Thousands of damaged safetensors files: each is refused by name or read right, as a second reader says; none crashes, hangs or
// takes more memory than its size accounts for.
using System.Buffers.Binary;
using System.Text;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tensors.Tests.Weights;

public class SafetensorsMutationTests
{
    // What opening any file takes besides its names: handles, readers, an exception. Measured: 5 KiB.
    private const int Constant = 64 << 10;

    // Far above the millisecond that a case takes: reached by an endless loop alone.
    private static readonly TimeSpan Hang = TimeSpan.FromMinutes(2);

    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("safetensors").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void Two_thousand_damaged_files_are_refused_or_read_right() => Run(0, 2_000);

    // Seeds of their own: a long run adds to the short one.
    [Test]
    [Category("Long")]
    public void Twenty_thousand_damaged_files_are_refused_or_read_right() => Run(1_000_000, 20_000);

    private void Run(ulong first, int count)
    {
        var files = Files();
        var current = first;
        var worker = Task.Factory.StartNew(
            () =>
            {
                var outcomes = new Dictionary<SafetensorsError, int>();
                var read = 0;

                // The first of its kind pays for types and tables that are made once.
                Check(files[0]);
                Check(new byte[8]);
                for (var seed = first; seed < first + (ulong)count; seed++)
                {
                    Volatile.Write(ref current, seed);
                    var image = new Mutation(seed).Of(files);
                    try
                    {
                        if (Check(image) is { } error)
                        {
                            outcomes[error] = outcomes.GetValueOrDefault(error) + 1;
                        }
                        else
                        {
                            read++;
                        }
                    }
                    catch (Exception e)
                    {
                        throw new AssertionException($"seed {seed}, file of {image.Length} bytes starting {Convert.ToHexString(image.AsSpan(0, Math.Min(8, image.Length)))} {Encoding.UTF8.GetString(image.AsSpan(Math.Min(8, image.Length)..Math.Min(600, image.Length)))}: {e.Message}", e);
                    }
                }

                return (Read: read, Outcomes: outcomes);
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);

        for (var seen = ulong.MaxValue; Task.WaitAny([worker], Hang) < 0; seen = Volatile.Read(ref current))
        {
            Assert.That(Volatile.Read(ref current), Is.Not.EqualTo(seen), $"seed {seen} does not end");
        }

        // The corpus is worth something only if it reaches every rule, and leaves many files valid.
        var result = worker.GetAwaiter().GetResult();
        SafetensorsError[] beyond = [SafetensorsError.Io, SafetensorsError.TooManyNames, SafetensorsError.TensorNotFound, SafetensorsError.InvalidTensorView];
        TestContext.Out.WriteLine($"{result.Read} read; {string.Join(", ", result.Outcomes.OrderByDescending(o => o.Value).Select(o => $"{o.Value} {o.Key}"))}");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Enum.GetValues<SafetensorsError>().Except(result.Outcomes.Keys), Is.EquivalentTo(beyond));
            Assert.That(result.Read, Is.AtLeast(count / 20));
        }
    }

    /// <summary>Opens the file and holds what is found to the oracle.</summary>
    /// <returns>The rule that the file breaks; null if it is read.</returns>
    private SafetensorsError? Check(byte[] image)
    {
        var path = Path.Combine(_folder, "damaged.safetensors");
        File.WriteAllBytes(path, image);
        var expected = SafetensorsOracle.Read(image);
        SafetensorsFile? file = null;
        SafetensorsException? refusal = null;
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            file = SafetensorsFile.Open(path);
        }
        catch (SafetensorsException e)
        {
            refusal = e;
        }

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        using (file)
        {
            Require(allocated <= (2L * image.Length) + Constant, $"opening it took {allocated} bytes");
            if (refusal is not null)
            {
                Require(expected is null, $"it is valid, but was refused: {refusal.Message}");
                Require(refusal.Message.StartsWith(path + ": ", StringComparison.Ordinal) && !refusal.Message.AsSpan().ContainsAnyInRange('\0', '\u001f'), $"the message is not one line: {refusal.Message}");
                Require(refusal.Message.Length < path.Length + 500, $"the message has {refusal.Message.Length} characters");
                return refusal.Error;
            }

            Require(expected is not null, "it breaks a rule, but was read");
            Require(file!.Tensors.Count == expected!.Count, $"it has {expected.Count} tensors, not {file.Tensors.Count}");
            foreach (var (name, tensor) in expected)
            {
                Require(file.Tensors.TryGetValue(name, out var entry) && entry.Name == name, $"tensor {name} is missing");
                Require(entry!.TypeName == tensor.Type && entry.Shape == tensor.Shape, $"tensor {name} is {entry.TypeName} {entry.Shape}");
                Require(file.Bytes(name).SequenceEqual(image.AsSpan(tensor.Start, tensor.Length)), $"tensor {name} has other bytes");
                if (entry.DType is DType.Float16 or DType.BFloat16 or DType.Float32 or DType.Float64)
                {
                    Require(file.ReadFloat32(name).Length == entry.Shape.Count, $"tensor {name} has other elements");
                }
            }

            return null;
        }
    }

    private static void Require(bool condition, string otherwise)
    {
        if (!condition)
        {
            throw new InvalidDataException(otherwise);
        }
    }

    /// <summary>Valid files: of every type, of strange names, of strange layout, and one that others made.</summary>
    private List<byte[]> Files()
    {
        SafetensorsTensor[] types =
        [
            SafetensorsTensor.Of("bool", [2], new[] { true, false }), SafetensorsTensor.Of("u8", [3], new byte[] { 1, 2, 3 }),
            SafetensorsTensor.Of("i8", [1], new sbyte[] { -1 }), SafetensorsTensor.Of("u16", [2], new ushort[] { 1, 65535 }),
            SafetensorsTensor.Of("i16", [1, 2], new short[] { -1, 1 }), SafetensorsTensor.Of("u32", [1], new uint[] { 1 }),
            SafetensorsTensor.Of("i32", [2, 1], [-1, 1]), SafetensorsTensor.Of("u64", [1], new ulong[] { 1 }), SafetensorsTensor.Of("i64", [1], new long[] { -1 }),
            SafetensorsTensor.Of("f16", [2], new[] { (Half)1.5f, Half.NaN }), new("f32", [2, 3], [1, 2, 3, 4, 5, 6]), SafetensorsTensor.Of("f64", [2], new[] { 0.1, double.NaN }),
        ];
        SafetensorsTensor[] names =
        [
            new("", [], [1]), new("β.重み😀", [0, 3], []), new("a\n\"\\\u0001", [1], [2]), new("layers.0.weight", [2, 2], [1, 2, 3, 4]), new("layers.0.bias", [2], [1, 2]),
        ];
        const string Loose =
            """{ "z":{"data_offsets":[1,9],"shape":[1,2],"dtype":"F32"},"bf":{"dtype":"BF16","shape":[2],"data_offsets":[9,13],"note":{"a":[1,{}]}} , "a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"none":{"dtype":"F64","shape":[7,0],"data_offsets":[9,9]},"__metadata__":{}}""";
        var length = new byte[8];
        BinaryPrimitives.WriteInt32LittleEndian(length, Loose.Length);
        return
        [
            Written(types, null),
            Written(types[8..], new() { ["format"] = "pt", ["note"] = "a\tb" }),
            Written(names, new() { ["\u0000"] = "é" }),
            Written([], null),
            [.. length, .. Encoding.ASCII.GetBytes(Loose), .. Enumerable.Range(0, 13).Select(i => (byte)(i * 21))],
            File.ReadAllBytes(Path.Combine(TestContext.CurrentContext.TestDirectory, "schedule_tables.safetensors")),
        ];
    }

    private byte[] Written(SafetensorsTensor[] tensors, Dictionary<string, string>? metadata)
    {
        var path = Path.Combine(_folder, "seed.safetensors");
        SafetensorsWriter.Write(path, tensors, metadata);
        return File.ReadAllBytes(path);
    }
}
