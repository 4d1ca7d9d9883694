// The report on the kernels' machine code: compiles every kernel for every architecture that NVRTC can be asked for without a GPU, and
// writes what that takes of a multiprocessor to docs/kernels.tsv, for programs, and to docs/kernels.md, for people.
using System.Globalization;
using System.Text;

namespace FashionFlow.Gpu;

/// <summary>The report on the kernels' machine code.</summary>
public static class KernelReport
{
    /// <summary>The table's place in a source tree.</summary>
    public static readonly string TablePath = Path.Combine("docs", "kernels.tsv");

    /// <summary>The document's place in a source tree.</summary>
    public static readonly string DocumentPath = Path.Combine("docs", "kernels.md");

    private const string Begin = "<!-- begin: written by ./fashionflow kernels report -->\n";
    private const string End = "<!-- end -->\n";

    /// <summary>The architectures of the report: data centres' from Volta to Hopper, and desktops' of two generations.</summary>
    public static IReadOnlyList<int> Architectures { get; } = [70, 80, 86, 89, 90];

    /// <summary>Compiles a kernel file to machine code and reads what its entries take.</summary>
    /// <param name="source">The kernel file.</param>
    /// <param name="architecture">80 for sm_80.</param>
    /// <returns>A row an entry, in the order of the file.</returns>
    /// <exception cref="InvalidOperationException">NVRTC is missing, or does not say what the assembler did.</exception>
    /// <exception cref="KernelCompilationException">The file does not compile.</exception>
    /// <exception cref="CubinException">The machine code cannot be read.</exception>
    public static IReadOnlyList<MachineCodeRow> Measure(KernelSource source, int architecture)
    {
        var cubin = Nvrtc.Compile(source.File, source.Headers, OptionsFor(architecture), out var log);
        return Read(source, architecture, Cubin.Read(cubin), AssemblerLog.Read(log));
    }

    /// <summary>The options that a kernel file is measured with: those that it is always compiled with, and the assembler's log.</summary>
    internal static IReadOnlyList<string> OptionsFor(int architecture) => [.. KernelSource.OptionsFor($"sm_{architecture}"), AssemblerLog.Option];

    /// <summary>Puts together what a cubin and the assembler say.</summary>
    internal static IReadOnlyList<MachineCodeRow> Read(
        KernelSource source, int architecture, Cubin cubin, IReadOnlyDictionary<string, AssemblerReport> assembler)
    {
        var entries = cubin.Entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
        var file = source.File.Name;
        return [.. KernelDeclaration.ReadAll(source.File).Select(Row)];

        MachineCodeRow Row(KernelDeclaration declaration)
        {
            if (!entries.TryGetValue(declaration.Name, out var entry))
            {
                throw new CubinException($"kernels/{file} declares {declaration.Name}; its machine code for sm_{architecture} has no such entry");
            }

            // The cubin says how much local memory there is, the assembler alone what part of it is spilled registers.
            var said = assembler.TryGetValue(entry.Name, out var found)
                ? found
                : throw new InvalidOperationException($"NVRTC {Nvrtc.Version} does not say what its assembler made of {entry.Name}");
            return new(
                file,
                entry.Name,
                architecture,
                (int)(entry.MaxThreads?.Count ?? MultiprocessorLimits.MaxThreadsPerBlock),
                entry.Registers,
                entry.SharedMemory,
                entry.LocalMemory,
                said.SpillStores,
                said.SpillLoads,
                entry.ParameterBytes,
                entry.ConstantBanks.Where(bank => bank.Key != 0).Sum(bank => bank.Value),
                entry.Barriers);
        }
    }

    /// <summary>Measures every kernel of a source tree and writes the table and the document's part.</summary>
    /// <param name="repositoryRoot">The directory that holds <c>kernels/</c> and <c>docs/</c>.</param>
    /// <param name="report">Told one line for each architecture.</param>
    /// <returns>How many of the two files changed.</returns>
    /// <exception cref="InvalidOperationException">NVRTC is missing, or the directory is not a source tree.</exception>
    /// <exception cref="KernelCompilationException">A kernel does not compile.</exception>
    public static int Build(string repositoryRoot, Action<string>? report = null)
    {
        var kernels = Path.Combine(repositoryRoot, "kernels");
        var document = Path.Combine(repositoryRoot, DocumentPath);
        if (!Directory.Exists(kernels) || !File.Exists(document))
        {
            throw new InvalidOperationException($"{repositoryRoot} has no kernels/ or no {DocumentPath}; run this in the source tree");
        }

        var version = Nvrtc.Version ?? throw new InvalidOperationException($"NVRTC is missing ({Nvrtc.MissingReason}); install it: {Nvrtc.InstallHint}");
        var sources = KernelSourceSet.FromDirectory(kernels);
        var rows = new List<MachineCodeRow>();
        foreach (var architecture in Architectures)
        {
            rows.AddRange(sources.Files.Select(sources.Get).Where(source => source.Targets[0] <= architecture).SelectMany(source => Measure(source, architecture)));
            report?.Invoke($"compiled {sources.Files.Count} kernel files for sm_{architecture}");
        }

        // An entry's architectures beside each other; OrderBy keeps the entries in their files' order.
        var order = rows.Select(row => row.Entry).Distinct().Index().ToDictionary(entry => entry.Item, entry => entry.Index, StringComparer.Ordinal);
        var table = new MachineCodeTable(version, [.. rows.OrderBy(row => order[row.Entry])]);
        return Write(Path.Combine(repositoryRoot, TablePath), table.Format())
            + Write(document, Insert(File.ReadAllText(document), Render(table, sources)));
    }

    /// <summary>The document with another generated part.</summary>
    /// <exception cref="InvalidDataException">The document does not say where that part is.</exception>
    internal static string Insert(string document, string part)
    {
        var begin = document.IndexOf(Begin, StringComparison.Ordinal);
        var end = document.IndexOf(End, StringComparison.Ordinal);
        return begin >= 0 && end > begin
            ? document[..(begin + Begin.Length)] + part + document[end..]
            : throw new InvalidDataException($"{DocumentPath} has no lines \"{Begin.TrimEnd()}\" and \"{End.TrimEnd()}\"");
    }

    /// <summary>The document's generated part: a table a kernel file.</summary>
    internal static string Render(MachineCodeTable table, KernelSourceSet sources)
    {
        var text = new StringBuilder();
        foreach (var file in table.Rows.GroupBy(row => row.File))
        {
            var declarations = KernelDeclaration.ReadAll(sources.Get(file.Key).File).ToDictionary(d => d.Name, StringComparer.Ordinal);
            text.Append(CultureInfo.InvariantCulture, $"\n### kernels/{file.Key}\n\n| kernel | threads | shared |");
            foreach (var architecture in Architectures)
            {
                text.Append(CultureInfo.InvariantCulture, $" sm_{architecture} |");
            }

            text.Append(" limit on sm_90 | moves at least |\n|---|--:|--:|").Insert(text.Length, "--:|", Architectures.Count).Append("---|---|\n");
            string? before = null;
            foreach (var entry in file.GroupBy(row => row.Entry))
            {
                var declaration = declarations[entry.Key];
                var last = entry.Last();
                text.Append(CultureInfo.InvariantCulture, $"| `{entry.Key}` | {(declaration.IsUpperBound ? "≤ " : "")}{last.Threads} | {last.SharedMemory} |");
                foreach (var architecture in Architectures)
                {
                    text.Append(entry.FirstOrDefault(row => row.Architecture == architecture) is { } row ? $" {Cell(row)} |" : " |");
                }

                var traffic = declaration.Traffic == before ? "″" : declaration.Traffic?.Replace("*", "\\*", StringComparison.Ordinal);
                text.Append(CultureInfo.InvariantCulture, $" {MachineCodeTable.NameOf(last.Occupancy.Limit)} | {traffic} |\n");
                before = declaration.Traffic;
            }
        }

        return text.Append('\n').ToString();
    }

    private static string Cell(MachineCodeRow row) => string.Create(
        CultureInfo.InvariantCulture, $"{row.Registers} · {100 * row.Occupancy.Fraction:0} %{(row.LocalMemory > 0 ? $" · {row.LocalMemory} B" : "")}");

    private static int Write(string path, string text)
    {
        if (File.Exists(path) && File.ReadAllText(path) == text)
        {
            return 0;
        }

        AtomicFile.Write(path, file => file.Write(Encoding.UTF8.GetBytes(text)));
        return 1;
    }
}
