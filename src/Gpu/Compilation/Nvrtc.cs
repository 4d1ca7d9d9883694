// NVIDIA's run-time compiler. Its library is found when first needed; without it, everything that needs no compiling works.
using System.Runtime.InteropServices;
using System.Text;

namespace FashionFlow.Gpu;

/// <summary>What compiles kernels: NVRTC, or a test's stand-in.</summary>
internal interface IKernelCompiler
{
    /// <summary>The version, or null where there is no compiler.</summary>
    string? Version { get; }

    /// <summary>The architectures it knows, ascending: 70 for compute_70.</summary>
    IReadOnlyList<int> Architectures { get; }

    /// <summary>Compiles to PTX (<c>compute_70</c>) or machine code (<c>sm_70</c>).</summary>
    byte[] Compile(KernelSource source, string architecture);
}

/// <summary>NVRTC, loaded from <c>libnvrtc.so.13</c>, <c>.12</c> or <c>.11.2</c>, or from the path in FASHIONFLOW_NVRTC.</summary>
public static class Nvrtc
{
    /// <summary>The environment variable that names the library; nothing else is tried then.</summary>
    public const string PathVariable = "FASHIONFLOW_NVRTC";

    /// <summary>How to get NVRTC on Debian and Ubuntu.</summary>
    public const string InstallHint = "sudo apt-get install libnvrtc11.2 (Debian: component non-free; Ubuntu: multiverse)";

    private static readonly Lazy<string?> LazyVersion = new(ReadVersion);

    /// <summary>Whether the library is there.</summary>
    public static bool IsAvailable => Version is not null;

    /// <summary>The library's version, such as 11.8; null where it is missing.</summary>
    public static string? Version => LazyVersion.Value;

    /// <summary>The name or path that the library was loaded by; null where it is missing.</summary>
    public static string? LibraryName => IsAvailable ? NativeLibraries.Nvrtc.Name : null;

    /// <summary>Why the library is missing; null where it is there.</summary>
    public static string? MissingReason => IsAvailable ? null : NativeLibraries.Nvrtc.Problem;

    /// <summary>The compiler for a kernel library.</summary>
    internal static IKernelCompiler Compiler { get; } = new NvrtcCompiler();

    /// <summary>The architectures that it compiles for, ascending: 70 for compute_70 and sm_70.</summary>
    /// <exception cref="InvalidOperationException">NVRTC is missing.</exception>
    public static unsafe IReadOnlyList<int> SupportedArchitectures()
    {
        Require();
        int count;
        Check(NvrtcNative.GetNumSupportedArchs(&count), "nvrtcGetNumSupportedArchs");
        var result = new int[count];
        fixed (int* p = result)
        {
            Check(NvrtcNative.GetSupportedArchs(p), "nvrtcGetSupportedArchs");
        }

        return result;
    }

    /// <summary>
    /// Compiles CUDA C++ to PTX (<c>--gpu-architecture=compute_70</c>) or machine code (<c>sm_70</c>).
    /// </summary>
    /// <param name="file">The source and its name, for messages.</param>
    /// <param name="headers">The headers, by the names in <c>#include</c>.</param>
    /// <param name="options">The compiler's options.</param>
    /// <returns>PTX text without the closing zero, or a cubin.</returns>
    /// <exception cref="KernelCompilationException">The source has errors; the message shows each with its line.</exception>
    /// <exception cref="InvalidOperationException">NVRTC is missing.</exception>
    public static byte[] Compile(SourceText file, IReadOnlyList<SourceText> headers, IReadOnlyList<string> options) =>
        Compile(file, headers, options, out _);

    /// <inheritdoc cref="Compile(SourceText, IReadOnlyList{SourceText}, IReadOnlyList{string})"/>
    /// <param name="file">The source and its name, for messages.</param>
    /// <param name="headers">The headers, by the names in <c>#include</c>.</param>
    /// <param name="options">The compiler's options.</param>
    /// <param name="log">What the compiler said: warnings, and what options asked it to tell.</param>
    public static unsafe byte[] Compile(SourceText file, IReadOnlyList<SourceText> headers, IReadOnlyList<string> options, out string log)
    {
        Require();
        var result = NvrtcNative.CreateProgram(
            out var program, file.Text, file.Name, headers.Count, [.. headers.Select(h => h.Text)], [.. headers.Select(h => h.Name)]);
        using (program)
        {
            Check(result, "nvrtcCreateProgram");
            result = NvrtcNative.CompileProgram(program, options.Count, [.. options]);
            log = ReadLog(program);
            if (result != NvrtcNative.Success)
            {
                throw new KernelCompilationException(
                    file.Name, NvrtcLog.Explain(file, headers, log, NvrtcNative.ErrorString(result)), log);
            }

            var cubin = options.Any(o => o.StartsWith("--gpu-architecture=sm_", StringComparison.Ordinal));
            nuint size;
            Check(cubin ? NvrtcNative.GetCubinSize(program, &size) : NvrtcNative.GetPtxSize(program, &size), "nvrtcGetPTXSize");
            var image = new byte[size];
            fixed (byte* p = image)
            {
                Check(cubin ? NvrtcNative.GetCubin(program, p) : NvrtcNative.GetPtx(program, p), "nvrtcGetPTX");
            }

            return cubin ? image : image.AsSpan().TrimEnd((byte)0).ToArray();
        }
    }

    private static unsafe string ReadLog(NvrtcProgramHandle program)
    {
        nuint size;
        Check(NvrtcNative.GetProgramLogSize(program, &size), "nvrtcGetProgramLogSize");
        var log = new byte[size];
        fixed (byte* p = log)
        {
            Check(NvrtcNative.GetProgramLog(program, p), "nvrtcGetProgramLog");
        }

        return Encoding.UTF8.GetString(log.AsSpan().TrimEnd((byte)0));
    }

    private static unsafe string? ReadVersion()
    {
        if (NativeLibraries.Nvrtc.Handle == 0)
        {
            return null;
        }

        int major;
        int minor;
        return NvrtcNative.Version(&major, &minor) == NvrtcNative.Success ? $"{major}.{minor}" : null;
    }

    private static void Require()
    {
        if (!IsAvailable)
        {
            throw new InvalidOperationException($"NVRTC is missing ({MissingReason}); install it: {InstallHint}");
        }
    }

    private static void Check(int result, string function)
    {
        if (result != NvrtcNative.Success)
        {
            throw new InvalidOperationException($"{function} failed: {NvrtcNative.ErrorString(result)}");
        }
    }

    private sealed class NvrtcCompiler : IKernelCompiler
    {
        private readonly Lazy<IReadOnlyList<int>> _architectures = new(SupportedArchitectures);

        public string? Version => Nvrtc.Version;

        public IReadOnlyList<int> Architectures => _architectures.Value;

        public byte[] Compile(KernelSource source, string architecture) =>
            Nvrtc.Compile(source.File, source.Headers, KernelSource.OptionsFor(architecture));
    }
}

/// <summary>A compilation in NVRTC (nvrtcProgram).</summary>
internal sealed class NvrtcProgramHandle : SafeHandle
{
    public NvrtcProgramHandle()
        : base(0, ownsHandle: true)
    {
    }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle() => NvrtcNative.DestroyProgram(ref handle) == NvrtcNative.Success;
}

/// <summary>The functions of nvrtc.h.</summary>
internal static unsafe partial class NvrtcNative
{
    public const int Success = 0;
    private const string Library = NativeLibraries.NvrtcName;

    public static string ErrorString(int result) => Marshal.PtrToStringUTF8(GetErrorString(result)) ?? $"nvrtcResult {result}";

    [LibraryImport(Library, EntryPoint = "nvrtcVersion")]
    public static partial int Version(int* major, int* minor);

    [LibraryImport(Library, EntryPoint = "nvrtcGetNumSupportedArchs")]
    public static partial int GetNumSupportedArchs(int* count);

    [LibraryImport(Library, EntryPoint = "nvrtcGetSupportedArchs")]
    public static partial int GetSupportedArchs(int* architectures);

    [LibraryImport(Library, EntryPoint = "nvrtcCreateProgram", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int CreateProgram(
        out NvrtcProgramHandle program, string source, string name, int headerCount, string[] headers, string[] includeNames);

    [LibraryImport(Library, EntryPoint = "nvrtcDestroyProgram")]
    public static partial int DestroyProgram(ref nint program);

    [LibraryImport(Library, EntryPoint = "nvrtcCompileProgram", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int CompileProgram(NvrtcProgramHandle program, int optionCount, string[] options);

    [LibraryImport(Library, EntryPoint = "nvrtcGetPTXSize")]
    public static partial int GetPtxSize(NvrtcProgramHandle program, nuint* size);

    [LibraryImport(Library, EntryPoint = "nvrtcGetPTX")]
    public static partial int GetPtx(NvrtcProgramHandle program, byte* ptx);

    [LibraryImport(Library, EntryPoint = "nvrtcGetCUBINSize")]
    public static partial int GetCubinSize(NvrtcProgramHandle program, nuint* size);

    [LibraryImport(Library, EntryPoint = "nvrtcGetCUBIN")]
    public static partial int GetCubin(NvrtcProgramHandle program, byte* cubin);

    [LibraryImport(Library, EntryPoint = "nvrtcGetProgramLogSize")]
    public static partial int GetProgramLogSize(NvrtcProgramHandle program, nuint* size);

    [LibraryImport(Library, EntryPoint = "nvrtcGetProgramLog")]
    public static partial int GetProgramLog(NvrtcProgramHandle program, byte* log);

    [LibraryImport(Library, EntryPoint = "nvrtcGetErrorString")]
    private static partial nint GetErrorString(int result);
}
