// What takes a video's frames one at a time: encoders, folders of pictures, contact sheets, hashes.
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Media;

/// <summary>
/// Takes frames in order. An output is finished before it is committed, so that several outputs of one run appear together
/// or not at all; nothing is left of one that was not committed.
/// </summary>
internal interface IFrameWriter : IDisposable
{
    /// <summary>Adds a frame; all have one size.</summary>
    /// <exception cref="UserError">The output cannot be written.</exception>
    void Write(Rgb8Image frame);

    /// <summary>Ends the output under its temporary name.</summary>
    /// <exception cref="UserError">The output cannot be written.</exception>
    void Finish();

    /// <summary>Gives the finished output its name.</summary>
    /// <exception cref="UserError">The output cannot be written.</exception>
    void Commit();
}

/// <summary>The output that is the video itself.</summary>
internal interface IVideoWriter : IFrameWriter
{
    /// <summary>The file or folder under its temporary name.</summary>
    PendingOutput Output { get; }

    /// <summary>Text for the file's metadata, where the form has such; to be set before the first frame.</summary>
    string? Comment { get; set; }
}
