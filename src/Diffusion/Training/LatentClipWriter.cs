// A clip's frames come one at a time, its file wants one tensor after the other: frames wait on the disk, not in memory.
using System.Runtime.InteropServices;
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Gpu;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// Collects a clip's frames in a temporary file, from which <see cref="WriteTo"/> gathers the tensors. Memory does not grow with
/// the clip's length.
/// </summary>
public sealed class LatentClipWriter : IDisposable
{
    private readonly ProjectionRecipe _recipe;
    private readonly FileStream _frames;
    private readonly int _latentBytes;
    private readonly int _tokenBytes;
    private Rgb8Image? _first;

    /// <summary>Makes the temporary file.</summary>
    /// <param name="folder">
    /// Where to make it: best where the clip goes, for there the space is needed anyway. Its name is taken away at once, so
    /// that nothing of it is left however the program ends (Windows, which does not allow that, deletes it on closing).
    /// </param>
    /// <param name="recipe">How the frames are made.</param>
    /// <exception cref="IOException">It cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be written to.</exception>
    public LatentClipWriter(string folder, ProjectionRecipe recipe)
    {
        _recipe = recipe;
        _latentBytes = checked((int)LatentShape(1).Count * sizeof(float));
        _tokenBytes = checked((int)TokenShape(1).Count * sizeof(float));
        var path = Path.Combine(folder, $".frames.{Guid.NewGuid():N}{AtomicFile.TemporaryExtension}");
        var options = OperatingSystem.IsWindows() ? FileOptions.DeleteOnClose : FileOptions.None;
        _frames = new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Delete, bufferSize: 1 << 16, options);
        if (!OperatingSystem.IsWindows())
        {
            File.Delete(path);
        }
    }

    /// <summary>The frames so far.</summary>
    public int Count { get; private set; }

    private long RecordBytes => (2L * _latentBytes) + _tokenBytes;

    /// <summary>Adds a frame.</summary>
    /// <exception cref="ArgumentException">Its sizes are not the recipe's.</exception>
    /// <exception cref="IOException">The temporary file cannot be written.</exception>
    public void Add(EncodedFrame frame)
    {
        if (frame.Mean.Length * sizeof(float) != _latentBytes || frame.LogVariance.Length != frame.Mean.Length || frame.Tokens.Length * sizeof(float) != _tokenBytes)
        {
            throw new ArgumentException($"A frame of {frame.Mean.Length} means and {frame.Tokens.Length} numbers of tokens does not fit latents {LatentShape(1)} and tokens {TokenShape(1)}.", nameof(frame));
        }

        _frames.Write(MemoryMarshal.AsBytes(frame.Mean.AsSpan()));
        _frames.Write(MemoryMarshal.AsBytes(frame.LogVariance.AsSpan()));
        _frames.Write(MemoryMarshal.AsBytes(frame.Tokens.AsSpan()));
        _first ??= frame.Picture;
        Count++;
    }

    /// <summary>Writes the clip's file.</summary>
    /// <param name="stream">Where to write.</param>
    /// <param name="name">What it is called in messages.</param>
    /// <param name="source">The video's file name without folder.</param>
    /// <param name="sourceSha256">The video's hash.</param>
    /// <param name="framesPerSecond">The video's rate; null where it is not known.</param>
    /// <param name="notes">Further metadata, of which nothing depends.</param>
    /// <returns>What the file says of itself.</returns>
    /// <exception cref="InvalidOperationException">There is no frame.</exception>
    /// <exception cref="IOException">A file cannot be written or read.</exception>
    public LatentClipInfo WriteTo(
        Stream stream, string name, string source, string sourceSha256, double? framesPerSecond, IReadOnlyDictionary<string, string>? notes = null)
    {
        if (_first is null)
        {
            throw new InvalidOperationException("A clip needs a frame.");
        }

        var clip = new LatentClipInfo(source, sourceSha256, Count, framesPerSecond, _recipe.ToJson());
        SafetensorsWriter.Write(
            stream,
            name,
            [
                SafetensorsTensor.Streamed(LatentClip.Mean, DType.Float32, LatentShape(Count), to => Gather(to, 0, _latentBytes)),
                SafetensorsTensor.Streamed(LatentClip.LogVariance, DType.Float32, LatentShape(Count), to => Gather(to, _latentBytes, _latentBytes)),
                SafetensorsTensor.Streamed(LatentClip.Tokens, DType.Float32, TokenShape(Count), to => Gather(to, 2L * _latentBytes, _tokenBytes)),
                SafetensorsTensor.Of<byte>(LatentClip.FirstFrame, [_first.Height, _first.Width, 3], _first.Data),
            ],
            LatentClip.MetadataOf(clip, notes));
        return clip;
    }

    /// <summary>Deletes the temporary file.</summary>
    public void Dispose() => _frames.Dispose();

    private Shape LatentShape(int frames) => [frames, .. _recipe.LatentShape];

    private Shape TokenShape(int frames) => [frames, .. _recipe.TokenShape];

    private void Gather(Stream to, long offset, int bytes)
    {
        var buffer = new byte[bytes];
        for (var i = 0; i < Count; i++)
        {
            _frames.Position = (i * RecordBytes) + offset;
            _frames.ReadExactly(buffer);
            to.Write(buffer);
        }
    }
}
