// Frames to a folder of PNG files, numbered from 0 as the frames are.
using System.Globalization;
using System.Text.RegularExpressions;
using FashionFlow.App.Generation;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Media;

/// <summary>Writes <c>frame_00000.png</c> and so on into a folder that appears with all of them.</summary>
internal sealed partial class FrameFolderWriter(string target, bool overwrite, CancellationToken cancellation) : IVideoWriter
{
    private readonly PendingOutput _folder = PendingOutput.Folder(target, overwrite);
    private int _frames;

    /// <inheritdoc/>
    public PendingOutput Output => _folder;

    /// <summary>PNG files carry none: the sidecar lies in the folder.</summary>
    public string? Comment { get; set; }

    /// <summary>The name of a frame's file.</summary>
    public static string NameOf(int frame) => string.Create(CultureInfo.InvariantCulture, $"frame_{frame:00000}.png");

    /// <summary>Whether a folder holds frames and nothing else, so that it may be replaced; an empty one may not.</summary>
    public static bool IsFrameFolder(string folder)
    {
        var names = Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName).ToList();
        return names.Contains(NameOf(0)) && names.TrueForAll(name => name == Sidecar.NameInFolder || FrameName().IsMatch(name!));
    }

    /// <inheritdoc/>
    public void Write(Rgb8Image frame)
    {
        cancellation.ThrowIfCancellationRequested();
        _folder.FillMember(NameOf(_frames++), stream => PictureWriter.EncodePng(frame, stream));
    }

    /// <inheritdoc/>
    public void Finish()
    {
        if (_frames == 0)
        {
            throw new InvalidOperationException("A video needs a frame.");
        }
    }

    /// <inheritdoc/>
    public void Commit() => _folder.Commit();

    /// <inheritdoc/>
    public void Dispose() => _folder.Dispose();

    [GeneratedRegex(@"\Aframe_\d{5,}\.png\z")]
    private static partial Regex FrameName();
}
