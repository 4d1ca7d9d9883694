// The CUDA device, cuBLAS and cuDNN over the stand-ins of tests/native, and proof that the stand-ins see what is done wrong: each
// mistake is planted, and must be named. A process a probe, since native libraries are looked up once a process.
using FashionFlow.StandIns;

namespace FashionFlow.Gpu.Tests.Libraries;

public sealed class StandInTests
{
    public static IEnumerable<string> Mistakes => StandInLibrary.CanBuild ? StandInProbe.Mistakes.Keys : [];

    public static IEnumerable<string> Probes => StandInLibrary.CanBuild ? ["products", "convolutions", "determinism", "without"] : [];

    [TestCaseSource(nameof(Mistakes))]
    public async Task What_is_done_wrong_is_named(string mistake)
    {
        var said = (await ProbeProcess.RunAsync(["stand-ins", mistake])).Split('\n');
        var (_, result, misuse) = StandInProbe.Mistakes[mistake];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(said[0], Is.EqualTo($"{result}"));
            Assert.That(said[1], Does.Match($"^{misuse}$"));
            Assert.That(said[2..], Is.EqualTo((string[])["0 alive"]));
        }
    }

    [TestCaseSource(nameof(Probes))]
    public async Task The_bindings_compute_and_leave_nothing(string probe)
        => Assert.That(await ProbeProcess.RunAsync(["stand-ins", probe]), Is.EqualTo("as it should be\n0 alive"));
}
