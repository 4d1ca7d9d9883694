// What all formats' errors are, so that a caller who does not care for the format can catch one type.
namespace FashionFlow.Tensors.Weights;

/// <summary>
/// A file of weights is not what it should be. The message is one line: file, tensor or place, what is wrong; what it cites
/// of the file is <see cref="PrintableText">printable</see> and cut to a readable length.
/// </summary>
public abstract class WeightFileException : Exception
{
    /// <summary>Makes the error.</summary>
    protected WeightFileException(string path, string detail, Exception? innerException)
        : base($"{PrintableText.Of(path)}: {PrintableText.Of(detail)}", innerException)
    {
    }
}
