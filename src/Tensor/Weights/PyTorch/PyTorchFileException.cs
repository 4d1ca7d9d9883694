// What can be wrong with a PyTorch file, by name, with one clear line.
namespace FashionFlow.Tensors.Weights;

/// <summary>What is wrong with a PyTorch file.</summary>
public enum PyTorchFileError
{
    /// <summary>The file cannot be opened or read.</summary>
    Io,

    /// <summary>It is neither of the two forms that <c>torch.save</c> writes.</summary>
    UnknownFormat,

    /// <summary>PyTorch wrote it, but in a form that is not read: a TorchScript program, big-endian numbers, compressed records.</summary>
    UnsupportedFormat,

    /// <summary>The zip archive around it is damaged.</summary>
    InvalidArchive,

    /// <summary>A record's bytes do not have the checksum that the archive gives.</summary>
    ChecksumMismatch,

    /// <summary>The pickle wants to call or make something that is neither a tensor nor plain data.</summary>
    ForbiddenGlobal,

    /// <summary>The pickle has an instruction that plain data do not need.</summary>
    ForbiddenOpcode,

    /// <summary>The pickle breaks a rule of its format.</summary>
    InvalidPickle,

    /// <summary>It asks for more memory, nesting or work than any checkpoint of its size needs.</summary>
    LimitExceeded,

    /// <summary>An element type that this library does not have.</summary>
    UnsupportedType,

    /// <summary>A tensor's view lies outside its storage, or a storage outside the file.</summary>
    InvalidTensor,

    /// <summary>There is no tensor of that name.</summary>
    TensorNotFound,
}

/// <summary>A PyTorch file is not what it should be.</summary>
public sealed class PyTorchFileException : WeightFileException
{
    /// <summary>Makes the error.</summary>
    public PyTorchFileException(PyTorchFileError error, string path, string detail, Exception? innerException = null)
        : base(path, detail, innerException) => Error = error;

    /// <summary>What is wrong.</summary>
    public PyTorchFileError Error { get; }
}
