// The U-Net's evaluation as one graph: its inputs lie where the graph reads them, and are filled before each launch.
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion;

/// <summary>
/// A U-Net for videos of one shape and one picture's context: the first evaluation is done as ever and captured then, the others repeat it.
/// </summary>
/// <param name="context">The device.</param>
/// <param name="unet">The network.</param>
/// <param name="conditioning">The context [1, n, d]; it must outlive this.</param>
internal sealed class CapturedNetwork(DeviceContext context, SpaceTimeUnet unet, Tensor conditioning) : IDisposable
{
    private Tensor? _video;
    private Tensor? _timestep;
    private CapturedWork? _work;

    /// <summary>Evaluates the network.</summary>
    /// <param name="video">The noisy video, of the same shape in each call.</param>
    /// <param name="timestep">[1], or null where the network takes none.</param>
    /// <returns>What it predicts: the caller's, but good until the next call alone.</returns>
    public Tensor Predict(Tensor video, Tensor? timestep)
    {
        Fill(ref _video, video);
        if (timestep is not null)
        {
            Fill(ref _timestep, timestep);
        }

        if (_work is null)
        {
            _work = CapturedWork.Capture(context, () => unet.Forward(_video!, _timestep, conditioning), out var first);
            return first;
        }

        _work.Replay();
        return _work.Result.AddReference();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _work?.Dispose();
        _timestep?.Dispose();
        _video?.Dispose();
    }

    private void Fill(ref Tensor? input, Tensor value)
    {
        input ??= TensorScope.Detach(Tensor.Empty(context, value.Shape, value.DType));
        context.Device.Copy(input.Pointer<byte>(), value.Pointer<byte>(), value.Bytes, context.Stream);
    }
}
