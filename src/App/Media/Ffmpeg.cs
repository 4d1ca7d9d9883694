// Finding ffmpeg, and saying what to do when it is not there.
using System.ComponentModel;
using System.Diagnostics;

namespace FashionFlow.App.Media;

/// <summary>The ffmpeg program that encodes videos.</summary>
internal static class Ffmpeg
{
    /// <summary>What to type where it is missing.</summary>
    public const string InstallAdvice = "install it: sudo apt-get install -y ffmpeg";

    /// <summary>The first executable <c>ffmpeg</c> on PATH, or null.</summary>
    public static string? Find() => (Environment.GetEnvironmentVariable("PATH") ?? string.Empty)
        .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? "ffmpeg.exe" : "ffmpeg"))
        .FirstOrDefault(IsExecutable);

    /// <summary>The ffmpeg on PATH.</summary>
    /// <exception cref="UserError">There is none.</exception>
    public static string Require() =>
        Find() ?? throw new UserError(ExitCode.Output, "ffmpeg was not found; it writes the video", InstallAdvice);

    /// <summary>The version that <paramref name="path"/> reports, or null when it does not run.</summary>
    // "ffmpeg version 5.1.9-0+deb12u1 Copyright (c) ..."
    public static string? Version(string path) =>
        Ask(path, "-version")?.Split('\n')[0].Split(' ') is ["ffmpeg", "version", var version, ..] ? version : null;

    /// <summary>Whether <paramref name="path"/> was built with an encoder.</summary>
    public static bool HasEncoder(string path, string encoder) =>
        Ask(path, "-encoders")?.Contains($" {encoder} ", StringComparison.Ordinal) ?? false;

    private static string? Ask(string path, string question)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(path, ["-hide_banner", question])
            {
                UseShellExecute = false,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            _ = process.StandardError.ReadToEndAsync();
            var answer = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0 ? answer : null;
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
