// Each rule of the safetensors format that a file can break, by name, with one clear line.
namespace FashionFlow.Tensors.Weights;

/// <summary>What is wrong with a safetensors file. Names follow the Rust crate's SafeTensorError where it has one.</summary>
public enum SafetensorsError
{
    /// <summary>The file cannot be opened, read or written.</summary>
    Io,

    /// <summary>The file is shorter than the 8 bytes of the header's length.</summary>
    HeaderTooSmall,

    /// <summary>The header's length is above 100,000,000 bytes.</summary>
    HeaderTooLarge,

    /// <summary>The header's length passes the file's end.</summary>
    InvalidHeaderLength,

    /// <summary>The header is not UTF-8.</summary>
    InvalidHeader,

    /// <summary>The header does not start with "{".</summary>
    InvalidHeaderStart,

    /// <summary>The header is not JSON, or not of the expected structure.</summary>
    InvalidHeaderDeserialization,

    /// <summary>A name occurs twice.</summary>
    DuplicateName,

    /// <summary>There are more tensors and metadata than this library reads (the crate has no such limit).</summary>
    TooManyNames,

    /// <summary>An element type that the format has, but not this library.</summary>
    UnsupportedType,

    /// <summary>An element type that the format does not have.</summary>
    UnknownType,

    /// <summary>Tensors overlap, leave a hole, or one ends before it starts.</summary>
    InvalidOffset,

    /// <summary>A shape's number of elements or bytes passes 64 bits, or an axis 31 bits.</summary>
    ValidationOverflow,

    /// <summary>A tensor's bytes are not what its shape and type need.</summary>
    TensorInvalidInfo,

    /// <summary>The tensors do not end where the file ends.</summary>
    MetadataIncompleteBuffer,

    /// <summary>There is no tensor of that name.</summary>
    TensorNotFound,

    /// <summary>The tensor is there, but cannot be read as asked for.</summary>
    InvalidTensorView,
}

/// <summary>A safetensors file is not what it should be.</summary>
public sealed class SafetensorsException : WeightFileException
{
    /// <summary>Makes the error.</summary>
    public SafetensorsException(SafetensorsError error, string path, string detail, Exception? innerException = null)
        : base(path, detail, innerException) => Error = error;

    /// <summary>The rule that was broken.</summary>
    public SafetensorsError Error { get; }
}
