// The command line's manners: help for every command, versions, and one clear line for what it does not understand.
namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
public sealed class CommandLineTests
{
    [TestCase("generate")]
    [TestCase("demo")]
    [TestCase("compare")]
    [TestCase("inspect")]
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
            Assert.That(result.Output, Does.Match("generate .*\n +demo .*\n +compare .*\n +inspect .*\n +doctor .*\n +version ").And.Contain("Exit codes:").And.Not.Contain("source tree"));
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

    [TestCase("genrate a.jpg", "'genrate' is not a command of fashionflow", "did you mean generate?")]
    [TestCase("generate a.jpg -o b.mp4 --step 3", "'--step' is not an option of fashionflow generate", "did you mean --steps?")]
    [TestCase("versoin", "'versoin' is not a command of fashionflow", "did you mean version?")]
    [TestCase("version --colour", "'--colour' is not an option of fashionflow version", "see: fashionflow version --help")]
    public void What_is_not_understood_is_named(string line, string message, string advice)
    {
        var result = BuiltProgram.Run(line.Split(' '));
        result.MustFail(2, message);
        Assert.That(result.ErrorLines[^1], Does.Contain(advice));
    }
}
