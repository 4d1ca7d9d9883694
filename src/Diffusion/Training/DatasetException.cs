// The error for training data that cannot be used: the folder of latents, its index or one of its clips.
namespace FashionFlow.Diffusion.Training;

/// <summary>A folder of latents is not usable. The message is one line: where, what, what to do.</summary>
public sealed class DatasetException : Exception
{
    /// <summary>Makes the error.</summary>
    public DatasetException(string message, Exception? innerException = null)
        : base(message, innerException)
    {
    }
}
