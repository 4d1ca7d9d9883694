// The drawn data set: what is the same, what differs, and that the files hold what was drawn.
using System.Text.Json;
using CsCheck;
using FashionFlow.App.Commands;
using FashionFlow.App.Garments;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class GarmentTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static readonly (int Width, int Height)[] Sizes = [(64, 96), (60, 75), (96, 64), (40, 96)];

    private static readonly Gen<Garment> AnyGarment =
        Gen.Select(Gen.ULong, Gen.Bool.Select(held => held ? GarmentSet.TestSplit : GarmentSet.TrainSplit), Gen.Int[1, 100_000], Garment.Design);

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_picture_depends_on_garment_size_and_time_alone() =>
        Gen.Select(AnyGarment, Gen.Int[16, 70], Gen.Int[16, 70], Gen.Int[0, 15]).Sample(
            (garment, width, height, frame) => GarmentPicture.Draw(garment, width, height, Motion.OfFrame(frame)).Data
                .AsSpan().SequenceEqual(GarmentPicture.Draw(garment with { }, width, height, Motion.OfFrame(frame)).Data),
            iter: 20,
            threads: 1);

    // The sine of 2 pi is not quite zero in floating point, which moves an edge by 1e-16 metres: no byte of any picture here.
    [Test]
    public void After_two_seconds_the_motion_starts_anew() =>
        AnyGarment.Sample(
            garment => Draw(garment, 16).Data.AsSpan().SequenceEqual(Draw(garment, 0).Data) && !Draw(garment, 4).Data.AsSpan().SequenceEqual(Draw(garment, 0).Data),
            iter: 10,
            threads: 1);

    // Where nothing moves, the backdrop is: the same in every frame.
    [Test]
    public void A_figure_stays_within_the_picture() =>
        Gen.Select(AnyGarment, Gen.Int[0, 3].Select(i => Sizes[i])).Sample(
            (garment, size) =>
            {
                var frames = Enumerable.Range(0, 8).Select(i => GarmentPicture.Draw(garment, size.Width, size.Height, Motion.OfFrame(2 * i))).ToArray();
                return Array.TrueForAll(frames, frame => Border(frame).SequenceEqual(Border(frames[0])));
            },
            iter: 20,
            threads: 1);

    [Test]
    public void The_first_frame_shows_the_front_and_the_next_ones_turn()
    {
        var yaws = Enumerable.Range(0, 17).Select(frame => Motion.OfFrame(frame).Yaw() * 180 / Math.PI).ToArray();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(yaws[0], Is.Zero);
            Assert.That(yaws[4], Is.EqualTo(42).Within(1e-9));
            Assert.That(yaws[12], Is.EqualTo(-42).Within(1e-9));
            Assert.That(yaws[16], Is.Zero.Within(1e-9));
        }

        // A print on the chest moves with the turn: its pixels are found by their colour.
        var garment = Garment.Design(0, GarmentSet.TestSplit, 1) with { Print = Print.Disc, PrintColour = new(1, 0, 0), Upper = new Cloth(Pattern.Plain, new(0, 0, 1), new(0, 0, 1), 8), Buttons = null, Cut = Cut.Skirt };
        Assert.That(new[] { 12, 14, 0, 2, 4 }.Select(frame => Centre(Draw(garment, frame))), Is.Ordered.Ascending);

        static double Centre(Rgb8Image picture)
        {
            var red = Enumerable.Range(0, picture.Width * picture.Height).Where(i => picture.Data[i * 3] > 90 && picture.Data[(i * 3) + 1] < 40 && picture.Data[(i * 3) + 2] < 40).ToArray();
            Assert.That(red, Has.Length.GreaterThan(8));
            return red.Average(i => i % picture.Width);
        }
    }

    // What a turn uncovers: the side that turns to the camera shows more of its half of the cloth.
    [Test]
    public void Cloth_turns_with_the_figure()
    {
        var garment = Garment.Design(0, GarmentSet.TestSplit, 1) with { Cut = Cut.Dress, Upper = new Cloth(Pattern.TwoTone, new(1, 0, 0), new(0, 0, 1), 2), Belt = null, Buttons = null, Print = Print.None };
        var (right, front, left) = (Reds(4), Reds(0), Reds(12));
        Assert.That((right > front, front > left), Is.EqualTo((true, true)), $"{right}, {front}, {left}");

        double Reds(int frame)
        {
            var data = Draw(garment, frame).Data;
            return Enumerable.Range(0, data.Length / 3).Count(i => data[i * 3] > 100 && data[(i * 3) + 1] < 30 && data[(i * 3) + 2] < 30);
        }
    }

    [Test]
    public void A_picture_is_bright_at_its_border_and_has_a_figure_in_its_middle() =>
        AnyGarment.Sample(
            garment =>
            {
                var picture = Draw(garment, 0);
                var (corner, chest) = (picture[2, 2].ToArray(), picture[picture.Width / 2, 60].ToArray());
                return corner.Min() > 150 && corner.Zip(chest).Any(pair => Math.Abs(pair.First - pair.Second) > 8);
            },
            iter: 30,
            threads: 1);

    [Test]
    public void No_garment_comes_twice_and_every_choice_comes()
    {
        var train = Enumerable.Range(1, 2000).Select(i => Garment.Design(0, GarmentSet.TrainSplit, i)).ToArray();
        var test = Enumerable.Range(1, 200).Select(i => Garment.Design(0, GarmentSet.TestSplit, i)).ToArray();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(train.Concat(test).Distinct().Count(), Is.EqualTo(2200));
            // One distribution: what the training set has, the test set has too.
            foreach (var garments in new[] { train, test })
            {
                Assert.That(garments.Select(g => g.Cut).Distinct(), Is.EquivalentTo(Enum.GetValues<Cut>()));
                Assert.That(garments.Select(g => g.Sleeves).Distinct(), Is.EquivalentTo(Enum.GetValues<Sleeves>()));
                Assert.That(garments.Select(g => g.Neckline).Distinct(), Is.EquivalentTo(Enum.GetValues<Neckline>()));
                Assert.That(garments.Select(g => g.Upper.Pattern).Distinct(), Is.EquivalentTo(Enum.GetValues<Pattern>()));
                Assert.That(garments.Select(g => g.Print).Distinct(), Is.EquivalentTo(Enum.GetValues<Print>()));
                Assert.That(garments.Select(g => g.Hair).Distinct(), Is.EquivalentTo(Enum.GetValues<Hair>()));
                Assert.That(garments.Select(g => g.Skin).Distinct().Count(), Is.EqualTo(7));
                Assert.That(garments.Count(g => g.Belt is not null), Is.GreaterThan(garments.Length / 10));
            }
        }
    }

    [Test]
    public void Files_hold_what_was_drawn_and_the_list_says_what_it_was()
    {
        var set = new GarmentSet(Seed: 5, Train: 2, Test: 1, Frames: 3, Width: 30, Height: 45);
        var bytes = set.Write(_folder["set"], overwrite: false, threads: 2, Quiet(), CancellationToken.None);
        Assert.That(Files(), Is.EqualTo(new[] { "garments.json", "test/garment_0001.mp4", "train/garment_0001.mp4", "train/garment_0002.mp4" }));
        using var stream = File.OpenRead(_folder["set/garments.json"]);
        var list = JsonSerializer.Deserialize(stream, GarmentJson.Readable.GarmentList)!;
        using (Assert.EnterMultipleScope())
        {
            Assert.That((list.Seed, list.Frames, list.FramesPerSecond, list.Width, list.Height), Is.EqualTo((5UL, 3, 8, 30, 45)));
            Assert.That(list.Garments.Select(g => g.Clip), Is.EqualTo(new[] { "train/garment_0001.mp4", "train/garment_0002.mp4", "test/garment_0001.mp4" }));
            Assert.That(bytes, Is.EqualTo(list.Garments.Sum(g => new FileInfo(_folder[$"set/{g.Clip}"]).Length)));
            foreach (var (clip, garment) in list.Garments)
            {
                var drawn = Enumerable.Range(0, 3).SelectMany(frame => GarmentPicture.Draw(garment, 30, 45, Motion.OfFrame(frame)).Data);
                Assert.That(MediaWriterTests.Decode(_folder[$"set/{clip}"]), Is.EqualTo(drawn), clip);
                Assert.That(MediaWriterTests.Probe(_folder[$"set/{clip}"], "stream=codec_name,width,height,r_frame_rate,nb_read_frames"), Is.EqualTo("h264,30,45,8/1,3"));
            }
        }

        // A larger set starts with the smaller one's clips, whatever the number of threads; an earlier set goes as a whole.
        var first = File.ReadAllBytes(_folder["set/train/garment_0001.mp4"]);
        (set with { Train = 1, Test = 0 }).Write(_folder["set"], overwrite: true, threads: 1, Quiet(), CancellationToken.None);
        Assert.That(Files(), Is.EqualTo(new[] { "garments.json", "train/garment_0001.mp4" }));
        Assert.That(File.ReadAllBytes(_folder["set/train/garment_0001.mp4"]), Is.EqualTo(first));

        string[] Files() => [.. Directory.EnumerateFiles(_folder["set"], "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(_folder["set"], f)).Order(StringComparer.Ordinal)];
    }

    [Test]
    public void A_folder_with_anything_else_in_it_is_kept()
    {
        var set = new GarmentSet(0, Train: 1, Test: 0, Frames: 1, Width: 16, Height: 16);
        set.Write(_folder["set"], overwrite: false, threads: 1, Quiet(), CancellationToken.None);
        var list = File.ReadAllBytes(_folder["set/garments.json"]);
        Assert.That(
            Assert.Throws<UserError>(() => set.Write(_folder["set"], overwrite: false, threads: 1, Quiet(), CancellationToken.None))!.Message,
            Is.EqualTo($"{_folder["set"]} holds garments already, and they are kept"));
        File.WriteAllText(_folder["set/train/thesis.txt"], "years of work");
        Assert.That(
            Assert.Throws<UserError>(() => set.Write(_folder["set"], overwrite: true, threads: 1, Quiet(), CancellationToken.None))!.Message,
            Is.EqualTo($"{_folder["set"]} holds more than drawn garments: train/thesis.txt; it is kept"));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(File.ReadAllText(_folder["set/train/thesis.txt"]), Is.EqualTo("years of work"));
            Assert.That(File.ReadAllBytes(_folder["set/garments.json"]), Is.EqualTo(list));
            Assert.That(Assert.Throws<UserError>(() => set.Write(_folder["set/garments.json"], overwrite: true, threads: 1, Quiet(), CancellationToken.None))!.Message, Does.Contain("is a file"));
        }
    }

    [Test]
    public void A_stopped_set_leaves_whole_clips_and_no_list()
    {
        using var source = new CancellationTokenSource();
        source.Cancel();
        Assert.That(
            () => new GarmentSet(0, Train: 4, Test: 0, Frames: 2, Width: 16, Height: 16).Write(_folder["set"], overwrite: false, threads: 2, Quiet(), source.Token),
            Throws.InstanceOf<OperationCanceledException>());
        Assert.That(Directory.EnumerateFiles(_folder["set"], "*", SearchOption.AllDirectories), Is.Empty);
    }

    [Test]
    public void The_demo_s_garment_is_held_out_and_never_changes()
    {
        Assert.That(DemoCommand.GarmentOfTheDemo, Is.EqualTo(Garment.Design(0, GarmentSet.TestSplit, 7)));
        // A dress in violet checks: what the README shows.
        Assert.That((DemoCommand.GarmentOfTheDemo.Cut, DemoCommand.GarmentOfTheDemo.Upper.Pattern), Is.EqualTo((Cut.Dress, Pattern.Checks)));
    }

    [Test]
    public void Colours_have_names_of_six_digits()
    {
        Gen.Select(Gen.Double[0, 1], Gen.Double[0, 1], Gen.Double[0, 1]).Sample((h, s, l) => Vector.FromHsl(h, s, l) is var colour && Vector.FromHex(colour.ToHex()) == colour, threads: 1);
        using (Assert.EnterMultipleScope())
        {
            // CSS Color Module Level 4: hsl(120 100% 25%) is green, hsl(0 0% 50%) grey, hsl(30 100% 50%) orange.
            Assert.That(Vector.FromHsl(1 / 3.0, 1, 0.25).ToHex(), Is.EqualTo("#008000"));
            Assert.That(Vector.FromHsl(0.7, 0, 0.5).ToHex(), Is.EqualTo("#808080"));
            Assert.That(Vector.FromHsl(30 / 360.0, 1, 0.5).ToHex(), Is.EqualTo("#ff8000"));
            Assert.That(() => Vector.FromHex("green"), Throws.TypeOf<FormatException>());
        }
    }

    [Test]
    public void An_outline_passes_its_points_and_stays_between_them()
    {
        var outline = new Outline((0, 1), (1, 3), (2, 3), (4, 0));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(new[] { -1.0, 0, 1, 2, 4, 9 }.Select(at => outline[at]), Is.EqualTo(new[] { 1.0, 1, 3, 3, 0, 0 }));
            // What is beyond is the rounding of numbers up to 3.
            Assert.That(Enumerable.Range(0, 401).Select(i => outline[i / 100.0]), Is.All.InRange(-1e-15, 3 + 1e-15));
            Assert.That(Enumerable.Range(100, 101).Select(i => outline[i / 100.0]), Is.All.EqualTo(3.0).Within(1e-15));
        }
    }

    private static Rgb8Image Draw(Garment garment, int frame) => GarmentPicture.Draw(garment, 64, 96, Motion.OfFrame(frame));

    private static Screen Quiet() => new() { IsQuiet = true };

    private static byte[] Border(Rgb8Image picture) =>
    [
        .. picture.Row(0), .. picture.Row(picture.Height - 1),
        .. Enumerable.Range(0, picture.Height).SelectMany(y => picture[0, y].ToArray().Concat(picture[picture.Width - 1, y].ToArray())),
    ];
}
