// Decoded clips in host memory: what the small networks are trained on before there are latents.
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.Diffusion.Training;

/// <summary>Clips of pictures of one size, eight bits a channel.</summary>
public sealed class FrameSet
{
    private readonly List<byte[]> _clips = [];

    /// <summary>An empty set.</summary>
    /// <param name="width">Width of all pictures.</param>
    /// <param name="height">Their height.</param>
    public FrameSet(int width, int height) => (Width, Height) = (width, height);

    /// <summary>Width of a picture.</summary>
    public int Width { get; }

    /// <summary>Height of a picture.</summary>
    public int Height { get; }

    /// <summary>The clips.</summary>
    public int Count => _clips.Count;

    /// <summary>Bytes of all pictures.</summary>
    public long Bytes => _clips.Sum(c => (long)c.Length);

    private int FrameBytes => Width * Height * 3;

    /// <summary>Adds a clip of whole pictures.</summary>
    /// <exception cref="ArgumentException">It holds no picture, or one of another size.</exception>
    public void Add(IReadOnlyList<Rgb8Image> frames)
    {
        if (frames.Count == 0 || frames.Any(f => f.Width != Width || f.Height != Height))
        {
            throw new ArgumentException($"a clip must hold pictures of {Width} x {Height}", nameof(frames));
        }

        var clip = new byte[(long)frames.Count * FrameBytes];
        for (var i = 0; i < frames.Count; i++)
        {
            frames[i].Data.CopyTo(clip.AsSpan(i * FrameBytes));
        }

        _clips.Add(clip);
    }

    /// <summary>The number of pictures of a clip.</summary>
    public int Frames(int clip) => _clips[clip].Length / FrameBytes;

    /// <summary>A picture of a clip, row by row, RGB.</summary>
    public ReadOnlySpan<byte> Frame(int clip, int frame) => _clips[clip].AsSpan(frame * FrameBytes, FrameBytes);

    /// <summary>A picture of a clip as one of its own.</summary>
    public Rgb8Image Picture(int clip, int frame)
    {
        var picture = new Rgb8Image(Width, Height);
        Frame(clip, frame).CopyTo(picture.Data);
        return picture;
    }

    /// <summary>A part of a picture as the networks take it: values in [0, 1], row by row, RGB.</summary>
    /// <param name="clip">The clip.</param>
    /// <param name="frame">The picture.</param>
    /// <param name="left">The part's first column.</param>
    /// <param name="top">The part's first row.</param>
    /// <param name="width">Its width.</param>
    /// <param name="pixels">Gets the values; its length decides the height.</param>
    public void Crop(int clip, int frame, int left, int top, int width, Span<float> pixels)
    {
        var source = Frame(clip, frame);
        for (var row = 0; row < pixels.Length / (width * 3); row++)
        {
            var line = source.Slice((((top + row) * Width) + left) * 3, width * 3);
            var target = pixels.Slice(row * width * 3, width * 3);
            for (var i = 0; i < line.Length; i++)
            {
                target[i] = line[i] / 255f;
            }
        }
    }
}
