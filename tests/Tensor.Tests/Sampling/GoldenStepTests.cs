// A handful of numbers from the reference itself: its ancestral steps, the noise of its training and its timestep embedding, to
// the last bit where one operation follows another as there.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Sampling;

public class GoldenStepTests
{
    // Elements 2048, 3001, 5555, 9999 and 12287 of golden/schedule.safetensors, sample.t7, t1 and t0, with the tables there.
    private static IEnumerable<TestCaseData> Steps
    {
        get
        {
            yield return new TestCaseData(
                7, new[] { 0.000102410682f, 1.00005114f, 0.0284001771f, 8.94163604e-05f },
                new[] { 0.446202636f, 0.311843365f, -1.19665623f, 0.128161579f, -0.518652856f },
                new[] { -0.946189463f, -1.63784122f, -0.599696577f, -0.956763685f, -0.0895079896f },
                new[] { -0.0173154287f, -0.0132451579f, 0.261337131f, 0.592965484f, -1.02376318f },
                new[] { 0.449473858f, 0.317640394f, -1.1920836f, 0.137225494f, -0.528037369f }).SetArgDisplayNames("t = 7");
            yield return new TestCaseData(
                1, new[] { 0.000100049197f, 1.00005007f, 0.0141454162f, 5.0009694e-05f },
                new[] { 0.429760218f, 0.402207732f, -1.16931891f, 0.16017653f, -0.498857737f },
                new[] { -0.861074746f, -1.69364274f, -0.221730903f, -0.950005174f, -0.0963939354f },
                new[] { 0.889853537f, -0.336869478f, -1.25400972f, -0.36447534f, -0.0922036693f },
                new[] { 0.442165166f, 0.41182521f, -1.17667711f, 0.164326698f, -0.498852938f }).SetArgDisplayNames("t = 1");
            yield return new TestCaseData(
                0, new[] { 9.99999975e-05f, 1.00004995f, 0.0100008296f, 0f },
                new[] { 0.442165166f, 0.41182521f, -1.17667711f, 0.164326698f, -0.498852938f },
                new[] { -0.711650133f, -1.89100051f, -0.428646773f, -0.947848976f, -0.160917521f },
                new[] { float.NaN, float.NaN, float.NaN, float.NaN, float.NaN },
                new[] { 0.449303508f, 0.430755168f, -1.17244947f, 0.17381309f, -0.497268736f }).SetArgDisplayNames("t = 0, noise not read");
        }
    }

    [TestCaseSource(nameof(Steps))]
    public void An_ancestral_step_has_the_reference_s_bits(int t, float[] tables, float[] x, float[] eps, float[] noise, float[] expected)
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            Tensor Video(float[] values) => Tensor.FromArray<float>(context, values, [1, 1, 1, 5, 1]);
            Tensor Table(int index) => Tensor.FromArray<float>(context, [.. Enumerable.Range(0, 8).Select(i => i == t ? tables[index] : float.NaN)], [8]);
            var step = Tensor.FromArray<int>(context, [t], [1]);
            var y = Ops.DdpmStep(Video(x), Video(eps), Video(noise), step, new DdpmTables(Table(0), Table(1), Table(2), Table(3)));
            Assert.That(y.ToArray<float>(), Is.EqualTo(expected));
        });

    // Elements 5 (of frame 0), 2048, 3001, 9999 and 12287 of both videos in golden/schedule.safetensors, train, with the tables there.
    [Test]
    public void A_noisy_video_has_the_reference_s_bits_and_its_target_is_the_noise()
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            Tensor Videos(params float[] values) => Tensor.FromArray<float>(context, values, [2, 5, 1, 1, 1]);
            Tensor Table(float at40, float at613)
                => Tensor.FromArray<float>(context, [.. Enumerable.Range(0, 1000).Select(t => t == 40 ? at40 : t == 613 ? at613 : float.NaN)], [1000]);
            float[] noise =
            [
                -0.118335836f, 0.867709219f, -1.52680278f, -0.318524539f, -1.1190747f,
                -0.814989746f, 0.356220961f, -0.637639225f, -0.455936611f, -0.118688591f,
            ];
            var (noisy, target) = Ops.AddNoise(
                Videos(
                    -1.16072679f, 0.392037034f, 0.721884191f, 0.725563645f, -0.600214303f,
                    0.75545764f, -0.893172383f, 0.236433521f, -0.588543713f, 0.786234677f),
                Videos(noise),
                Tensor.FromArray<int>(context, [613, 40], [2]),
                new NoisingTables(Table(0.997409046f, 0.200211778f), Table(0.0719386786f, 0.97975266f)));
            float[] expected =
            [
                -1.16072679f, 0.928630829f, -1.35135937f, -0.166808873f, -1.21658647f,
                0.75545764f, -0.86523217f, 0.189950019f, -0.61981833f, 0.775659263f,
            ];
            Assert.That(noisy.ToArray<float>(), Is.EqualTo(expected));
            Assert.That(target.ToArray<float>(), Is.EqualTo(noise.Select((value, i) => i % 5 == 0 ? 0 : value)));
        });

    /// <summary>
    /// Elements of the last row (t = 999) of case sinpos_64 in golden/layers.safetensors, among them the three whose frequency
    /// PyTorch's exp rounds away from the exact value. Within 2.4e-7: two sines, each 2 ulp off at most (1 ulp = 6e-8 below 1).
    /// </summary>
    [Test]
    public void The_timestep_embedding_follows_the_reference_s_rounding()
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            var row = Ops.TimestepEmbedding(Tensor.FromArray<float>(context, [999], [1]), 64).ToArray<float>();
            int[] columns = [0, 1, 7, 22, 29, 32, 33, 39, 54, 61];
            float[] expected =
            [
                -0.0264607519f, 0.720886767f, -0.736418486f, 0.99250555f, 0.179993361f, 0.999649823f, 0.693052828f, 0.676526308f, 0.122199431f, 0.98366785f,
            ];
            Assert.That(columns.Select(column => row[column]), Is.EqualTo(expected).Within(2.4e-7f));
        });

    [Test]
    public void The_first_frame_of_every_video_is_put_back()
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            var video = Ops.Randn(context, [2, 3, 4, 4, 4], seed: 1, "video");
            var picture = Ops.Randn(context, [2, 1, 4, 4, 4], seed: 1, "picture");
            Ops.PutFirstFrame(video, picture);
            var values = video.ToArray<float>();
            var expected = picture.ToArray<float>();
            Assert.That(values[..64], Is.EqualTo(expected[..64]));
            Assert.That(values[192..256], Is.EqualTo(expected[64..]));
        });
}
