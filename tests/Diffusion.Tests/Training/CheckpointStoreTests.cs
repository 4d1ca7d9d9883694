// Checkpoints on disk: there whole or not at all, the newest whole one found, the old ones gone.
using FashionFlow.Diffusion.Training;

namespace FashionFlow.Tests.Training;

[TestFixture]
public sealed class CheckpointStoreTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void Make() => _folder = new TemporaryFolder();

    [TearDown]
    public void Remove() => _folder.Dispose();

    [Test]
    public void A_checkpoint_is_found_with_what_was_written()
    {
        var store = new CheckpointStore(_folder["c"], keep: 2);
        Assert.That((store.FindLatest(), store.Any, Directory.Exists(_folder["c"])), Is.EqualTo(((StoredCheckpoint?)null, false, false)));
        var path = store.Save(7, Writes("seven"));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(path, Is.EqualTo(_folder["c/step-00000007"]));
            Assert.That(store.FindLatest(), Is.EqualTo(new StoredCheckpoint(7, path)));
            Assert.That(Directory.EnumerateFiles(path).Select(Path.GetFileName), Is.EquivalentTo(new[] { "a", "b", CheckpointStore.ManifestName }));
            Assert.That(File.ReadAllText(Path.Combine(path, "a")), Is.EqualTo("seven"));
        }
    }

    [Test]
    public void The_newest_are_kept_whatever_their_number_of_digits()
    {
        var store = new CheckpointStore(_folder.Path, keep: 3);
        foreach (var step in new long[] { 5, 99_999_999, 100_000_000, 1_000_000_000 })
        {
            store.Save(step, Writes($"{step}"));
        }

        Assert.That(store.Steps(), Is.EqualTo(new long[] { 1_000_000_000, 100_000_000, 99_999_999 }));
        Assert.That(_folder.Names, Has.Length.EqualTo(3));
        Assert.That(() => new CheckpointStore(_folder.Path, keep: 0), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Nothing_is_left_of_one_that_could_not_be_written()
    {
        var store = new CheckpointStore(_folder.Path, keep: 1);
        store.Save(1, Writes("one"));
        Assert.That(() => store.Save(2, folder =>
        {
            Writes("two")(folder);
            throw new IOException("no space");
        }), Throws.TypeOf<IOException>());
        using (Assert.EnterMultipleScope())
        {
            Assert.That(_folder.Names, Is.EqualTo(new[] { "step-00000001" }));
            Assert.That(store.FindLatest(Assert.Fail)!.Step, Is.EqualTo(1));
        }
    }

    [Test]
    public void A_process_that_dies_while_writing_leaves_what_is_ignored_and_then_removed()
    {
        var store = new CheckpointStore(_folder.Path, keep: 2);
        store.Save(1, Writes("one"));

        // What the folder looks like at any moment of a save that never ended, or of a removal.
        Directory.CreateDirectory(_folder["step-00000002.0123456789abcdef0123456789abcdef.tmp"]);
        Directory.CreateDirectory(_folder["step-00000009.0123456789abcdef0123456789abcdef.tmp"]);
        Writes("nine")(_folder["step-00000009.0123456789abcdef0123456789abcdef.tmp"]);
        Assert.That(store.FindLatest(Assert.Fail)!.Step, Is.EqualTo(1));
        store.Save(2, Writes("two"));
        Assert.That(_folder.Names, Is.EqualTo(new[] { "step-00000001", "step-00000002" }));
    }

    [TestCase("a bit flipped", "a is not what manifest.json says")]
    [TestCase("a file cut short", "a is not what manifest.json says")]
    [TestCase("a file gone", "Could not find file")]
    [TestCase("no manifest", "Could not find file")]
    [TestCase("half a manifest", "")]
    [TestCase("a manifest of something else", "")]
    public void A_damaged_one_is_told_and_passed_over(string what, string message)
    {
        var store = new CheckpointStore(_folder.Path, keep: 3);
        store.Save(1, Writes("one"));
        store.Save(2, Writes("two"));
        var damaged = store.Save(3, Writes("three"));
        var (file, manifest) = (Path.Combine(damaged, "a"), Path.Combine(damaged, CheckpointStore.ManifestName));
        switch (what)
        {
            case "a bit flipped":
                var bytes = File.ReadAllBytes(file);
                bytes[2] ^= 1;
                File.WriteAllBytes(file, bytes);
                break;
            case "a file cut short":
                File.WriteAllText(file, "thre");
                break;
            case "a file gone":
                File.Delete(file);
                break;
            case "no manifest":
                File.Delete(manifest);
                break;
            case "half a manifest":
                File.WriteAllText(manifest, File.ReadAllText(manifest)[..20]);
                break;
            default:
                File.WriteAllText(manifest, "[1]");
                break;
        }

        var lines = new List<string>();
        Assert.That(store.FindLatest(lines.Add)!.Step, Is.EqualTo(2));
        Assert.That(lines, Has.One.Contains($"{damaged} is passed over: {message}"));

        // Made again, it takes the damaged one's place.
        store.Save(3, Writes("three again"));
        Assert.That(store.FindLatest(Assert.Fail)!.Step, Is.EqualTo(3));
        Assert.That(File.ReadAllText(file), Is.EqualTo("three again"));
        Assert.That(_folder.Names, Is.EqualTo(new[] { "step-00000001", "step-00000002", "step-00000003" }));
    }

    [Test]
    public void With_all_damaged_there_is_none_but_there_was_one()
    {
        var store = new CheckpointStore(_folder.Path, keep: 3);
        File.WriteAllText(Path.Combine(store.Save(1, Writes("one")), "b"), "?");
        Assert.That((store.FindLatest(), store.Any), Is.EqualTo(((StoredCheckpoint?)null, true)));
    }

    [Test]
    public void A_step_that_is_there_whole_is_left_as_it_is()
    {
        var store = new CheckpointStore(_folder.Path, keep: 3);
        var path = store.Save(1, Writes("one"));
        Assert.That(store.Save(1, _ => Assert.Fail("it is there")), Is.EqualTo(path));
        Assert.That(File.ReadAllText(Path.Combine(path, "a")), Is.EqualTo("one"));
    }

    [Test]
    public void Other_folders_are_none_of_its_business()
    {
        Directory.CreateDirectory(_folder["step-best"]);
        Directory.CreateDirectory(_folder["notes"]);
        var store = new CheckpointStore(_folder.Path, keep: 1);
        store.Save(1, Writes("one"));
        store.Save(2, Writes("two"));
        Assert.That(_folder.Names, Is.EqualTo(new[] { "notes", "step-00000002", "step-best" }));
    }

    private static Action<string> Writes(string text) => folder =>
    {
        File.WriteAllText(Path.Combine(folder, "a"), text);
        File.WriteAllText(Path.Combine(folder, "b"), $"b of {text}");
    };
}
