// One video that is to be made: the picture, or where an earlier run stopped, the choices, and what is to be written.
using FashionFlow.App.Media;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Preprocessing;

namespace FashionFlow.App.Generation;

/// <summary>What to make, and where to write it.</summary>
/// <param name="Input">The picture as recipes name it.</param>
/// <param name="Path">The picture's file.</param>
/// <param name="Options">The choices, resolved against the model.</param>
/// <param name="FramesPerSecond">The video's rate.</param>
/// <param name="Output">What is written.</param>
internal sealed record VideoRequest(RecipeInput Input, string Path, GenerationOptions Options, double FramesPerSecond, VideoOutput Output)
{
    /// <summary>The picture; null where <see cref="Saved"/> is what the video is made of.</summary>
    public Rgb8Image? Picture { get; init; }

    /// <summary>Where an earlier run stopped; null for a new video.</summary>
    public SavedLatents? Saved { get; init; }

    /// <summary>Whether the latents are saved while the video is made, and when it is stopped.</summary>
    public bool SavesLatents { get; init; }

    /// <summary>Where the latents are saved: a run that goes on keeps to its file.</summary>
    public string Latents => Saved?.Path ?? Output.Latents;

    /// <summary>Whether the latents stay when the video is done.</summary>
    public bool KeepsLatents { get; init; }

    /// <summary>Steps between checkpoints; null for one now and then.</summary>
    public int? CheckpointEvery { get; init; }

    /// <summary>Steps between previews; null for none.</summary>
    public int? PreviewEvery { get; init; }

    /// <summary>The rows in strips of which an earlier run decoded, or was to; 0 for whole frames; null leaves it to the plan.</summary>
    public int? DecodeRows { get; init; }

    /// <summary>Whether values that are infinite or no number are searched for.</summary>
    public bool ChecksFinite { get; init; }

    /// <summary>The text for the video's metadata where it is not to be the recipe: what is made again must hold the old one.</summary>
    public string? Comment { get; init; }

    /// <summary>The networks that are needed.</summary>
    public PipelineParts Parts => Saved is null ? PipelineParts.All : Saved.IsSampled ? PipelineParts.Autoencoder : PipelineParts.Autoencoder | PipelineParts.Unet;

    /// <summary>A video of a picture.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="path">Its file.</param>
    /// <param name="frame">Which frame of it the picture is.</param>
    /// <param name="options">The choices, resolved against the model.</param>
    /// <param name="framesPerSecond">The video's rate.</param>
    /// <param name="output">What is written.</param>
    public static VideoRequest OfPicture(SourcePicture picture, string path, int frame, GenerationOptions options, double framesPerSecond, VideoOutput output)
        => new(new RecipeInput(System.IO.Path.GetFileName(path), picture.Sha256, frame), path, options, framesPerSecond, output) { Picture = picture.Image };

    /// <summary>A video that an earlier run began.</summary>
    /// <param name="saved">Where it stopped.</param>
    /// <param name="options">Its choices, resolved against the model.</param>
    /// <param name="framesPerSecond">The video's rate.</param>
    /// <param name="output">What is written.</param>
    public static VideoRequest OfSaved(SavedLatents saved, GenerationOptions options, double framesPerSecond, VideoOutput output)
        => new(saved.Recipe.Input, saved.Paths.Input, options, framesPerSecond, output) { Saved = saved, DecodeRows = saved.Recipe.Options.DecodeRows ?? 0 };
}

/// <summary>What is written of one video.</summary>
/// <param name="Target">The video's file, or the folder of its frames.</param>
/// <param name="Format">Its form.</param>
/// <param name="Overwrite">Whether what is there may be replaced.</param>
internal sealed record VideoOutput(string Target, VideoFormat Format, bool Overwrite)
{
    /// <summary>Whether a contact sheet is written too.</summary>
    public bool WithContactSheet { get; init; }

    /// <summary>Whether previews are written.</summary>
    public bool WithPreview { get; init; }

    /// <summary>The sidecar's path.</summary>
    public string Sidecar => Generation.Sidecar.PathFor(Target, Format.IsFolder);

    /// <summary>The contact sheet's path: beside the video, also where that is a folder.</summary>
    public string ContactSheet => $"{Target[..^Format.Extension.Length]}.sheet.png";

    /// <summary>The preview's path.</summary>
    public string Preview => $"{Target[..^Format.Extension.Length]}.preview.png";

    /// <summary>The latents' path.</summary>
    public string Latents => SavedLatents.PathFor(Target);

    /// <summary>Deletes what a killed process left unfinished of these outputs.</summary>
    public void DeleteLeftovers()
    {
        foreach (var path in new[] { Target, Sidecar, ContactSheet, Preview, Latents })
        {
            PendingOutput.DeleteLeftoversOf(path);
        }
    }

    /// <summary>Refuses to begin a video anew where an earlier run left its latents or its preview.</summary>
    /// <exception cref="UserError">There are some, and what is there is to be kept.</exception>
    public void CheckBeginning()
    {
        if (WithPreview)
        {
            PendingOutput.Check(Preview, isFolder: false, Overwrite);
        }

        if (!Overwrite && File.Exists(Latents))
        {
            throw new UserError(ExitCode.Output, $"{Latents} exists: an earlier run did not end", $"{SavedLatents.HowToGoOn(Latents)}; or begin anew with --overwrite");
        }
    }

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
internal sealed record VideoReport(VideoOutput Output, Sidecar Sidecar, TimeSpan Time, long PeakDeviceBytes)
{
    /// <summary>The latents that were kept; null if none were.</summary>
    public string? Latents { get; init; }
}
