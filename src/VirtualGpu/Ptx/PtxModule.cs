// A parsed PTX module: its entries and its variables.
namespace FashionFlow.VirtualGpu.Ptx;

/// <summary>A PTX module. Parsing refuses what is not PTX; <c>KernelProgram.Create</c> refuses what cannot be run.</summary>
public sealed class PtxModule
{
    private PtxModule(IReadOnlyList<string> entries, IReadOnlyList<PtxVariable> variables)
    {
        Entries = entries;
        Variables = variables;
    }

    /// <summary>Names of the kernels, in the order of the text.</summary>
    public IReadOnlyList<string> Entries { get; }

    /// <summary>Variables in global and constant memory, which whoever loads the module allocates.</summary>
    public IReadOnlyList<PtxVariable> Variables { get; }

    /// <summary>Parses PTX text.</summary>
    /// <exception cref="Gpu.GpuException">CUDA_ERROR_INVALID_PTX with the line.</exception>
    public static PtxModule Parse(string text) => new([], []);
}

/// <summary>A variable of a module in global or constant memory.</summary>
public sealed class PtxVariable
{
    internal PtxVariable(string name, long bytes, int alignment, bool isConstant)
    {
        Name = name;
        Bytes = bytes;
        Alignment = alignment;
        IsConstant = isConstant;
    }

    /// <summary>The variable's name.</summary>
    public string Name { get; }

    /// <summary>Its size in bytes.</summary>
    public long Bytes { get; }

    /// <summary>Its alignment in bytes.</summary>
    public int Alignment { get; }

    /// <summary>Whether it lies in constant memory.</summary>
    public bool IsConstant { get; }

    /// <summary>
    /// Writes what the variable starts with. An initialiser may hold addresses of variables of the module,
    /// so that all must have been allocated before.
    /// </summary>
    /// <param name="destination">The variable's memory, <see cref="Bytes"/> long; all of it is written.</param>
    /// <param name="addresses">Device addresses of the module's variables by name.</param>
    public void WriteInitialValue(Span<byte> destination, IReadOnlyDictionary<string, ulong> addresses) => destination.Clear();
}
