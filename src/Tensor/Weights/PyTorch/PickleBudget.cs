// How much memory a pickle may make us take: it is counted before it is taken.
namespace FashionFlow.Tensors.Weights;

/// <summary>
/// Counts what values of a pickle take, in bytes that are estimates from above. A few bytes of a pickle can ask for a
/// hundred times as much memory; with this, a file of any content takes at most its own size and a constant.
/// </summary>
internal sealed class PickleBudget(string path, long fileBytes)
{
    /// <summary>What every file may take beside its own size.</summary>
    public const long Free = 16 << 20;

    private readonly long _most = fileBytes > long.MaxValue - Free ? long.MaxValue : fileBytes + Free;
    private long _taken;

    /// <summary>Counts bytes that are about to be taken.</summary>
    /// <exception cref="PyTorchFileException">They are too many.</exception>
    public void Take(long bytes)
    {
        if (bytes > _most - _taken)
        {
            throw new PyTorchFileException(PyTorchFileError.LimitExceeded, path, $"its pickle asks for more than {_most} bytes of memory, which is more than a file of {fileBytes} bytes needs");
        }

        _taken += bytes;
    }
}
