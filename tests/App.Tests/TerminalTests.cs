// What a person at a terminal sees, through a terminal that the system's "script" makes: a bar with step, speed, time left and
// memory; no colour under NO_COLOR; Ctrl-C; and completion by the shell itself.
namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class TerminalTests : IDisposable
{
    // 24-bit, 256-colour and 8-colour settings of foreground and background (ECMA-48, SGR).
    private const string Colour = @"\x1B\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;\d+)*m";

    private readonly TemporaryFolder _folder = new();

    public TerminalTests() => WorkFolder.Prepare(_folder);

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_bar_shows_step_speed_time_left_and_memory()
    {
        var seen = OnTerminal("fashionflow generate dress.jpg -o out.mp4 -m tiny --steps 40 -d virtual");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(seen, Does.Match(@"sample video +.*step \d+/40, .*(steps/s|s a step), .* left, peak \d+ MiB"));
            Assert.That(seen, Does.Contain("40 steps in ").And.Contain("━").And.Match(Colour));
            Assert.That(File.Exists(_folder["out.mp4"]), Is.True);
        }
    }

    [Test]
    public void Without_colour_there_is_none()
    {
        var seen = OnTerminal("export NO_COLOR=1; fashionflow generate dress.jpg -o out.mp4 -m tiny --steps 2 -d virtual; fashionflow doctor; fashionflow generate none.jpg -o b.mp4");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(seen, Does.Not.Match(Colour));
            Assert.That(seen, Does.Contain("out.mp4: 4 frames").And.Contain("none.jpg does not exist"));
        }
    }

    [Test]
    public void Quiet_is_quiet_on_a_terminal_too() =>
        Assert.That(OnTerminal("fashionflow generate dress.jpg -o out.mp4 -m tiny --steps 2 -d virtual --quiet"), Is.Empty);

    [Test]
    public void Ctrl_C_in_a_batch_keeps_what_is_whole_and_says_what_that_is()
    {
        var result = BuiltProgram.Shell(
            _folder.Path,
            """
            set -m
            fashionflow generate photos dress.jpg -o out -m tiny --steps 60 -d virtual --num-videos 50 >/dev/null 2>err &
            until ls out/*.mp4 >/dev/null 2>&1; do sleep 0.1; done
            kill -INT -$!
            wait $!
            echo $?
            ls -A out | grep -v -x -E 'a-seed[0-9]+\.mp4(\.json|\.latents)?'
            [ "$(ls out | grep -c latents)" -le 1 ] || echo "latents of more than the one video in the making"
            for video in out/*.mp4; do ffprobe -v error "$video" && [ -e "$video.json" ] || echo broken; done
            grep '^error: ' err
            """);
        Assert.That(result.Output, Does.Match("^130\nerror: stopped; (written before that: out/a-seed0.mp4.json, out/a-seed0.mp4|\\d+ files were written before that).*\n$"), result.Error);
    }

    [Test]
    public void Bash_completes_commands_options_values_and_files()
    {
        var result = BuiltProgram.Shell(
            _folder.Path,
            """
            source <(fashionflow completion bash)
            ask() { COMP_WORDS=(fashionflow "$@"); COMP_CWORD=$#; COMPREPLY=(); _fashionflow 2>/dev/null; echo "${COMPREPLY[*]}"; }
            ask gen
            ask generate --sam
            ask generate dress.jpg --sampler ''
            ask generate dress.jpg --format w
            ask compare ''
            ask generate ''
            """);
        Assert.That(
            result.Output.Split('\n'),
            Is.EqualTo(new[] { "generate", "--sampler", "ddim ddpm dpmpp euler", "webm", "adapter clip unet vae", "", "" }),
            result.Error);
    }

    private string OnTerminal(string commands)
    {
        // "script" runs a command on a terminal of its own; bash inherits the function through the environment.
        var result = BuiltProgram.Shell(_folder.Path, "stty() { :; }; script -qefc \"bash -c '$COMMANDS'\" /dev/null", new() { ["COMMANDS"] = $"stty cols 120; {commands}", ["TERM"] = "xterm-256color" });
        return result.Output;
    }
}
