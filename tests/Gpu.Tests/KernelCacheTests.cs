// The disk cache: whole entries or none, whatever happens to the files.
using System.Security.Cryptography;
using CsCheck;

namespace FashionFlow.Gpu.Tests;

public sealed class KernelCacheTests
{
    private const string Key = "0123456789abcdef";
    private string _directory = "";

    [SetUp]
    public void Make_a_directory() => _directory = Directory.CreateTempSubdirectory("fashionflow-cache-").FullName;

    [TearDown]
    public void Remove_the_directory() => Directory.Delete(_directory, recursive: true);

    [Test]
    public void What_was_written_is_read()
    {
        var cache = new KernelCache(Path.Combine(_directory, "made", "when", "needed"));
        Assert.That(cache.TryRead(Key), Is.Null);
        Gen.Byte.Array[0, 3000].Sample(
            image => cache.TryWrite(Key, image) && cache.TryRead(Key)!.AsSpan().SequenceEqual(image), iter: 20, threads: 1);
        Assert.That(Directory.EnumerateFiles(cache.Directory).Select(f => Path.GetFileName(f)), Is.EqualTo([Key]), "no temporary file is left");
    }

    [Test]
    public void A_damaged_entry_is_discarded_whatever_the_damage()
    {
        var cache = new KernelCache(_directory);
        var image = SHA256.HashData("image"u8);
        cache.TryWrite(Key, image);
        var path = Path.Combine(_directory, Key);
        var whole = File.ReadAllBytes(path);
        var damages = Gen.OneOf(
            Gen.Select(Gen.Int[0, whole.Length - 1], Gen.Int[1, 255], (at, bits) => whole.Select((b, i) => i == at ? (byte)(b ^ bits) : b).ToArray()),
            Gen.Int[0, whole.Length - 1].Select(length => whole[..length]),
            Gen.Byte.Array[1, 40].Select(tail => whole.Concat(tail).ToArray()));
        damages.Sample(
            damaged =>
            {
                File.WriteAllBytes(path, damaged);
                return cache.TryRead(Key) is null && !File.Exists(path);
            },
            iter: 200,
            threads: 1);
    }

    [Test]
    public void A_directory_that_cannot_be_made_costs_nothing_but_the_entry()
    {
        // A file where the directory should be stops even root, which permissions do not.
        var file = Path.Combine(_directory, "file");
        File.WriteAllText(file, "");
        var cache = new KernelCache(Path.Combine(file, "kernels"));
        Assert.That(cache.TryWrite(Key, "image"u8), Is.False);
        Assert.That(cache.TryRead(Key), Is.Null);
    }

    [Test]
    public void An_entry_that_cannot_be_replaced_leaves_no_temporary_file()
    {
        var cache = new KernelCache(_directory);
        Directory.CreateDirectory(Path.Combine(_directory, Key, "in the way"));
        Assert.That(cache.TryWrite(Key, "image"u8), Is.False);
        Assert.That(cache.TryRead(Key), Is.Null);
        Assert.That(Directory.EnumerateFiles(_directory), Is.Empty);
    }

    [Test]
    public void What_a_killed_writer_left_is_removed_once_it_is_old()
    {
        var old = Path.Combine(_directory, "a.1.tmp");
        var young = Path.Combine(_directory, "b.2.tmp");
        File.WriteAllText(old, "half");
        File.WriteAllText(young, "half");
        File.SetLastWriteTimeUtc(old, DateTime.UtcNow.AddHours(-2));
        new KernelCache(_directory).TryWrite(Key, "image"u8);
        Assert.That(File.Exists(old), Is.False);
        Assert.That(File.Exists(young), Is.True);
    }

    [Test]
    public async Task Two_processes_that_write_and_read_one_entry_never_see_half_of_it()
    {
        var runs = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => ProbeProcess.RunAsync(["write-cache", _directory, Key, "300"])));
        Assert.That(runs, Is.All.EqualTo("300 whole"));
        Assert.That(Directory.EnumerateFiles(_directory).Count(), Is.EqualTo(1));
    }

    /// <summary>The probe: writes an entry of its own length again and again, and reads whatever is there.</summary>
    internal static int WriteAndRead(KernelCache cache, string key, int count)
    {
        var whole = 0;
        for (var i = 0; i < count; i++)
        {
            // Every image of this test is one byte value repeated, of a length that goes with it.
            var value = (byte)(i + Environment.ProcessId);
            cache.TryWrite(key, Enumerable.Repeat(value, 20000 + (value * 100)).ToArray());
            var read = cache.TryRead(key);
            whole += read is not null && read.Length == 20000 + (read[0] * 100) && !read.AsSpan().ContainsAnyExcept(read[0]) ? 1 : 0;
        }

        Console.Write($"{whole} whole");
        return 0;
    }
}
