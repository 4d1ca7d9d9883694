// A run's folder is one process's at a time, and nobody's once that process is gone, however it went.
using System.Diagnostics;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;

namespace FashionFlow.Tests.Training;

[TestFixture]
public sealed class RunFolderTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void Make() => _folder = new TemporaryFolder();

    [TearDown]
    public void Remove() => _folder.Dispose();

    [Test]
    public void A_second_one_is_refused_by_a_line_that_names_the_process()
    {
        using (var run = RunFolder.Open(_folder["run"]))
        {
            Begin(run);
            var error = Assert.Throws<ModelException>(() => RunFolder.Open(_folder["run"]))!;
            Assert.That(error.Message, Is.EqualTo($"{_folder["run"]}: another process trains in this folder (process {Environment.ProcessId}); wait for it or give another folder"));
        }

        RunFolder.Open(_folder["run"]).Dispose();
    }

    [Test]
    public void Another_process_is_named_and_its_death_gives_the_lock_back()
    {
        using (var run = RunFolder.Open(_folder["run"]))
        {
            Begin(run);
        }

        // The lock is flock's: what another program holds counts, as another training's does.
        using var other = Process.Start(new ProcessStartInfo("flock", [_folder["run/run.lock"], "sh", "-c", "echo $$ > run.pid; echo held; exec sleep 60"])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            WorkingDirectory = _folder["run"],
        })!;
        try
        {
            Assert.That(other.StandardOutput.ReadLine(), Is.EqualTo("held"));
            var pid = int.Parse(File.ReadAllText(_folder["run/run.pid"]), System.Globalization.CultureInfo.InvariantCulture);
            Assert.That(() => RunFolder.Open(_folder["run"]), Throws.TypeOf<ModelException>().With.Message.Contains($"(process {pid})").And.Message.Not.Contains("\n"));
            using var holder = Process.GetProcessById(pid);
            holder.Kill();
            holder.WaitForExit();
        }
        finally
        {
            other.Kill(entireProcessTree: true);
            other.WaitForExit();
        }

        RunFolder.Open(_folder["run"]).Dispose();
    }

    [Test]
    public void A_run_that_never_began_leaves_nothing_and_one_that_did_leaves_all()
    {
        RunFolder.Open(_folder["new/deep/run"]).Dispose();
        Assert.That(_folder.Names, Is.Empty);

        Directory.CreateDirectory(_folder["mine"]);
        File.WriteAllText(_folder["mine/notes.txt"], "mine");
        RunFolder.Open(_folder["mine"]).Dispose();
        Assert.That(Directory.EnumerateFileSystemEntries(_folder["mine"]), Is.EqualTo(new[] { _folder["mine/notes.txt"] }));

        using (var run = RunFolder.Open(_folder["new/run"]))
        {
            Begin(run);
        }

        Assert.That(File.Exists(_folder["new/run/training.json"]));
    }

    [Test]
    public void A_place_that_cannot_be_written_is_one_clear_line()
    {
        File.WriteAllText(_folder["file"], "");
        foreach (var path in new[] { _folder["file"], _folder["file/run"] })
        {
            Assert.That(() => RunFolder.Open(path), Throws.TypeOf<ModelException>().With.Message.StartsWith($"{path} cannot be written: ").And.Message.Not.Contains("\n"));
        }
    }

    private static void Begin(RunFolder run) => File.WriteAllText(run.Settings, "{}");
}
