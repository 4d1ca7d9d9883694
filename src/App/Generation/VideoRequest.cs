// One video that is to be made: the picture, the choices, and what is to be written.
using FashionFlow.App.Media;
using FashionFlow.Diffusion;

namespace FashionFlow.App.Generation;

/// <summary>What to make, and where to write it.</summary>
/// <param name="Picture">The picture.</param>
/// <param name="Path">The picture's file.</param>
/// <param name="Frame">Which frame of it the picture is.</param>
/// <param name="Options">The choices, resolved against the model.</param>
/// <param name="FramesPerSecond">The video's rate.</param>
/// <param name="Output">What is written.</param>
internal sealed record VideoRequest(SourcePicture Picture, string Path, int Frame, GenerationOptions Options, double FramesPerSecond, VideoOutput Output)
{
    /// <summary>The text for the video's metadata where it is not to be the recipe: what is made again must hold the old one.</summary>
    public string? Comment { get; init; }
}

/// <summary>What is written of one video.</summary>
/// <param name="Target">The video's file, or the folder of its frames.</param>
/// <param name="Format">Its form.</param>
/// <param name="Overwrite">Whether what is there may be replaced.</param>
internal sealed record VideoOutput(string Target, VideoFormat Format, bool Overwrite)
{
    /// <summary>Whether a contact sheet is written too.</summary>
    public bool WithContactSheet { get; init; }

    /// <summary>The sidecar's path.</summary>
    public string Sidecar => Generation.Sidecar.PathFor(Target, Format.IsFolder);

    /// <summary>The contact sheet's path: beside the video, also where that is a folder.</summary>
    public string ContactSheet => $"{Target[..^Format.Extension.Length]}.sheet.png";


    /// <summary>Refuses what cannot be written, without touching the disk.</summary>
    /// <exception cref="UserError">An output exists and is to be kept, or its folder does not exist.</exception>
    public void Check()
    {
        PendingOutput.Check(Target, Format.IsFolder, Overwrite);
        if (!Format.IsFolder)
        {
            PendingOutput.Check(Sidecar, isFolder: false, Overwrite);
        }

        if (WithContactSheet)
        {
            PendingOutput.Check(ContactSheet, isFolder: false, Overwrite);
        }
    }
}

/// <summary>What was made.</summary>
/// <param name="Output">What was written.</param>
/// <param name="Sidecar">What the sidecar says.</param>
/// <param name="Time">How long it took, loading included.</param>
/// <param name="PeakDeviceBytes">The most device memory that tensors took.</param>
internal sealed record VideoReport(VideoOutput Output, Sidecar Sidecar, TimeSpan Time, long PeakDeviceBytes);
