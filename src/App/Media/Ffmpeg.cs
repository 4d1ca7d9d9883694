// Finding ffmpeg, and saying what to do when it is not there.
using System.ComponentModel;
using System.Diagnostics;

namespace FashionFlow.App.Media;

/// <summary>The ffmpeg program that encodes videos.</summary>
internal static class Ffmpeg
{
    /// <summary>What to type where it is missing.</summary>
    public const string InstallAdvice = "Install it: sudo apt-get install -y ffmpeg";

    /// <summary>The first executable <c>ffmpeg</c> on PATH, or null.</summary>
    public static string? Find() => (Environment.GetEnvironmentVariable("PATH") ?? string.Empty)
        .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? "ffmpeg.exe" : "ffmpeg"))
        .FirstOrDefault(IsExecutable);

    /// <summary>The ffmpeg on PATH.</summary>
    /// <exception cref="UserError">There is none.</exception>
    public static string Require() =>
        Find() ?? throw new UserError(ExitCode.Output, "ffmpeg was not found; it writes the video.", InstallAdvice);

    /// <summary>The version that <paramref name="path"/> reports, or null when it does not run.</summary>
    public static string? Version(string path)
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(path, ["-hide_banner", "-version"])
            {
                UseShellExecute = false,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            _ = process.StandardError.ReadToEndAsync();
            var line = process.StandardOutput.ReadLine();
            _ = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            // "ffmpeg version 5.1.9-0+deb12u1 Copyright (c) ..."
            return process.ExitCode == 0 && line?.Split(' ') is ["ffmpeg", "version", var version, ..] ? version : null;
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
