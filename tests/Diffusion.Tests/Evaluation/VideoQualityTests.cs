// Measures of whole videos, and whether each is recognised as its own garment: cases that can be counted on the fingers.
using CsCheck;
using FashionFlow.Diffusion.Evaluation;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.Diffusion.Tests.Evaluation;

public class VideoQualityTests
{
    private static readonly Gen<float[][]> AnyFeatures = Gen.Select(Gen.Int[1, 8], Gen.Int[2, 6])
        .SelectMany((count, length) => Gen.Int[-9, 9].Select(x => (float)x).Array[length].Where(v => v.Any(x => x != 0)).Array[count]);

    [Test]
    public void Steps_are_what_changes_from_frame_to_frame()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(VideoQuality.Steps([Flat(10), Flat(13), Flat(13), Flat(9)]), Is.EqualTo(new[] { 3.0, 0, 4 }));
            Assert.That(VideoQuality.Steps([Flat(10)]), Is.Empty);
            Assert.That(() => VideoQuality.Steps([]), Throws.ArgumentException);
        }
    }

    [Test]
    public void A_video_s_psnr_is_that_of_its_mean_error()
    {
        // Errors of 0, 3 and 4 levels: mean squares of 25 / 3, or without the first frame 25 / 2.
        Rgb8Image[] truth = [Flat(100), Flat(100), Flat(100)], frames = [Flat(100), Flat(103), Flat(96)];
        var all = VideoQuality.Compare(frames, truth);
        var rest = VideoQuality.Compare(frames, truth, skip: 1);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(all.Psnr, Is.EqualTo(10 * Math.Log10(65025 * 3 / 25.0)).Within(1e-12));
            Assert.That(rest.Psnr, Is.EqualTo(10 * Math.Log10(65025 * 2 / 25.0)).Within(1e-12));
            Assert.That(rest.FramePsnr, Is.EqualTo(new[] { 10 * Math.Log10(65025 / 9.0), 10 * Math.Log10(65025 / 16.0) }).Within(1e-12));
            Assert.That(all.FramePsnr[0], Is.EqualTo(double.PositiveInfinity));
            Assert.That(rest.Ssim, Is.EqualTo(rest.FrameSsim.Average()));
            Assert.That((all.Step, all.TrueStep), Is.EqualTo((5.0, 0.0)), "steps of 3 and 7");
            Assert.That((rest.Step, rest.TrueStep), Is.EqualTo((5.0, 0.0)), "the first step leads to the first frame that counts");
            Assert.That(() => VideoQuality.Compare(frames, truth[..2]), Throws.ArgumentException);
            Assert.That(() => VideoQuality.Compare(frames, truth, skip: 3), Throws.ArgumentException);
        }
    }

    [Test]
    public void A_query_finds_its_own_entry_where_it_is_the_nearest_in_direction()
    {
        float[][] gallery = [[1, 0], [0, 1], [1, 1]];
        // The third query is nearest to the first entry, then to the third, then to the second.
        var result = IdentityRetrieval.Rank([[5, 1], [0, 0.1f], [9, 1], [9, 1]], gallery, [0, 1, 2, 1]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Ranks, Is.EqualTo(new[] { 1, 1, 2, 3 }));
            Assert.That(result.TopOne, Is.EqualTo(0.5));
            Assert.That(result.MeanReciprocalRank, Is.EqualTo((1 + 1 + (1 / 2.0) + (1 / 3.0)) / 4).Within(1e-15));
        }
    }

    [Test]
    public void Features_that_are_all_alike_retrieve_nothing() =>
        Assert.That(IdentityRetrieval.Rank([[1, 2]], [[1, 2], [1, 2], [1, 2]], [0]).Ranks, Is.EqualTo(new[] { 3 }));

    [Test]
    public void What_is_in_the_gallery_finds_itself() =>
        AnyFeatures.Where(DirectionsDiffer).Sample(
            features => IdentityRetrieval.Rank(features, features, [.. Enumerable.Range(0, features.Length)]).TopOne == 1,
            iter: 200,
            threads: 1);

    // Doubling is exact, so that not even rounding tells the two apart.
    [Test]
    public void Only_directions_count() =>
        Gen.Select(AnyFeatures, Gen.Int[0, 7]).Sample(
            (features, number) =>
            {
                var own = number % features.Length;
                return IdentityRetrieval.Rank([features[0]], features, [own]).Ranks[0]
                    == IdentityRetrieval.Rank([Double(features[0])], [.. features.Select(Double)], [own]).Ranks[0];
            },
            iter: 200,
            threads: 1);

    [Test]
    public void Features_that_do_not_fit_are_refused()
    {
        float[] one = [1, 0];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => IdentityRetrieval.Rank([], [one], []), Throws.ArgumentException);
            Assert.That(() => IdentityRetrieval.Rank([one], [one], [0, 0]), Throws.ArgumentException);
            Assert.That(() => IdentityRetrieval.Rank([one], [one], [1]), Throws.ArgumentException.With.Message.StartsWith("An own entry is not one of the gallery's 1."));
            Assert.That(() => IdentityRetrieval.Rank([one], [one], [-1]), Throws.ArgumentException);
            Assert.That(() => IdentityRetrieval.Rank([one], [[1, 0, 0]], [0]), Throws.ArgumentException.With.Message.StartsWith("A vector has 3 elements, the first one 2."));
            Assert.That(() => IdentityRetrieval.Rank([[0, 0]], [one], [0]), Throws.ArgumentException.With.Message.StartsWith("A vector is zero or not finite"));
            Assert.That(() => IdentityRetrieval.Rank([one], [[float.NaN, 1]], [0]), Throws.ArgumentException);
        }
    }

    private static float[] Double(float[] vector) => Array.ConvertAll(vector, x => 2 * x);

    // Cauchy and Schwarz, exact in whole numbers: less than the product of the norms unless one is a multiple of the other.
    private static bool DirectionsDiffer(float[][] features) =>
        features.Select((v, i) => (v, i)).All(a => features.Take(a.i).All(w => Dot(a.v, w) < 0 || Dot(a.v, w) * Dot(a.v, w) < Dot(a.v, a.v) * Dot(w, w)));

    private static double Dot(float[] a, float[] b) => a.Zip(b, (x, y) => x * y).Sum();

    private static Rgb8Image Flat(byte level)
    {
        var picture = new Rgb8Image(11, 12);
        Array.Fill(picture.Data, level);
        return picture;
    }
}
