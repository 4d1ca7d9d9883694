// The name of a kernel as the generated bindings know it: file, entry and the layout of its parameter buffer.
namespace FashionFlow.Gpu;

/// <summary>One parameter of a kernel.</summary>
/// <param name="Name">Its name in C#.</param>
/// <param name="KernelType">Its type in CUDA C++.</param>
/// <param name="Offset">Where it lies in the parameter buffer, in bytes.</param>
/// <param name="Size">Its size in bytes.</param>
public readonly record struct KernelParameter(string Name, string KernelType, int Offset, int Size);

/// <summary>One entry of a kernel file. The generated classes hold one instance for each; they are compared by identity.</summary>
public sealed class KernelEntry
{
    private static int s_count;

    /// <summary>Makes the entry; the generated bindings do.</summary>
    public KernelEntry(string file, string name, KernelParameter[] parameters)
    {
        File = file;
        Name = name;
        Parameters = parameters;
        Index = Interlocked.Increment(ref s_count) - 1;
    }

    /// <summary>The file below <c>kernels/</c>.</summary>
    public string File { get; }

    /// <summary>The entry's name in CUDA C++.</summary>
    public string Name { get; }

    /// <summary>Its parameters, in order.</summary>
    public IReadOnlyList<KernelParameter> Parameters { get; }

    /// <summary>A small number of its own, so that a device finds its function without a search.</summary>
    internal int Index { get; }

    /// <inheritdoc/>
    public override string ToString() => $"{Name} (kernels/{File})";
}
