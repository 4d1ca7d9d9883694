// version: what to write into a bug report.
using System.CommandLine;
using System.Runtime.InteropServices;
using FashionFlow.App.Terminal;
using FashionFlow.Gpu;

namespace FashionFlow.App.Commands;

/// <summary>Prints the versions of the program and of what its kernels were compiled with.</summary>
internal static class VersionCommand
{
    /// <summary>The program's version.</summary>
    public static string Version { get; } = typeof(VersionCommand).Assembly.GetName().Version!.ToString(3);

    /// <summary>The command.</summary>
    public static Command Create(Screen screen)
    {
        var command = new Command("version", "Print the version of the program and of its kernels' compiler.");
        command.SetAction(_ => Run(screen));
        return command;
    }

    /// <summary>Prints.</summary>
    public static int Run(Screen screen)
    {
        var shipped = ShippedKernels.Embedded;
        screen.WriteLine($"{CommandLine.ProgramName} {Version}");
        screen.WriteLine(shipped.Entries.Count == 0
            ? "kernels    none shipped; NVRTC compiles them"
            : $"kernels    {shipped.Entries.Select(e => e.File).Distinct(StringComparer.Ordinal).Count()} files as PTX, compiled by NVRTC {shipped.CompilerVersion}");
        screen.WriteLine($"runtime    {RuntimeInformation.FrameworkDescription} on {RuntimeInformation.RuntimeIdentifier}");
        return ExitCode.Success;
    }
}
