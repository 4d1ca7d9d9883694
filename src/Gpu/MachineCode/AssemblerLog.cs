// What the assembler says about its work: the lines that ptxas prints with -v, which NVRTC passes on in its log ("--ptxas-options" in
// NVRTC's documentation, "--verbose" in that of the CUDA compiler driver). The text is for people, and other versions word it
// otherwise; where a line is not there, nothing is said about it.
using System.Globalization;
using System.Text.RegularExpressions;

namespace FashionFlow.Gpu;

/// <summary>What the log says about an entry.</summary>
/// <param name="Registers">Registers a thread.</param>
/// <param name="SharedMemory">Static shared memory a block in bytes.</param>
/// <param name="StackFrame">Local memory a thread in bytes.</param>
/// <param name="SpillStores">Bytes that instructions store which free a register; an instruction in a loop counts once.</param>
/// <param name="SpillLoads">Bytes that instructions load which fill one again.</param>
/// <param name="ConstantBanks">Bytes in each bank of constant memory, by its number.</param>
public sealed record AssemblerReport(
    int Registers, int SharedMemory, int StackFrame, int SpillStores, int SpillLoads, IReadOnlyDictionary<int, int> ConstantBanks);

/// <summary>The reader of the assembler's log.</summary>
public static partial class AssemblerLog
{
    /// <summary>The option of NVRTC that makes the assembler say what it did.</summary>
    public const string Option = "--ptxas-options=-v";

    /// <summary>Reads a log.</summary>
    /// <returns>What it says about each entry, by name. An entry whose lines are not all there is left out.</returns>
    public static IReadOnlyDictionary<string, AssemblerReport> Read(string log)
    {
        var reports = new Dictionary<string, AssemblerReport>(StringComparer.Ordinal);
        string? entry = null;
        string? described = null;
        Match? frame = null;
        foreach (var line in log.Split('\n'))
        {
            if (EntryPattern().Match(line) is { Success: true } started)
            {
                (entry, described, frame) = (started.Groups["name"].Value, null, null);
            }
            else if (PropertiesPattern().Match(line) is { Success: true } properties)
            {
                // Functions that the entry calls have properties of their own.
                described = properties.Groups["name"].Value;
            }
            else if (FramePattern().Match(line) is { Success: true } found && described == entry)
            {
                frame = found;
            }
            else if (UsedPattern().Match(line) is { Success: true } used && entry is not null && frame is not null)
            {
                reports[entry] = new(
                    Number(used, "registers"),
                    SharedPattern().Match(line) is { Success: true } shared ? Number(shared, "bytes") : 0,
                    Number(frame, "stack"),
                    Number(frame, "stores"),
                    Number(frame, "loads"),
                    BankPattern().Matches(line).ToDictionary(bank => Number(bank, "bank"), bank => Number(bank, "bytes")));
            }
        }

        return reports;
    }

    private static int Number(Match match, string group) => int.Parse(match.Groups[group].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"Compiling entry function '(?<name>[^']+)'", RegexOptions.ExplicitCapture)]
    private static partial Regex EntryPattern();

    [GeneratedRegex(@"Function properties for (?<name>\S+)", RegexOptions.ExplicitCapture)]
    private static partial Regex PropertiesPattern();

    [GeneratedRegex(@"(?<stack>\d+) bytes stack frame, (?<stores>\d+) bytes spill stores, (?<loads>\d+) bytes spill loads", RegexOptions.ExplicitCapture)]
    private static partial Regex FramePattern();

    [GeneratedRegex(@"Used (?<registers>\d+) registers", RegexOptions.ExplicitCapture)]
    private static partial Regex UsedPattern();

    [GeneratedRegex(@"(?<bytes>\d+) bytes smem", RegexOptions.ExplicitCapture)]
    private static partial Regex SharedPattern();

    [GeneratedRegex(@"(?<bytes>\d+) bytes cmem\[(?<bank>\d+)\]", RegexOptions.ExplicitCapture)]
    private static partial Regex BankPattern();
}
