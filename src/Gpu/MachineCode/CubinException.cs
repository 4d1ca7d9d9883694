// The one error of reading machine code.
namespace FashionFlow.Gpu;

/// <summary>A cubin cannot be read: it is damaged, no cubin, or of a form that is not known here. The message says where.</summary>
public sealed class CubinException : Exception
{
    /// <summary>Makes the error.</summary>
    public CubinException(string message)
        : base(message)
    {
    }
}
