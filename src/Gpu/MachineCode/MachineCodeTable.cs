// docs/kernels.tsv: what every kernel takes on every architecture, one line each, so that a change of a kernel shows in review what it
// did to the machine code.
using System.Globalization;
using System.Text;

namespace FashionFlow.Gpu;

/// <summary>A line of the table: an entry on an architecture.</summary>
/// <param name="File">The kernel file.</param>
/// <param name="Entry">The entry.</param>
/// <param name="Architecture">80 for sm_80.</param>
/// <param name="Threads">Threads of the largest block that it was compiled for.</param>
/// <param name="Registers">Registers a thread.</param>
/// <param name="SharedMemory">Static shared memory a block in bytes.</param>
/// <param name="LocalMemory">Local memory a thread in bytes.</param>
/// <param name="SpillStores">Bytes that instructions store to free registers.</param>
/// <param name="SpillLoads">Bytes that instructions load to fill them again.</param>
/// <param name="ParameterBytes">Bytes of parameters.</param>
/// <param name="ConstantBytes">Bytes of constant memory beside bank 0: numbers that the compiler put there.</param>
/// <param name="Barriers">Barriers that a block synchronises at.</param>
public sealed record MachineCodeRow(
    string File,
    string Entry,
    int Architecture,
    int Threads,
    int Registers,
    int SharedMemory,
    int LocalMemory,
    int SpillStores,
    int SpillLoads,
    int ParameterBytes,
    int ConstantBytes,
    int Barriers)
{
    /// <summary>How many blocks of <see cref="Threads"/> a multiprocessor holds.</summary>
    public Occupancy Occupancy => Occupancy.Of(MultiprocessorLimits.Of(Architecture), Threads, Registers, SharedMemory);
}

/// <summary>The table.</summary>
/// <param name="CompilerVersion">The version of the NVRTC that made the machine code.</param>
/// <param name="Rows">Its lines.</param>
public sealed record MachineCodeTable(string CompilerVersion, IReadOnlyList<MachineCodeRow> Rows)
{
    private const string FirstLine = "# NVRTC ";

    private static readonly string[] s_columns =
    [
        "file", "entry", "machine", "threads", "registers", "shared", "local", "spill_stores", "spill_loads", "parameters", "constants",
        "barriers", "blocks", "warps", "limit",
    ];

    /// <summary>Reads the table's text.</summary>
    /// <exception cref="InvalidDataException">It is not of this form. The message names the line.</exception>
    public static MachineCodeTable Parse(string text)
    {
        var lines = text.Split('\n');
        if (lines.Length < 3 || !lines[0].StartsWith(FirstLine, StringComparison.Ordinal) || lines[1] != string.Join('\t', s_columns) || lines[^1].Length > 0)
        {
            throw new InvalidDataException("the table of machine code does not begin or end as it should; ./fashionflow kernels report writes it");
        }

        var table = new MachineCodeTable(lines[0][FirstLine.Length..], [.. lines[2..^1].Select(ParseRow)]);
        // What is computed is written for people; it must be what follows from the rest.
        var again = table.Format().Split('\n');
        var different = Enumerable.Range(0, lines.Length).FirstOrDefault(i => again[i] != lines[i], -1);
        return different < 0 ? table : throw new InvalidDataException($"line {different + 1} of the table of machine code contradicts itself: {lines[different]}");
    }

    /// <summary>The table's text.</summary>
    public string Format()
    {
        var text = new StringBuilder($"{FirstLine}{CompilerVersion}\n").AppendJoin('\t', s_columns).Append('\n');
        foreach (var row in Rows)
        {
            var occupancy = row.Occupancy;
            text.AppendJoin(
                '\t', row.File, row.Entry, $"sm_{row.Architecture}", row.Threads, row.Registers, row.SharedMemory, row.LocalMemory, row.SpillStores,
                row.SpillLoads, row.ParameterBytes, row.ConstantBytes, row.Barriers, occupancy.Blocks, occupancy.Warps, NameOf(occupancy.Limit));
            text.Append('\n');
        }

        return text.ToString();
    }

    /// <summary>The word for a limit.</summary>
    internal static string NameOf(OccupancyLimit limit) => limit switch
    {
        OccupancyLimit.Warps => "warps",
        OccupancyLimit.Blocks => "blocks",
        OccupancyLimit.Registers => "registers",
        _ => "shared memory",
    };

    private static MachineCodeRow ParseRow(string line)
    {
        var cells = line.Split('\t');
        var numbers = new int[s_columns.Length];
        for (var i = 2; i < s_columns.Length - 1; i++)
        {
            var cell = i >= cells.Length ? "" : i == 2 && cells[i].StartsWith("sm_", StringComparison.Ordinal) ? cells[i][3..] : cells[i];
            if (cells.Length != s_columns.Length || !int.TryParse(cell, NumberStyles.None, CultureInfo.InvariantCulture, out numbers[i]))
            {
                throw new InvalidDataException($"the table of machine code has a line that is none of its lines: {line}");
            }
        }

        var row = new MachineCodeRow(
            cells[0], cells[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6], numbers[7], numbers[8], numbers[9], numbers[10], numbers[11]);
        try
        {
            _ = row.Occupancy;
            return row;
        }
        catch (ArgumentOutOfRangeException exception)
        {
            throw new InvalidDataException($"the table of machine code has a line about blocks that do not exist: {line}", exception);
        }
    }
}
