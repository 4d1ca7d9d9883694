// The command line's manners: help for every command, versions, and one clear line for what it does not understand.
using System.Text.Json;
using FashionFlow.App.Commands;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
public sealed class CommandLineTests
{
    [TestCase("generate")]
    [TestCase("demo")]
    [TestCase("decode")]
    [TestCase("project")]
    [TestCase("train")]
    [TestCase("evaluate")]
    [TestCase("compare")]
    [TestCase("inspect")]
    [TestCase("gradcheck")]
    [TestCase("render-garments")]
    [TestCase("doctor")]
    [TestCase("version")]
    [TestCase("kernels")]
    [TestCase("kernels build")]
    [TestCase("kernels first")]
    public void Every_command_has_help(string command)
    {
        var result = BuiltProgram.Run([.. command.Split(' '), "--help"]);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero);
            Assert.That(result.Error, Is.Empty);
            Assert.That(result.Output, Does.Contain($"fashionflow {command}"));
        }
    }

    [Test]
    public void The_help_lists_commands_and_exit_codes()
    {
        var result = BuiltProgram.Run("--help");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero);
            Assert.That(result.Output, Does.Match("generate .*\n +demo .*\n +decode .*\n +verify .*\n +project .*\n +train .*\n +evaluate .*\n +compare .*\n +import .*\n +convert .*\n +inspect .*\n +gradcheck .*\n +render-garments .*\n +doctor .*\n +version .*\n +completion ").And.Contain("Exit codes:").And.Not.Contain("source tree"));
        }
    }

    [Test]
    public void No_command_shows_the_help_and_fails()
    {
        var result = BuiltProgram.Run();
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(2));
            Assert.That(result.Output, Does.Contain("Commands:"));
        }
    }

    [Test]
    public void The_first_launch_is_told_by_the_clock()
    {
        var result = BuiltProgram.Run("kernels", "first", "--device", "virtual:sm_70");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(result.Output, Does.Match(@"^( *\d+ ms  [^\n]+ \(\+\d+\.\d ms\)\n){4}$").And.Match("sm_70.*\n.*first launch.*\n.*second launch"));
        }
    }

    [TestCase("version")]
    [TestCase("--version")]
    public void The_version_is_printed(string command)
    {
        var result = BuiltProgram.Run(command);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero);
            Assert.That(result.Output, Does.StartWith($"fashionflow {typeof(App.ExitCode).Assembly.GetName().Version!.ToString(3)}\n"));
        }
    }

    [Test]
    public void The_version_tells_what_a_bug_report_needs()
    {
        using var folder = new TemporaryFolder();
        var result = BuiltProgram.Run("version");
        var own = BuiltProgram.Run("--version");
        var without = BuiltProgram.RunIn(null, new() { ["PATH"] = folder.Path, ["FASHIONFLOW_NVRTC"] = "/nonexistent/libnvrtc.so" }, "version");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Output.Split('\n').Skip(1).Select(line => line.Split(' ')[0]), Is.EqualTo(new[] { "build", "kernels", "runtime", "device", "NVRTC", "ffmpeg", "" }));
            Assert.That(result.Output, Does.StartWith(own.Output));
            Assert.That(result.Output, Does.Match("(?m)^build +(commit [0-9a-f]{40}|outside a git checkout, its commit is not known)$"));
            Assert.That(result.Output, Does.Match("(?m)^device +.*sm_\\d+.*, by --device auto$"));
            Assert.That(without.ExitCode, Is.Zero);
            Assert.That(without.Output, Does.Match("(?m)^NVRTC +not found: FASHIONFLOW_NVRTC=/nonexistent/libnvrtc.so is not").And.Match("(?m)^ffmpeg +not found on PATH$"));
        }
    }

    [Test]
    public void The_version_is_there_for_programs_too()
    {
        using var folder = new TemporaryFolder();
        using var json = JsonDocument.Parse(BuiltProgram.Run("version", "--json").Output);
        using var without = JsonDocument.Parse(
            BuiltProgram.RunIn(null, new() { ["PATH"] = folder.Path, ["FASHIONFLOW_NVRTC"] = "/nonexistent/libnvrtc.so" }, "version", "--json").Output);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(json.RootElement.EnumerateObject().Select(m => m.Name), Is.EqualTo(new[] { "version", "commit", "kernels", "runtime", "platform", "device", "nvrtc", "ffmpeg" }));
            Assert.That(json.RootElement.GetProperty("version").GetString(), Is.EqualTo(typeof(App.ExitCode).Assembly.GetName().Version!.ToString(3)));
            Assert.That(json.RootElement.GetProperty("device").GetProperty("capability").GetString(), Does.Match("^sm_\\d+$"));
            Assert.That(json.RootElement.GetProperty("ffmpeg").GetProperty("version").GetString(), Is.Not.Empty);
            Assert.That(without.RootElement.GetProperty("ffmpeg").ValueKind, Is.EqualTo(JsonValueKind.Null));
            Assert.That(without.RootElement.GetProperty("nvrtc").ValueKind, Is.EqualTo(JsonValueKind.Null));
        }
    }

    [TestCase("0.1.0+c65372a69f5c734098052c48bffbcecc8469405a", "c65372a69f5c734098052c48bffbcecc8469405a")]
    [TestCase("0.1.0", null)]
    [TestCase("0.1.0+", null)]
    [TestCase(null, null)]
    public void The_commit_is_told_where_the_build_knew_it(string? informationalVersion, string? commit) =>
        Assert.That(VersionCommand.CommitOf(informationalVersion), Is.EqualTo(commit));

    [TestCase("genrate a.jpg", "'genrate' is not a command of fashionflow", "did you mean generate?")]
    [TestCase("generate a.jpg -o b.mp4 --step 3", "'--step' is not an option of fashionflow generate", "did you mean --steps?")]
    [TestCase("versoin", "'versoin' is not a command of fashionflow", "did you mean version?")]
    [TestCase("gradcheck --op Sliu", "--op: there is no operator 'Sliu'; did you mean Silu?", "see: fashionflow gradcheck --help")]
    [TestCase("gradcheck --op Frobnicate", "--op: there is no operator 'Frobnicate'", "see: fashionflow gradcheck --help")]
    [TestCase("gradcheck", "name an operator by --op NAME, or check all of them by --all", "see: fashionflow gradcheck --help")]
    [TestCase("gradcheck --all --op Silu", "--op and --all exclude one another", "see: fashionflow gradcheck --help")]
    [TestCase("train --learning_rate 1e-3 -o run", "'--learning_rate' is not an option of fashionflow train", "did you mean --learning-rate?")]
    [TestCase("version --colour", "'--colour' is not an option of fashionflow version", "see: fashionflow version --help")]
    public void What_is_not_understood_is_named(string line, string message, string advice)
    {
        var result = BuiltProgram.Run(line.Split(' '));
        result.MustFail(2, message);
        Assert.That(result.ErrorLines[^1], Does.Contain(advice));
    }
}
