// A file is replaced whole or not at all, and nothing else is left in its folder.
namespace FashionFlow.Gpu.Tests;

public class AtomicFileTests
{
    private string _folder = "";

    [SetUp]
    public void MakeFolder() => _folder = Directory.CreateTempSubdirectory("atomic").FullName;

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public void A_failed_write_leaves_the_old_file_and_nothing_else()
    {
        var path = Path.Combine(_folder, "x.bin");
        File.WriteAllText(path, "old");
        Assert.That(
            () => AtomicFile.Write(path, stream =>
            {
                stream.WriteByte(1);
                throw new InvalidDataException();
            }),
            Throws.TypeOf<InvalidDataException>());
        using (Assert.EnterMultipleScope())
        {
            Assert.That(File.ReadAllText(path), Is.EqualTo("old"));
            Assert.That(Directory.GetFiles(_folder), Has.Length.EqualTo(1));
        }

        AtomicFile.Write(path, stream => stream.Write("new"u8));
        Assert.That(File.ReadAllText(path), Is.EqualTo("new"));
    }

    [Test]
    public void A_target_that_is_a_folder_leaves_nothing_behind()
    {
        var path = Path.Combine(_folder, "x");
        Directory.CreateDirectory(path);
        Assert.That(() => AtomicFile.Write(path, stream => stream.WriteByte(1)), Throws.InstanceOf<IOException>().Or.TypeOf<UnauthorizedAccessException>());
        Assert.That(Directory.EnumerateFiles(_folder), Is.Empty);
    }

    [Test]
    public void An_unfinished_file_is_told_by_its_name()
    {
        var path = Path.Combine(_folder, "x.bin");
        AtomicFile.Write(path, _ => Assert.That(Path.GetFileName(Directory.GetFiles(_folder).Single()), Does.StartWith("x.bin.").And.EndWith(AtomicFile.TemporaryExtension)));
        Assert.That(Directory.GetFiles(_folder), Is.EqualTo(new[] { path }));
    }

    // The second is not there; the third can be opened on Linux, and answers EINVAL.
    [Test]
    public void A_folder_that_cannot_be_synced_is_no_error()
    {
        Assert.That(
            () =>
            {
                AtomicFile.SyncFolder(_folder);
                AtomicFile.SyncFolder(Path.Combine(_folder, "none"));
                AtomicFile.SyncFolder("/proc");
            },
            Throws.Nothing);
    }
}
