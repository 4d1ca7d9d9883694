// Thousands of damaged PyTorch files: each gives an error or what was saved; none crashes, hangs, runs anything or takes more
// memory than its size accounts for.
using System.IO.Compression;
using System.Text;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tensors.Tests.Weights;

public class PyTorchMutationTests
{
    // What every file may take beside twice its own size, and what opening any file takes besides: tables that double, an exception.
    private const long Constant = (16 << 20) + (256 << 10);

    // Far above the milliseconds that a case takes: reached by an endless loop alone.
    private static readonly TimeSpan s_hang = TimeSpan.FromMinutes(2);

    // Every opcode that is known, and some that are not.
    private static readonly byte[] s_opcodes = [.. "(.0123FIJKLMNPQRSTUVXabcdeghijloqrstu)]}BCG"u8, 0x80, 0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8f, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0xff];

    private string _folder = "";

    private static IEnumerable<string> Names => ["checkpoint_odd.pth", "checkpoint_odd_legacy.pth", "malicious.pth", "malicious_legacy.pth"];

    private static IEnumerable<string> Large =>
        ((string[])["checkpoint_tiny.pth", "checkpoint_tiny_half.pth", "checkpoint_tiny_legacy.pth"]).Where(n => File.Exists(DataFiles.Shared(n)));

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("pytorch").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [TestCase("checkpoint_odd.pth")]
    [TestCase("checkpoint_odd_legacy.pth")]
    public void A_file_that_is_cut_off_anywhere_is_refused(string name)
    {
        var image = File.ReadAllBytes(DataFiles.Of(name));
        for (var length = 0; length < image.Length; length++)
        {
            Assert.That(Check(image[..length], null), Is.Not.Null, $"{length} of {image.Length} bytes");
        }

        Assert.That(Check(image, Read(image)), Is.Null);
    }

    // Every bit of an archive that matters has a checksum or is there twice.
    [Test]
    public void No_changed_bit_of_an_archive_changes_what_is_read()
    {
        var image = File.ReadAllBytes(DataFiles.Of("checkpoint_odd.pth"));
        var expected = Read(image);
        var (refused, read) = (0, 0);
        for (var at = 0; at < image.Length; at++)
        {
            // A bit a byte, another one each time.
            var changed = image.ToArray();
            changed[at] ^= (byte)(1 << (at * 5 % 8));
            _ = Check(changed, expected) is null ? read++ : refused++;
        }

        // Times, padding and versions are there too, and say nothing of the tensors.
        Assert.That(refused, Is.GreaterThan(read / 2));
    }

    [TestCaseSource(nameof(Names))]
    public void Five_hundred_damaged_files_are_refused_or_read(string name) => Run(DataFiles.Of(name), 0, 500);

    [TestCaseSource(nameof(Names))]
    [Category("Long")]
    public void Ten_thousand_damaged_files_are_refused_or_read(string name) => Run(DataFiles.Of(name), 1_000_000, 10_000);

    [TestCaseSource(nameof(Large))]
    [Category("Long")]
    public void Ten_thousand_damaged_checkpoints_are_refused_or_read(string name) => Run(DataFiles.Shared(name), 2_000_000, 10_000);

    private void Run(string path, ulong first, int count)
    {
        var image = File.ReadAllBytes(path);
        var current = first;
        var worker = Task.Factory.StartNew(
            () =>
            {
                var outcomes = new Dictionary<string, int>();
                for (var seed = first; seed < first + (ulong)count; seed++)
                {
                    Volatile.Write(ref current, seed);
                    var damaged = new Damage(seed).Of(image);
                    try
                    {
                        var outcome = Check(damaged, null)?.ToString() ?? "read";
                        outcomes[outcome] = outcomes.GetValueOrDefault(outcome) + 1;
                    }
                    catch (Exception e)
                    {
                        throw new AssertionException($"seed {seed}, file of {damaged.Length} bytes: {e.Message}", e);
                    }
                }

                return outcomes;
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        for (var seen = ulong.MaxValue; Task.WaitAny([worker], s_hang) < 0; seen = Volatile.Read(ref current))
        {
            Assert.That(Volatile.Read(ref current), Is.Not.EqualTo(seen), $"seed {seen} does not end");
        }

        var result = worker.GetAwaiter().GetResult();
        TestContext.Out.WriteLine(string.Join(", ", result.OrderByDescending(o => o.Value).Select(o => $"{o.Value} {o.Key}")));
        Assert.That(result, Has.Count.GreaterThan(3), "the damage reaches few rules");
    }

    /// <summary>Opens a file and reads all of it, within the bounds of time and memory.</summary>
    /// <returns>What is wrong; null if it was read.</returns>
    private PyTorchFileError? Check(byte[] image, Dictionary<string, (DType, Shape, byte[])>? expected)
    {
        var path = Path.Combine(_folder, "damaged.pth");
        File.WriteAllBytes(path, image);
        var before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            using var file = PyTorchFile.Open(path);
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Require(allocated <= (2L * image.Length) + Constant, $"opening it took {allocated} bytes");
            Require(expected is null || expected.Count == file.Tensors.Count, "it has another number of tensors");
            foreach (var tensor in file.Tensors.Values)
            {
                Require(tensor.Bytes <= Math.Max(image.Length, 16 << 20), $"{tensor.Name} has {tensor.Bytes} bytes");
                using var read = new MemoryStream();
                file.CopyTo(tensor.Name, expected is null ? Stream.Null : read);
                if (expected is not null)
                {
                    var (type, shape, bytes) = expected[tensor.Name];
                    Require(type == tensor.DType && shape == tensor.Shape && read.ToArray().AsSpan().SequenceEqual(bytes), $"{tensor.Name} is another");
                }
            }

            return null;
        }
        catch (PyTorchFileException e)
        {
            var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Require(allocated <= (2L * image.Length) + Constant || e.Error == PyTorchFileError.ChecksumMismatch, $"refusing it took {allocated} bytes");
            Require(e.Message.StartsWith(path + ": ", StringComparison.Ordinal) && !e.Message.AsSpan().ContainsAnyInRange('\0', '\u001f'), $"the message is not one line: {e.Message}");

            // A name is cut to 100 characters, each of which may be written as six.
            Require(e.Message.Length < path.Length + 800, $"the message has {e.Message.Length} characters");
            return e.Error;
        }
    }

    private Dictionary<string, (DType, Shape, byte[])> Read(byte[] image)
    {
        var path = Path.Combine(_folder, "whole.pth");
        File.WriteAllBytes(path, image);
        using var file = PyTorchFile.Open(path);
        return file.Tensors.Values.ToDictionary(
            t => t.Name,
            t =>
            {
                using var read = new MemoryStream();
                file.CopyTo(t.Name, read);
                return (t.DType, t.Shape, read.ToArray());
            },
            StringComparer.Ordinal);
    }

    private static void Require(bool condition, string otherwise)
    {
        if (!condition)
        {
            throw new InvalidDataException(otherwise);
        }
    }

    /// <summary>A seeded way to damage files: anywhere, or in the pickle of an archive that is then whole again.</summary>
    private sealed class Damage(ulong seed)
    {
        private readonly PhiloxStream _random = new(seed, "tests/damage");

        public byte[] Of(byte[] image)
        {
            if (_random.NextBelow(3) > 0 && image.AsSpan().StartsWith("PK"u8))
            {
                return InPickle(image);
            }

            // Half of the damage goes where the structure is: the start of the old form, the end of an archive.
            var result = image;
            for (var times = 1 + _random.NextBelow(3); times > 0 && result.Length > 0; times--)
            {
                var near = Math.Min(result.Length, 4096);
                result = Change(result, _random.NextBelow(3) switch { 0 => _random.NextBelow(near), 1 => result.Length - 1 - _random.NextBelow(near), _ => _random.NextBelow(result.Length) });
            }

            return result;
        }

        private byte[] InPickle(byte[] image)
        {
            using var archive = new ZipArchive(new MemoryStream(image));
            var records = new List<(string, byte[])>();
            foreach (var entry in archive.Entries)
            {
                using var stream = entry.Open();
                using var bytes = new MemoryStream();
                stream.CopyTo(bytes);
                var content = bytes.ToArray();
                if (entry.Name == "data.pkl")
                {
                    for (var times = 1 + _random.NextBelow(4); times > 0 && content.Length > 0; times--)
                    {
                        content = Change(content, _random.NextBelow(content.Length));
                    }
                }

                records.Add((entry.FullName, content));
            }

            return HandmadeZip.Make(records);
        }

        private byte[] Change(byte[] image, int at)
        {
            var end = at + Math.Min(image.Length - at, 1 + _random.NextBelow(40));
            switch (_random.NextBelow(8))
            {
                case 0:
                    return [.. image[..at], (byte)(image[at] ^ (1 << _random.NextBelow(8))), .. image[(at + 1)..]];
                case 1:
                    return [.. image[..at], s_opcodes[_random.NextBelow(s_opcodes.Length)], .. image[(at + 1)..]];
                case 2:
                    return [.. image[..at], s_opcodes[_random.NextBelow(s_opcodes.Length)], .. image[at..]];
                case 3:
                    return [.. image[..at], .. image[end..]];
                case 4:
                    return [.. image[..end], .. image[at..]];
                case 5:
                    return image[..at];
                case 6:
                    // A number of one to eight bytes at one of its ends.
                    var number = image.ToArray();
                    number.AsSpan(at, Math.Min(image.Length - at, 1 << _random.NextBelow(4))).Fill(_random.NextBelow(3) switch { 0 => 0, 1 => 0x7f, _ => 0xff });
                    return number;
                default:
                    var name = Encoding.ASCII.GetBytes(_random.NextBelow(2) == 0 ? "cposix\nsystem\n" : "cbuiltins\neval\n");
                    return [.. image[..at], .. name, .. image[at..]];
            }
        }
    }
}
