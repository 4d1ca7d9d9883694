// version: what to write into a bug report.
using System.CommandLine;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu;

namespace FashionFlow.App.Commands;

/// <summary>Prints the versions of the program and of all that it works with.</summary>
internal static class VersionCommand
{
    /// <summary>The program's version.</summary>
    public static string Version { get; } = typeof(VersionCommand).Assembly.GetName().Version!.ToString(3);

    /// <summary>The commit that the program was built from; null if it was built outside a git checkout.</summary>
    public static string? Commit { get; } =
        CommitOf(typeof(VersionCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion);

    /// <summary>The program with version and commit, as recipes and metadata name it.</summary>
    public static string Program { get; } = $"{CommandLine.ProgramName} {Version}{(Commit is null ? string.Empty : $" ({Commit})")}";

    private static int KernelFiles => ShippedKernels.Embedded.Entries.Select(e => e.File).Distinct(StringComparer.Ordinal).Count();

    /// <summary>The command.</summary>
    public static Command Create(Screen screen)
    {
        var json = CommonOptions.Json();
        var command = new WithExamples(
            "version", "Print the versions of the program, its device, its kernels' compiler, the runtime and ffmpeg.", "version", "version --json") { json };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(json))
            {
                screen.WriteJson(Write);
            }
            else
            {
                Print(screen);
            }

            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>Prints what the program knows of itself, at once: <c>--version</c>.</summary>
    public static int PrintOwn(Screen screen)
    {
        screen.WriteLine($"{CommandLine.ProgramName} {Version}");
        Line(screen, "build", Commit is null ? "outside a git checkout, its commit is not known" : $"commit {Commit}");
        Line(screen, "kernels", KernelFiles == 0 ? "none shipped; NVRTC compiles them" : $"{KernelFiles} files as PTX, compiled by NVRTC {ShippedKernels.Embedded.CompilerVersion}");
        Line(screen, "runtime", $"{RuntimeInformation.FrameworkDescription} on {RuntimeInformation.RuntimeIdentifier}");
        return ExitCode.Success;
    }

    // The SDK writes "0.1.0+<hash>" where it finds a .git, "0.1.0" where it does not.
    internal static string? CommitOf(string? informationalVersion) =>
        informationalVersion?.IndexOf('+', StringComparison.Ordinal) is >= 0 and var plus && plus + 1 < informationalVersion.Length ? informationalVersion[(plus + 1)..] : null;

    private static void Print(Screen screen)
    {
        PrintOwn(screen);
        var (device, problem) = Device();
        Line(screen, "device", device is { } properties ? $"{VideoMaker.DeviceName(properties)}, by --device auto" : $"none by --device auto: {problem}");
        Line(screen, "NVRTC", Nvrtc.IsAvailable ? $"{Nvrtc.Version} ({Nvrtc.LibraryName})" : $"not found: {Nvrtc.MissingReason}");
        var ffmpeg = Ffmpeg.Find();
        Line(screen, "ffmpeg", ffmpeg is null ? "not found on PATH" : $"{Ffmpeg.Version(ffmpeg) ?? "does not run"} ({ffmpeg})");
    }

    private static void Line(Screen screen, string part, string text) => screen.WriteLine($"{part,-10} {text}");

    // What is not there is null.
    private static void Write(Utf8JsonWriter json)
    {
        json.WriteString("version", Version);
        json.WriteString("commit", Commit);
        WriteObject(json, "kernels", KernelFiles > 0, () =>
        {
            json.WriteNumber("files", KernelFiles);
            json.WriteString("nvrtc", ShippedKernels.Embedded.CompilerVersion);
        });
        json.WriteString("runtime", RuntimeInformation.FrameworkDescription);
        json.WriteString("platform", RuntimeInformation.RuntimeIdentifier);
        var (device, _) = Device();
        WriteObject(json, "device", device is not null, () =>
        {
            json.WriteString("name", device!.Name);
            json.WriteString("capability", device.ComputeCapability.ToString());
        });
        WriteObject(json, "nvrtc", Nvrtc.IsAvailable, () =>
        {
            json.WriteString("version", Nvrtc.Version);
            json.WriteString("library", Nvrtc.LibraryName);
        });
        var ffmpeg = Ffmpeg.Find();
        WriteObject(json, "ffmpeg", ffmpeg is not null, () =>
        {
            json.WriteString("version", Ffmpeg.Version(ffmpeg!));
            json.WriteString("path", ffmpeg);
        });
    }

    private static void WriteObject(Utf8JsonWriter json, string name, bool isThere, Action members)
    {
        if (!isThere)
        {
            json.WriteNull(name);
            return;
        }

        json.WriteStartObject(name);
        members();
        json.WriteEndObject();
    }

    // Opening starts no kernel: it tells what would be computed on, not whether it works. That is doctor's question.
    private static (DeviceProperties? Properties, string? Problem) Device()
    {
        try
        {
            using var device = DeviceSelector.Open("auto");
            return (device.Properties, null);
        }
        catch (GpuException e)
        {
            return (null, e.Message.Split('\n')[0]);
        }
    }
}
