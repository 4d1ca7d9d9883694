// Finds NVIDIA's libraries under the names they have on different systems, without failing where there are none.
using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace FashionFlow.Gpu;

/// <summary>A native library that may be missing.</summary>
internal sealed class NativeLibraryFinder
{
    private readonly Lazy<(nint Handle, string? Name, string? Problem)> _found;

    public NativeLibraryFinder(string pathVariable, string[] candidates)
        : this(pathVariable, () => candidates)
    {
    }

    /// <summary>A library whose names depend on what else was found.</summary>
    public NativeLibraryFinder(string pathVariable, Func<string[]> candidates) => _found = new(() => Find(pathVariable, candidates()));

    /// <summary>The library's handle; 0 where it is missing.</summary>
    public nint Handle => _found.Value.Handle;

    /// <summary>The name it was loaded by.</summary>
    public string? Name => _found.Value.Name;

    /// <summary>Why it is missing.</summary>
    public string? Problem => _found.Value.Problem;

    private static (nint Handle, string? Name, string? Problem) Find(string pathVariable, string[] candidates)
    {
        var path = Environment.GetEnvironmentVariable(pathVariable);
        if (!string.IsNullOrEmpty(path))
        {
            return NativeLibrary.TryLoad(path, out var given)
                ? (given, path, null)
                : (0, null, $"{pathVariable}={path} is not a library that can be loaded");
        }

        foreach (var candidate in candidates)
        {
            if (NativeLibrary.TryLoad(candidate, out var handle))
            {
                return (handle, candidate, null);
            }
        }

        return (0, null, candidates is [var only] ? $"{only} is not installed" : $"none of {string.Join(", ", candidates)} is installed");
    }
}

/// <summary>The libraries, and the resolver that gives them to LibraryImport.</summary>
internal static class NativeLibraries
{
    public const string NvrtcName = "nvrtc";
    public const string CudaName = "cuda";
    public const string CublasName = "cublas";
    public const string CublasLtName = "cublasLt";
    public const string CudnnName = "cudnn";

    public static NativeLibraryFinder Nvrtc { get; } = new("FASHIONFLOW_NVRTC",
        OperatingSystem.IsWindows()
            ? ["nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "nvrtc64_112_0.dll"]
            : ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"]);

    public static NativeLibraryFinder Cuda { get; } = new("FASHIONFLOW_CUDA",
        OperatingSystem.IsWindows() ? ["nvcuda.dll"] : ["libcuda.so.1", "libcuda.so"]);

    public static NativeLibraryFinder Cublas { get; } = new("FASHIONFLOW_CUBLAS",
        OperatingSystem.IsWindows()
            ? ["cublas64_13.dll", "cublas64_12.dll", "cublas64_11.dll"]
            : ["libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"]);

    /// <summary>The one that <see cref="Cublas"/> itself needs: beside it, and of its version.</summary>
    public static NativeLibraryFinder CublasLt { get; } = new(
        "FASHIONFLOW_CUBLASLT", () => [(Cublas.Name ?? "libcublas.so").Replace("cublas", "cublasLt", StringComparison.Ordinal)]);

    public static NativeLibraryFinder Cudnn { get; } = new("FASHIONFLOW_CUDNN",
        OperatingSystem.IsWindows() ? ["cudnn64_9.dll", "cudnn64_8.dll"] : ["libcudnn.so.9", "libcudnn.so.8", "libcudnn.so"]);

    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "The resolver must stand before the first call into any native class of this assembly.")]
    internal static void Register() => NativeLibrary.SetDllImportResolver(typeof(NativeLibraries).Assembly, Resolve);

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => name switch
    {
        NvrtcName => Nvrtc.Handle,
        CudaName => Cuda.Handle,
        CublasName => Cublas.Handle,
        CublasLtName => CublasLt.Handle,
        CudnnName => Cudnn.Handle,
        _ => 0,
    };
}
