// Runs the built program as a process, as a user's shell does.
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace FashionFlow.App.Tests;

/// <summary>What a run of the program gave.</summary>
internal sealed record ProgramResult(int ExitCode, string Output, string Error)
{
    public string[] ErrorLines => Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Asserts that one line of error says so, also where notes and progress stand before it, and that nothing shows a stack.</summary>
    public void MustHaveSaid(string message)
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(ErrorLines.Where(l => l.StartsWith("error: ", StringComparison.Ordinal)), Has.One.Contains(message), Error);
            Assert.That(Error, Does.Not.Contain("   at ").And.Not.Contain("Exception"));
        }
    }

    /// <summary>Asserts what every failure owes its user: the code, one clear line, at most one more, no stack trace.</summary>
    public void MustFail(int exitCode, string message)
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(ExitCode, Is.EqualTo(exitCode), Error);
            Assert.That(ErrorLines, Has.Length.InRange(1, 2), Error);
            MustHaveSaid(message);
            Assert.That(ErrorLines.FirstOrDefault(), Does.StartWith("error: "));
            Assert.That(Output, Is.Empty);
        }
    }
}

/// <summary>Starts the program from the tests' own output folder.</summary>
internal static class BuiltProgram
{
    /// <summary>The dotnet that runs the tests: the runtime's folder is ROOT/shared/Microsoft.NETCore.App/VERSION/.</summary>
    public static readonly string Host = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet"));

    private static readonly string Assembly = Path.Combine(AppContext.BaseDirectory, "FashionFlow.App.dll");

    public static ProgramResult Run(params string[] arguments) => RunIn(folder: null, environment: null, arguments);

    /// <summary>Runs to the end.</summary>
    /// <param name="folder">The working directory.</param>
    /// <param name="environment">Variables to change.</param>
    /// <param name="arguments">The command line.</param>
    public static ProgramResult RunIn(string? folder, Dictionary<string, string>? environment, params string[] arguments)
    {
        using var process = Start(folder, environment, arguments);
        return Wait(process);
    }

    /// <summary>Runs a script of bash in which <c>fashionflow</c> is the program.</summary>
    public static ProgramResult Shell(string folder, string script, Dictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo("/bin/bash", ["-c", $"fashionflow() {{ '{Host}' exec '{Assembly}' \"$@\"; }}; export -f fashionflow\n{script}"])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder,
        };
        // Programs that start the user's shell ("script") take this one, whatever the machine's is: other shells drop functions.
        start.Environment["SHELL"] = "/bin/bash";
        foreach (var (name, value) in environment ?? [])
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        return Wait(process);
    }

    public static Process Start(string? folder, Dictionary<string, string>? environment, params string[] arguments)
    {
        var start = new ProcessStartInfo(Host, ["exec", Assembly, .. arguments])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder ?? string.Empty,
        };
        foreach (var (name, value) in environment ?? [])
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    /// <summary>Presses Ctrl-C, and waits for what the program makes of it.</summary>
    public static ProgramResult Interrupt(Process process)
    {
        using (var kill = Process.Start("kill", ["-INT", $"{process.Id}"]))
        {
            kill.WaitForExit();
        }

        return Wait(process);
    }

    /// <summary>The source tree that the tests were built in.</summary>
    public static string SourceTree() => FashionFlow.Tests.SourceTree.Root;

    /// <summary>What a started process gives by its end.</summary>
    public static ProgramResult Wait(Process process)
    {
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        process.WaitForExit();
        return new ProgramResult(process.ExitCode, output.GetAwaiter().GetResult(), error.GetAwaiter().GetResult());
    }
}
