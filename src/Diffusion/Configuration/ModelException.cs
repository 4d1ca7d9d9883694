// The error for a model that cannot be opened as asked: a directory, a configuration or an option that does not fit.
namespace FashionFlow.Diffusion;

/// <summary>A model, its configuration or an option is not usable. The message is one line: what, where, what to do.</summary>
public sealed class ModelException : Exception
{
    /// <summary>Makes the error.</summary>
    public ModelException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
