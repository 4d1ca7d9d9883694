// Builds the stand-ins for NVIDIA's libraries with the system's C compiler and loads them.
using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace FashionFlow.StandIns;

/// <summary>The library that tests/native makes: libcuda, libcublas, libcublasLt and libcudnn in one file.</summary>
public static class StandInLibrary
{
    private const string Resources = "native/";

    private static readonly string[] s_variables = ["FASHIONFLOW_CUDA", "FASHIONFLOW_CUBLAS", "FASHIONFLOW_CUBLASLT", "FASHIONFLOW_CUDNN"];

    /// <summary>Whether there is a C compiler to build it with.</summary>
    public static bool CanBuild { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(Path.PathSeparator)
        .Any(folder => folder.Length > 0 && File.Exists(Path.Combine(folder, "cc")));

    /// <summary>The variables that make a program take its libraries from a file.</summary>
    public static IReadOnlyList<string> Variables => s_variables;

    /// <summary>Builds the library, once for all processes that have the same sources.</summary>
    /// <returns>Its file.</returns>
    /// <exception cref="InvalidOperationException">The compiler refuses the sources; the message is what it said.</exception>
    public static string Build()
    {
        var sources = Sources();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var (name, text) in sources)
        {
            hash.AppendData(System.Text.Encoding.UTF8.GetBytes(name));
            hash.AppendData(text);
        }

        var folder = Path.Combine(Path.GetTempPath(), $"fashionflow-stand-ins-{Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}");
        var library = Path.Combine(folder, "libstandins.so");
        if (!File.Exists(library))
        {
            // Others may be at it at the same time: each builds in a folder of its own, and the last rename wins.
            var own = Directory.CreateTempSubdirectory("fashionflow-stand-ins-").FullName;
            try
            {
                foreach (var (name, text) in sources)
                {
                    File.WriteAllBytes(Path.Combine(own, name), text);
                }

                Compile(own, [.. sources.Keys.Where(name => name.EndsWith(".c", StringComparison.Ordinal))]);
                Directory.CreateDirectory(folder);
                File.Move(Path.Combine(own, "libstandins.so"), library, overwrite: true);
            }
            finally
            {
                Directory.Delete(own, recursive: true);
            }
        }

        return library;
    }

    /// <summary>
    /// Builds and loads the library and makes this process take it for NVIDIA's, with a virtual GPU behind its driver. Must come
    /// before the process's first look for a driver.
    /// </summary>
    /// <returns>The device behind the driver; dispose it after the last use of the driver.</returns>
    public static StandInDevice Connect()
    {
        var path = Build();
        foreach (var variable in s_variables)
        {
            // Who names a library wants that one.
            if (Environment.GetEnvironmentVariable(variable) is not { Length: > 0 })
            {
                Environment.SetEnvironmentVariable(variable, path);
            }
        }

        return new StandInDevice(NativeLibrary.Load(path));
    }

    private static SortedDictionary<string, byte[]> Sources()
    {
        var sources = new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
        var assembly = Assembly.GetExecutingAssembly();
        foreach (var resource in assembly.GetManifestResourceNames().Where(name => name.StartsWith(Resources, StringComparison.Ordinal)))
        {
            using var stream = assembly.GetManifestResourceStream(resource)!;
            var text = new byte[stream.Length];
            stream.ReadExactly(text);
            sources.Add(resource[Resources.Length..], text);
        }

        return sources;
    }

    private static void Compile(string folder, string[] files)
    {
        var start = new ProcessStartInfo("cc") { WorkingDirectory = folder, RedirectStandardError = true, UseShellExecute = false };
        foreach (var argument in (string[])["-shared", "-fPIC", "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", "libstandins.so", .. files])
        {
            start.ArgumentList.Add(argument);
        }

        using var compiler = Process.Start(start)!;
        var errors = compiler.StandardError.ReadToEnd();
        compiler.WaitForExit();
        if (compiler.ExitCode != 0)
        {
            throw new InvalidOperationException($"the stand-in libraries do not compile:\n{errors}");
        }
    }
}
