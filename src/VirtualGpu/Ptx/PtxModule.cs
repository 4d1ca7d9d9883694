// A parsed PTX module: its entries and its variables.
using System.Buffers.Binary;

namespace FashionFlow.VirtualGpu.Ptx;

/// <summary>A PTX module. Parsing refuses what is not PTX; preparing a kernel refuses what cannot be run.</summary>
public sealed class PtxModule
{
    private readonly Dictionary<string, PtxFunction> _functions;

    private PtxModule(string text, in PtxParser parser)
    {
        Text = text;
        Target = new Gpu.ComputeCapability(parser.Target / 10, parser.Target % 10);
        Version = parser.Version;
        _functions = parser.Functions.ToDictionary(f => f.Name, StringComparer.Ordinal);
        Entries = [.. parser.Functions.Where(f => f.IsEntry && f.HasBody).Select(f => f.Name)];
        ModuleVariables = parser.Variables;
        Variables = [.. parser.Variables.Where(v => v.Declaration.Space is PtxSpace.Global or PtxSpace.Const).Select(v => new PtxVariable(v, text))];
    }

    /// <summary>Names of the kernels, in the order of the text.</summary>
    public IReadOnlyList<string> Entries { get; }

    /// <summary>Variables in global and constant memory, which whoever loads the module allocates.</summary>
    public IReadOnlyList<PtxVariable> Variables { get; }

    /// <summary>The least compute capability that the module is written for.</summary>
    public Gpu.ComputeCapability Target { get; }

    /// <summary>The version of the PTX language.</summary>
    public Version Version { get; }

    internal string Text { get; }

    internal IReadOnlyList<PtxModuleVariable> ModuleVariables { get; }

    /// <summary>Parses PTX text.</summary>
    /// <exception cref="Gpu.GpuException">CUDA_ERROR_INVALID_PTX with the line.</exception>
    public static PtxModule Parse(string text)
    {
        var parser = new PtxParser(text);
        try
        {
            parser.Parse();
        }
        catch (OverflowException)
        {
            throw new Gpu.GpuException(Gpu.CudaResult.CUDA_ERROR_INVALID_PTX, "a number in the PTX text is out of range");
        }

        return new PtxModule(text, parser);
    }

    internal PtxFunction? FindFunction(string name) => _functions.GetValueOrDefault(name);
}

/// <summary>One element of an initialiser: bits, or the address of a symbol plus an offset.</summary>
internal readonly record struct PtxInitialValue(long Bits, string? Symbol);

/// <summary>A variable of a module as parsed.</summary>
internal sealed record PtxModuleVariable(PtxDeclaration Declaration, IReadOnlyList<PtxInitialValue> InitialValues);

/// <summary>A variable of a module in global or constant memory.</summary>
public sealed class PtxVariable
{
    private readonly PtxModuleVariable _variable;
    private readonly string _text;

    internal PtxVariable(PtxModuleVariable variable, string text)
    {
        _variable = variable;
        _text = text;
    }

    /// <summary>The variable's name.</summary>
    public string Name => _variable.Declaration.Name;

    /// <summary>Its size in bytes; 0 for an extern array without a size.</summary>
    public long Bytes => _variable.Declaration.Bytes;

    /// <summary>Its alignment in bytes.</summary>
    public int Alignment => _variable.Declaration.Alignment;

    /// <summary>Whether it lies in constant memory.</summary>
    public bool IsConstant => _variable.Declaration.Space == PtxSpace.Const;

    /// <summary>
    /// Writes what the variable starts with. An initialiser may hold addresses of variables of the module,
    /// so that all must have been allocated before.
    /// </summary>
    /// <param name="destination">The variable's memory, <see cref="Bytes"/> long; all of it is written.</param>
    /// <param name="addresses">Device addresses of the module's variables by name.</param>
    /// <exception cref="Gpu.GpuException">CUDA_ERROR_INVALID_PTX: the initialiser names what the module does not have.</exception>
    public void WriteInitialValue(Span<byte> destination, IReadOnlyDictionary<string, ulong> addresses)
    {
        destination.Clear();
        Span<byte> bytes = stackalloc byte[8];
        var size = _variable.Declaration.Type.Size();
        for (var i = 0; i < _variable.InitialValues.Count; i++)
        {
            var value = _variable.InitialValues[i];
            var bits = value.Bits;
            if (value.Symbol is not null)
            {
                if (!addresses.TryGetValue(value.Symbol, out var address))
                {
                    throw PtxParser.Error(_text, _variable.Declaration.Line, $"no variable {value.Symbol} for an initial value");
                }

                bits += unchecked((long)address);
            }

            BinaryPrimitives.WriteInt64LittleEndian(bytes, bits);
            bytes[..size].CopyTo(destination[(i * size)..]);
        }
    }
}
