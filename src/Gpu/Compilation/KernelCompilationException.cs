// The error of a kernel that could not be compiled.
namespace FashionFlow.Gpu;

/// <summary>A kernel file could not be compiled. The message names the file and shows each error with its source line.</summary>
public sealed class KernelCompilationException : Exception
{
    /// <summary>Makes the error.</summary>
    public KernelCompilationException(string file, string message, string log, Exception? innerException = null)
        : base(message, innerException)
    {
        File = file;
        Log = log;
    }

    /// <summary>The kernel file.</summary>
    public string File { get; }

    /// <summary>The compiler's log as it came.</summary>
    public string Log { get; }
}
