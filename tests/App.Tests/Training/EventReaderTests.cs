// Curves as they are read back: over several files, over stops, and from files that end early or are damaged.
using FashionFlow.App.Training.Events;

namespace FashionFlow.App.Tests.Training;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class EventReaderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _notes = [];

    public void Dispose() => _folder.Dispose();

    [Test]
    public void What_was_written_is_read_by_name_and_step()
    {
        using (var writer = EventWriter.Create(_folder.Path))
        {
            for (var step = 1; step <= 5; step++)
            {
                writer.AddScalar("training/loss", 1.0 / step, step);
                writer.AddScalar("größe", step == 3 ? double.NaN : -step, step);
                writer.AddPicture("sample", TestPictures.TwoFrameGif(), step);
            }

            // The writer is still at it.
            var curves = Read();
            Assert.That(curves.Keys, Is.EquivalentTo(new[] { "training/loss", "größe" }));
            Assert.That(curves["training/loss"], Is.EqualTo(Enumerable.Range(1, 5).Select(step => new ScalarPoint(step, (float)(1.0 / step)))));
            Assert.That(curves["größe"].Select(p => p.Value), Is.EqualTo(new[] { -1, -2, double.NaN, -4, -5 }));
        }

        Assert.That(_notes, Is.Empty);
    }

    [Test]
    public void Steps_after_a_stop_take_the_place_of_the_older_ones()
    {
        // The checkpoint of step 4, then that of step 7: what the first two files say beyond them was lost with the process.
        Write(resumedAt: null, (1, 1), (4, 1), (5, 1), (9, 1));
        Write(resumedAt: 5, (5, 2), (7, 2), (8, 2));
        Write(resumedAt: 8, (10, 3));
        Assert.That(Read()["loss"], Is.EqualTo(Points((1, 1), (4, 1), (5, 2), (7, 2), (10, 3))));
    }

    [Test]
    public void A_run_that_starts_again_from_nothing_leaves_nothing_of_the_old_one()
    {
        Write(resumedAt: null, (1, 1), (2, 1));
        Write(resumedAt: 0, (1, 2));
        Assert.That(Read()["loss"], Is.EqualTo(Points((1, 2))));
    }

    [Test]
    public void Of_two_values_for_a_step_the_later_one_counts()
    {
        Write(resumedAt: null, (1, 1), (2, 1), (3, 1));
        Write(resumedAt: null, (2, 2));
        Assert.That(Read()["loss"], Is.EqualTo(Points((1, 1), (2, 2), (3, 1))));
    }

    // A run that is killed leaves its last record at any length.
    [Test]
    public void A_file_that_ends_anywhere_gives_its_whole_records()
    {
        var path = Write(resumedAt: null, (1, 1), (2, 2), (3, 3));
        var bytes = File.ReadAllBytes(path);
        var ends = Ends(bytes);
        for (var length = 0; length <= bytes.Length; length++)
        {
            File.WriteAllBytes(path, bytes[..length]);
            // The first record is the version's.
            var whole = Math.Max(0, ends.Count(end => end <= length) - 1);
            var curves = Read();
            Assert.That(whole == 0 ? curves.Count : curves["loss"].Count, Is.EqualTo(whole), $"{length} bytes");
        }

        Assert.That(_notes, Is.Empty);
    }

    // Every bit counts, those of lengths and of checksums too.
    [Test]
    public void Damage_is_told_and_what_precedes_it_is_taken()
    {
        var path = Write(resumedAt: null, (1, 1), (2, 2), (3, 3));
        var bytes = File.ReadAllBytes(path);
        var ends = Ends(bytes);
        for (var at = ends[1]; at < ends[2]; at++)
        {
            _notes.Clear();
            var damaged = (byte[])bytes.Clone();
            damaged[at] ^= 0x10;
            File.WriteAllBytes(path, damaged);
            Assert.That(Read()["loss"], Is.EqualTo(Points((1, 1))), $"byte {at}");
            Assert.That(_notes, Is.EqualTo(new[] { $"{path} is damaged; what follows in it is left out" }), $"byte {at}");
        }
    }

    [Test]
    public void A_whole_record_of_something_else_is_damage_and_other_files_are_read()
    {
        var path = Write(resumedAt: null, (1, 1));
        File.AppendAllBytes(path, TfRecord.Frame("no event"u8));
        Write(resumedAt: null, (2, 2));
        File.WriteAllText(_folder["notes.txt"], "no events");
        Assert.That(Read()["loss"], Is.EqualTo(Points((1, 1), (2, 2))));
        Assert.That(_notes, Has.Count.EqualTo(1));
    }

    [Test]
    public void A_folder_without_events_has_no_curves_and_one_that_is_not_there_is_one_clear_line()
    {
        Assert.That(Read(), Is.Empty);
        Assert.That(
            () => EventReader.ReadScalars(_folder["none"], _notes.Add),
            Throws.TypeOf<UserError>().With.Message.StartsWith($"the events in {_folder["none"]} cannot be read: ").And.Property("ExitCode").EqualTo(ExitCode.Input));
    }

    private IReadOnlyDictionary<string, IReadOnlyList<ScalarPoint>> Read() => EventReader.ReadScalars(_folder.Path, _notes.Add);

    private string Write(long? resumedAt, params (long Step, double Value)[] points)
    {
        using var writer = EventWriter.Create(_folder.Path, resumedAt);
        foreach (var (step, value) in points)
        {
            writer.AddScalar("loss", value, step);
        }

        return writer.Path;
    }

    private static IEnumerable<ScalarPoint> Points(params (long Step, double Value)[] points) => points.Select(p => new ScalarPoint(p.Step, p.Value));

    // Where records end: 8 bytes of length, 4 of checksum, the bytes, 4 of checksum.
    private static List<int> Ends(byte[] bytes)
    {
        var ends = new List<int>();
        for (var at = 0; at < bytes.Length; ends.Add(at))
        {
            at += 16 + (int)BitConverter.ToUInt64(bytes, at);
        }

        return ends;
    }
}
