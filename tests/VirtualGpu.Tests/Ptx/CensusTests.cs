// Which opcodes of real kernels the virtual GPU takes, counted over a census of what NVRTC emits for public CUDA code.
using System.Globalization;
using FashionFlow.VirtualGpu.Jit;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Tests.Ptx;

internal sealed class CensusTests
{
    // Families that are another machine's: textures and surfaces, matrix units, asynchronous copies and barriers,
    // clusters, video; and the prototypes of calls through pointers, which the census lists by label.
    private static readonly string[] Beyond =
    [
        "tex", "tld4", "txq", "suld", "sust", "sured", "suq", "mma", "wmma", "ldmatrix", "stmatrix", "cp", "mbarrier", "mapa", "getctarank", "wgmma", "setmaxnreg", "griddepcontrol",
        "vabsdiff4", "prototype_",
    ];

    private static readonly char[] Digits = [.. "0123456789"];

    private static IEnumerable<TestCaseData> Files()
    {
        for (var folder = new DirectoryInfo(TestContext.CurrentContext.TestDirectory); folder is not null; folder = folder.Parent)
        {
            var file = Path.Combine(folder.FullName, "shared", "ptx-census.tsv");
            if (File.Exists(file))
            {
                yield return new TestCaseData(file).SetName(nameof(OpcodesOfRealKernelsAreKnown));
                yield break;
            }
        }
    }

    [TestCaseSource(nameof(Files))]
    public void OpcodesOfRealKernelsAreKnown(string file)
    {
        var refused = new List<string>();
        long count = 0, known = 0, opcodes = 0, knownOpcodes = 0;
        foreach (var line in File.ReadLines(file))
        {
            var cells = line.Split('\t');
            if (cells[0] != "opcode" || Beyond.Contains(cells[1].Split('.')[0].TrimEnd(Digits)) || cells[1].Contains(".tf32", StringComparison.Ordinal) || Beyond.Contains(cells[1].Split('.')[0]))
            {
                continue;
            }

            var times = long.Parse(cells[4], CultureInfo.InvariantCulture);
            count += times;
            opcodes++;
            if (IsKnown(cells[1]))
            {
                known += times;
                knownOpcodes++;
            }
            else
            {
                refused.Add($"{cells[1]} {cells[2]} {cells[4]}");
            }
        }

        TestContext.Out.WriteLine($"{knownOpcodes} of {opcodes} opcodes, {known} of {count} instructions; refused:\n{string.Join('\n', refused)}");
        Assert.That(refused, Is.Empty);
    }

    private static bool IsKnown(string text) => Opcode.Decode(text) is { } opcode && opcode.Op switch
    {
        Op.Atom or Op.Red => OperandRules.IsAtomicSupported(opcode),
        Op.Ld or Op.St or Op.Cvta or Op.CvtaTo or Op.Call or Op.Bra or Op.Ret or Op.Exit or Op.Nothing => true,
        _ => OperandRules.Objection(opcode, [], []) is null,
    };
}
