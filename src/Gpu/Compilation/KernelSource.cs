// A kernel file with everything that decides what it compiles to: its text, the headers it includes, the options.
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace FashionFlow.Gpu;

/// <summary>A named text: a kernel file or a header.</summary>
/// <param name="Name">A kernel file's name below <c>kernels/</c>, or a header's name as <c>#include</c> gives it.</param>
/// <param name="Text">Its text, with line ends of one character.</param>
public readonly record struct SourceText(string Name, string Text);

/// <summary>A kernel file and the headers that it includes, directly or not.</summary>
public sealed partial class KernelSource
{
    /// <summary>Compiler options that every kernel is compiled with, beside its architecture. No fast math: results are IEEE's.</summary>
    public static IReadOnlyList<string> CommonOptions { get; } = ["--std=c++17", "-default-device"];

    /// <summary>Gathers the headers of a kernel file.</summary>
    /// <param name="file">The kernel file.</param>
    /// <param name="findHeader">The text of a header by the name in <c>#include</c>, or null.</param>
    /// <exception cref="KernelCompilationException">A header is missing.</exception>
    public KernelSource(SourceText file, Func<string, string?> findHeader)
    {
        File = file with { Text = Normalise(file.Text) };
        var headers = new SortedDictionary<string, string>(StringComparer.Ordinal);
        var pending = new Stack<SourceText>([File]);
        while (pending.TryPop(out var text))
        {
            foreach (Match include in IncludePattern().Matches(text.Text))
            {
                var name = include.Groups["name"].Value;
                if (headers.ContainsKey(name))
                {
                    continue;
                }

                var header = findHeader(name);
                if (header is null)
                {
                    var line = text.Text.AsSpan(0, include.Index).Count('\n') + 1;
                    throw new KernelCompilationException(
                        file.Name, $"{text.Name}({line}): the header \"{name}\" is not in kernels/include; kernels include our own headers only", "");
                }

                headers.Add(name, Normalise(header));
                pending.Push(new(name, headers[name]));
            }
        }

        Headers = [.. headers.Select(h => new SourceText(h.Key, h.Value))];
        Targets = ParseTargets(File);
    }

    /// <summary>The kernel file.</summary>
    public SourceText File { get; }

    /// <summary>The headers, sorted by name.</summary>
    public IReadOnlyList<SourceText> Headers { get; }

    /// <summary>
    /// The architectures that PTX is made for, ascending: 70, or what a line <c>// targets: compute_80</c> says. A device
    /// takes the highest that it can run.
    /// </summary>
    public IReadOnlyList<int> Targets { get; }

    /// <summary>The options of one architecture.</summary>
    /// <param name="architecture"><c>compute_70</c> for PTX or <c>sm_70</c> for machine code.</param>
    public static IReadOnlyList<string> OptionsFor(string architecture) =>
        [.. CommonOptions, $"--gpu-architecture={architecture}"];

    /// <summary>The highest target that a device can run.</summary>
    /// <exception cref="GpuException">CUDA_ERROR_NO_BINARY_FOR_GPU: the device is older than every target.</exception>
    public int TargetFor(ComputeCapability capability)
    {
        var target = Targets.LastOrDefault(t => t <= capability.Number, -1);
        return target >= 0
            ? target
            : throw new GpuException(
                CudaResult.CUDA_ERROR_NO_BINARY_FOR_GPU,
                $"kernels/{File.Name} needs compute capability {Targets[0] / 10}.{Targets[0] % 10}, the device has {capability.Major}.{capability.Minor}");
    }

    /// <summary>
    /// SHA-256, in hexadecimal, of everything that decides the compiler's output: file, headers, options, compiler version.
    /// </summary>
    public string Hash(string architecture, string compilerVersion)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var text in Headers.Prepend(File))
        {
            Append(hash, text.Name);
            Append(hash, text.Text);
        }

        foreach (var option in OptionsFor(architecture))
        {
            Append(hash, option);
        }

        Append(hash, "NVRTC " + compilerVersion);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static void Append(IncrementalHash hash, string text)
    {
        // The length in front keeps two parts from reading like two others.
        var bytes = Encoding.UTF8.GetBytes(text);
        hash.AppendData(BitConverter.GetBytes((long)bytes.Length));
        hash.AppendData(bytes);
    }

    private static string Normalise(string text) => text.Contains('\r') ? text.Replace("\r\n", "\n") : text;

    private static int[] ParseTargets(SourceText file)
    {
        var line = TargetsPattern().Match(file.Text);
        return line.Success
            ? [.. TargetPattern().Matches(line.Value).Select(t => int.Parse(t.Groups["number"].ValueSpan)).Distinct().Order()]
            : [70];
    }

    [GeneratedRegex("""^[ \t]*#[ \t]*include[ \t]*["<](?<name>[^">\n]+)[">]""", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex IncludePattern();

    [GeneratedRegex("""^// targets:([ ,]*compute_\d+)+[ ]*$""", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex TargetsPattern();

    [GeneratedRegex("""compute_(?<number>\d+)""", RegexOptions.ExplicitCapture)]
    private static partial Regex TargetPattern();
}
