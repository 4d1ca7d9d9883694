// Finding and asking ffmpeg, and saying what to do when it is not there.
using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace FashionFlow.App.Media;

/// <summary>The ffmpeg program that encodes and decodes videos.</summary>
internal static class Ffmpeg
{
    /// <summary>What to type where it is missing.</summary>
    public const string InstallAdvice = "install it: sudo apt-get install -y ffmpeg";

    // Exit codes above it are of programs that a signal ended, as shells count.
    private const int SignalBase = 128;

    private static readonly ConcurrentDictionary<string, bool> TakesFpsMode = [];

    /// <summary>The first executable <c>ffmpeg</c> on PATH, or null.</summary>
    public static string? Find() => Find("ffmpeg");

    /// <summary>The ffmpeg on PATH.</summary>
    /// <param name="purpose">What it is needed for.</param>
    /// <exception cref="UserError">There is none.</exception>
    public static string Require(string purpose = "it writes the video") =>
        Find() ?? throw new UserError(ExitCode.Output, $"ffmpeg was not found; {purpose}", InstallAdvice);

    /// <summary>The version that <paramref name="path"/> reports, or null when it does not run.</summary>
    // "ffmpeg version 5.1.9-0+deb12u1 Copyright (c) ..."
    public static string? Version(string path) =>
        Ask(path, "-version")?.Split('\n')[0].Split(' ') is ["ffmpeg", "version", var version, ..] ? version : null;

    /// <summary>The options that make <paramref name="path"/> give every frame once, whatever its time stamp.</summary>
    public static string[] EveryFrame(string path) => [TakesFpsMode.GetOrAdd(path, asked => !IsOlderThan(Version(asked), 5, 1)) ? "-fps_mode" : "-vsync", "passthrough"];

    /// <summary>Whether a version ("5.1.9-0+deb12u1", "n7.1") is before another; what has no number was built from recent sources.</summary>
    public static bool IsOlderThan(string? version, int major, int minor)
    {
        var numbers = version?.TrimStart('n').Split('.', '-', '+') ?? [];
        return numbers.Length > 0 && int.TryParse(numbers[0], NumberStyles.None, CultureInfo.InvariantCulture, out var first)
            && (first < major || (first == major && (numbers.Length < 2 || !int.TryParse(numbers[1], NumberStyles.None, CultureInfo.InvariantCulture, out var second) || second < minor)));
    }

    /// <summary>Whether <paramref name="path"/> was built with an encoder.</summary>
    public static bool HasEncoder(string path, string encoder) =>
        Ask(path, "-encoders")?.Contains($" {encoder} ", StringComparison.Ordinal) ?? false;

    /// <summary>Why a run of ffmpeg failed, in one line.</summary>
    public static string Reason(int exitCode, string errors)
    {
        if (exitCode > SignalBase && exitCode < SignalBase + 65)
        {
            return string.Create(CultureInfo.InvariantCulture, $"it was ended by signal {exitCode - SignalBase}");
        }

        // The first line has the cause ("No space left on device"); later ones are its consequences.
        var lines = errors.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return lines.Length > 0 ? lines[0] : string.Create(CultureInfo.InvariantCulture, $"it ended with code {exitCode} and said nothing");
    }

    /// <summary>Runs ffmpeg or its sister ffprobe to the end.</summary>
    /// <returns>The exit code, what it printed to standard output, and its errors; null when there is no such program.</returns>
    public static (int ExitCode, byte[] Output, string Errors)? Run(string program, IEnumerable<string> arguments) =>
        Find(program) is { } path ? Start(path, arguments) : null;

    private static string? Find(string program) => (Environment.GetEnvironmentVariable("PATH") ?? string.Empty)
        .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? $"{program}.exe" : program))
        .FirstOrDefault(IsExecutable);

    private static string? Ask(string path, string question) =>
        Start(path, ["-hide_banner", question]) is (0, var output, _) ? Encoding.UTF8.GetString(output) : null;

    // Without an input of its own: ours may be the picture, or a terminal on which ffmpeg would listen for keys.
    private static (int ExitCode, byte[] Output, string Errors)? Start(string path, IEnumerable<string> arguments)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(path, arguments)
            {
                UseShellExecute = false,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            process.StandardInput.Close();
            var errors = process.StandardError.ReadToEndAsync();
            using var output = new MemoryStream();
            process.StandardOutput.BaseStream.CopyTo(output);
            process.WaitForExit();
            return (process.ExitCode, output.ToArray(), errors.GetAwaiter().GetResult());
        }
        catch (Exception e) when (e is Win32Exception or IOException)
        {
            return null;
        }
    }

    private static bool IsExecutable(string path)
    {
        const UnixFileMode Any = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
        return File.Exists(path) && (OperatingSystem.IsWindows() || (File.GetUnixFileMode(path) & Any) != UnixFileMode.None);
    }
}
