// Runs a probe in a process of its own: native libraries are looked up once a process, and a cache is shared between several.
using System.Diagnostics;
using FashionFlow.Gpu.Cuda;
using FashionFlow.Gpu.Tests.Libraries;

namespace FashionFlow.Gpu.Tests;

/// <summary>The probes, and how tests run them.</summary>
internal static class ProbeProcess
{
    /// <summary>Runs a probe and returns what it printed.</summary>
    public static async Task<string> RunAsync(string probe, params (string Name, string Value)[] environment) =>
        await RunAsync([probe], environment);

    /// <summary>Runs a probe with arguments and returns what it printed.</summary>
    public static async Task<string> RunAsync(string[] arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // The test host is the dotnet command; what it runs is this assembly.
        start.ArgumentList.Add("exec");
        start.ArgumentList.Add(typeof(ProbeProcess).Assembly.Location);
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.That(process.ExitCode, Is.Zero, await errors);
        return output;
    }

    private static int Main(string[] arguments)
    {
        switch (arguments)
        {
            case ["driver"]:
                var status = CudaDriver.TryInitialize();
                Console.Write($"{status.State}|{status.Message}|{status.Advice}");
                return 0;
            case ["nvrtc"]:
                Console.Write(Nvrtc.IsAvailable ? $"version {Nvrtc.Version}" : $"missing: {Nvrtc.MissingReason}");
                return 0;
            case ["write-cache", var directory, var key, var count]:
                return KernelCacheTests.WriteAndRead(new KernelCache(directory), key, int.Parse(count));
            case ["cuda-device", var probe]:
                return CudaDeviceTests.Run(probe);
            case ["libraries", var probe]:
                return LibraryTests.Run(probe);
            case ["stand-ins", var probe]:
                return StandInProbe.Run(probe);
            case ["shipped"]:
                return ProjectKernelTests.LoadAll();
            default:
                Console.Error.WriteLine("this is a test assembly; run ./test");
                return 2;
        }
    }
}
