// How the loss of a video is put together from those of its frames.
namespace FashionFlow.Tensors;

/// <summary>What a video's loss is of the mean squared errors of its frames.</summary>
public enum FrameReduction
{
    /// <summary>Their sum, as the reference trains: the longer the video, the larger the loss.</summary>
    Sum,

    /// <summary>Their mean.</summary>
    Mean,
}
