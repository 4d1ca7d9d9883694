// The report on the kernels' machine code (docs/kernels.tsv, docs/kernels.md): it is what NVRTC makes of these sources, no kernel spills
// registers, and what is out of the ordinary is explained where people read.
using System.Globalization;
using System.Text.RegularExpressions;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Gpu.Tests.MachineCode;

public sealed partial class KernelReportTests
{
    private static readonly Lazy<string> s_text = new(() => Tree(KernelReport.TablePath));
    private static readonly Lazy<MachineCodeTable> s_table = new(() => MachineCodeTable.Parse(s_text.Value));
    private static readonly Lazy<string> s_document = new(() => Tree(KernelReport.DocumentPath));

    // Compiling takes a second or two a file and architecture: the data centres' last two here, the others in the long run.
    public static IEnumerable<object[]> Sampled => FilesOn([80, 90]);

    public static IEnumerable<object[]> Rest => FilesOn([.. KernelReport.Architectures.Except([80, 90])]);

    [TestCaseSource(nameof(Sampled))]
    public void The_machine_code_takes_what_the_table_says(string file, int architecture) => Check(file, architecture);

    [Category("Long")]
    [TestCaseSource(nameof(Rest))]
    public void The_machine_code_takes_what_the_table_says_on_the_other_architectures(string file, int architecture) => Check(file, architecture);

    [Test]
    public void Every_entry_of_every_kernel_is_in_the_table_on_every_architecture()
    {
        var expected =
            from entry in KernelCatalog.Entries
            from architecture in KernelReport.Architectures
            where architecture >= KernelSourceSet.Embedded.Get(entry.File).Targets[0]
            select (entry.File, entry.Name, architecture);
        Assert.That(s_table.Value.Rows.Select(row => (row.File, row.Entry, row.Architecture)), Is.EqualTo(expected), Renew);
    }

    [Test]
    public void Every_entry_declares_its_blocks_and_says_what_it_moves()
    {
        using (Assert.EnterMultipleScope())
        {
            foreach (var file in KernelSourceSet.Embedded.Files)
            {
                var declared = KernelDeclaration.ReadAll(KernelSourceSet.Embedded.Get(file).File);
                Assert.That(declared.Select(d => d.Name), Is.EqualTo(KernelCatalog.Entries.Where(e => e.File == file).Select(e => e.Name)));
                Assert.That(declared.Where(d => d.LaunchBounds is null || d.Traffic is null).Select(d => d.Name), Is.Empty, "see CONTRIBUTING.md, To add a kernel");
            }
        }
    }

    [Test]
    public void Every_local_memory_is_listed_with_its_reason()
    {
        var found = s_table.Value.Rows.Where(row => row.LocalMemory > 0).Select(row => (row.Entry, row.Architecture, row.LocalMemory));
        Assert.That(ListedLocalMemory(), Is.EquivalentTo(found), "the table under \"Local memory\" in docs/kernels.md");
    }

    [Test]
    public void Every_low_occupancy_is_listed_with_its_reason()
    {
        var found = s_table.Value.Rows.Where(row => row is { Architecture: 80, Occupancy.Fraction: < 0.25 }).Select(row => row.Entry);
        var listed = TableOf("Low occupancy").SelectMany(cells => NamePattern().Matches(cells[0]).Select(name => name.Groups["name"].Value));
        Assert.That(listed, Is.EquivalentTo(found), "the table under \"Low occupancy\" in docs/kernels.md");
    }

    [Test]
    public void What_bounds_a_kernel_is_said_of_every_file()
    {
        var listed = TableOf("What bounds them").SelectMany(cells => NamePattern().Matches(cells[0]).Select(name => name.Groups["name"].Value + ".cu")).Distinct();
        Assert.That(listed, Is.EquivalentTo(KernelSourceSet.Embedded.Files), "the table under \"What bounds them\" in docs/kernels.md");
    }

    [Test]
    public void The_document_is_made_from_the_table()
        => Assert.That(KernelReport.Insert(s_document.Value, KernelReport.Render(s_table.Value, KernelSourceSet.Embedded)), Is.EqualTo(s_document.Value), Renew);

    [Test]
    public void A_change_of_any_number_of_the_table_is_noticed()
    {
        var lines = s_text.Value.Split('\n');
        for (var i = 2; i < lines.Length - 1; i += 97)
        {
            var cells = lines[i].Split('\t');
            for (var column = 3; column < cells.Length - 1; column++)
            {
                var changed = (string[])cells.Clone();
                changed[column] = (int.Parse(cells[column], CultureInfo.InvariantCulture) + 1).ToString(CultureInfo.InvariantCulture);
                string[] text = [.. lines[..i], string.Join('\t', changed), .. lines[(i + 1)..]];
                Assert.That(IsNoticed(string.Join('\n', text), i - 2), Is.True, $"{cells[1]}, column {column}");
            }
        }
    }

    [TestCase("")]
    [TestCase("# NVRTC 11.8\n")]
    [TestCase("# NVRTC 11.8\nfile\tentry\n")]
    public void A_text_that_is_no_table_is_refused(string text) => Assert.Throws<InvalidDataException>(() => MachineCodeTable.Parse(text));

    [Test]
    public void A_line_that_is_cut_off_or_doubled_is_noticed()
    {
        var lines = s_text.Value.Split('\n');
        Assert.Throws<InvalidDataException>(() => MachineCodeTable.Parse(string.Join('\n', lines[..5]) + "\n" + lines[6][..20] + "\n"));
        Assert.Throws<InvalidDataException>(() => MachineCodeTable.Parse(s_text.Value.TrimEnd('\n')));
        Assert.That(MachineCodeTable.Parse($"{s_text.Value}{lines[^2]}\n").Rows, Has.Count.EqualTo(s_table.Value.Rows.Count + 1));
    }

    [Test]
    public void Declarations_are_read_with_bounds_and_the_nearest_word_on_traffic()
    {
        const string Text = """
            // A file. Reads nothing of interest.
            constexpr int MAX_BLOCK = 512;
                // Moves a house: not at the outermost level.
            // y = x. Reads and writes 4 n
            // bytes each; more follows.
            extern "C" __global__ void __launch_bounds__(Tiles<float>::Large::THREADS, 2) a_f32(float* x) { }
            // The same.
            extern "C" __global__ void __launch_bounds__((1 + MAX_BLOCK) / 2) b_f32(
                float* x) { }
            extern "C" __global__ void c_f32(float* x) { }
            """;
        Assert.That(KernelDeclaration.ReadAll(new("a.cu", Text)), Is.EqualTo(new KernelDeclaration[]
        {
            new("a_f32", "Tiles<float>::Large::THREADS, 2", "Reads and writes 4 n bytes each"),
            new("b_f32", "(1 + MAX_BLOCK) / 2", "Reads and writes 4 n bytes each"),
            new("c_f32", null, "Reads and writes 4 n bytes each"),
        }));
        Assert.That(KernelDeclaration.ReadAll(new("a.cu", Text)).Select(d => d.IsUpperBound), Is.EqualTo(new[] { false, true, true }));
    }

    private const string Renew = "run ./fashionflow kernels report and commit docs/kernels.tsv and docs/kernels.md";

    private static void Check(string file, int architecture)
    {
        Assert.That(Nvrtc.IsAvailable, Is.True, $"./test installs NVRTC: {Nvrtc.MissingReason}");
        var source = KernelSourceSet.Embedded.Get(file);
        var cubin = Cubin.Read(Nvrtc.Compile(source.File, source.Headers, KernelReport.OptionsFor(architecture), out var log));
        var said = AssemblerLog.Read(log);
        foreach (var entry in cubin.Entries)
        {
            CubinTests.AssertAgree(entry, said[entry.Name]);
        }

        var rows = KernelReport.Read(source, architecture, cubin, said);
        var committed = s_table.Value.Rows.Where(row => row.File == file && row.Architecture == architecture);
        if (Nvrtc.Version == s_table.Value.CompilerVersion)
        {
            // NVRTC 11.8 gives attention.cu other bytes from run to run, but what they take has been the same.
            Assert.That(rows, Is.EqualTo(committed), Renew);
            return;
        }

        // Another compiler allots registers in another way. What has to hold of any: nothing else spills, and blocks can be launched.
        var listed = ListedLocalMemory().Select(local => local.Entry).ToHashSet(StringComparer.Ordinal);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(rows.Select(row => (row.Entry, row.Threads)), Is.EqualTo(committed.Select(row => (row.Entry, row.Threads))));
            Assert.That(rows.Where(row => row.LocalMemory > 0 && !listed.Contains(row.Entry)), Is.Empty, "kernels that spill");
            Assert.That(rows.Where(row => row.Occupancy.Blocks == 0), Is.Empty, "kernels whose blocks do not fit a multiprocessor");
        }
    }

    private static bool IsNoticed(string text, int row)
    {
        try
        {
            return MachineCodeTable.Parse(text).Rows[row] != s_table.Value.Rows[row];
        }
        catch (InvalidDataException)
        {
            return true;
        }
    }

    private static IEnumerable<(string Entry, int Architecture, int LocalMemory)> ListedLocalMemory()
    {
        foreach (var cells in TableOf("Local memory"))
        {
            var entry = NamePattern().Match(cells[0]).Groups["name"].Value;
            var bytes = int.Parse(cells[2], CultureInfo.InvariantCulture);
            foreach (var architecture in KernelReport.Architectures.Where(a => cells[1] == "all" || cells[1].Split(", ").Contains($"sm_{a}", StringComparer.Ordinal)))
            {
                yield return (entry, architecture, bytes);
            }
        }
    }

    /// <summary>The cells of the table below a heading of the document, without its first two lines. The last cell must say something.</summary>
    private static string[][] TableOf(string heading)
    {
        var text = s_document.Value;
        var start = text.IndexOf($"\n## {heading}\n", StringComparison.Ordinal);
        Assert.That(start, Is.GreaterThanOrEqualTo(0), $"docs/kernels.md has no heading \"{heading}\"");
        var end = text.IndexOf("\n## ", start + 1, StringComparison.Ordinal);
        string[][] rows = [.. text[start..end].Split('\n').Where(line => line.StartsWith('|')).Skip(2).Select(line => line.Trim('|').Split('|', StringSplitOptions.TrimEntries))];
        Assert.That(rows.Select(row => row[^1].Length), Has.All.GreaterThan(5), heading);
        return rows;
    }

    private static IEnumerable<object[]> FilesOn(int[] architectures) =>
        from file in KernelSourceSet.Embedded.Files
        from architecture in architectures
        where architecture >= KernelSourceSet.Embedded.Get(file).Targets[0]
        select new object[] { file, architecture };

    private static string Tree(string path) => File.ReadAllText(Path.Combine(ProjectKernelTests.RepositoryRoot(), path));

    [GeneratedRegex("`(?<name>[a-z0-9_]+)(?:[.]cu)?`", RegexOptions.ExplicitCapture)]
    private static partial Regex NamePattern();
}
