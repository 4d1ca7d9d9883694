// The JSON file beside a video: the recipe, where picture and model were, and a hash of every frame.
using System.Text.Json;

namespace FashionFlow.App.Generation;

/// <summary>A sidecar.</summary>
internal sealed record Sidecar
{
    /// <summary>Its name where the video is a folder of frames.</summary>
    public const string NameInFolder = "recipe.json";

    /// <summary>How the video was made.</summary>
    public required Recipe Recipe { get; init; }

    /// <summary>Where the inputs were.</summary>
    public required SidecarPaths Paths { get; init; }

    /// <summary>The video file; null where it is a folder of frames.</summary>
    public SidecarFile? File { get; init; }

    /// <summary>The frames as they were decoded, before any encoder.</summary>
    public required SidecarFrames Frames { get; init; }

    /// <summary>"dress.mp4.json" for "dress.mp4"; for a folder of frames a file in it.</summary>
    /// <param name="video">The video's path.</param>
    /// <param name="isFolder">Whether it is a folder.</param>
    public static string PathFor(string video, bool isFolder) => isFolder ? Path.Combine(video, NameInFolder) : $"{video}.json";

    /// <summary>Writes it as indented JSON.</summary>
    public void WriteTo(Stream stream)
    {
        JsonSerializer.Serialize(stream, this, RecipeJson.Indented.Sidecar);
        stream.WriteByte((byte)'\n');
    }

    /// <summary>Reads the sidecar of a video; null where there is none.</summary>
    /// <exception cref="UserError">There is one, and it cannot be understood.</exception>
    public static Sidecar? ForVideo(string video)
    {
        var path = PathFor(video, Directory.Exists(video));
        try
        {
            using var stream = System.IO.File.OpenRead(path);
            return JsonSerializer.Deserialize(stream, RecipeJson.Indented.Sidecar) ?? throw new JsonException();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (JsonException e)
        {
            throw new UserError(ExitCode.Input, $"{path} is no sidecar of a video{(e.Path is { } where ? $", at {where}" : string.Empty)}", "delete it: then the recipe in the video counts", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(ExitCode.Input, $"{path} cannot be read: {e.Message}", cause: e);
        }
    }
}

/// <summary>Full paths of what went in.</summary>
internal sealed record SidecarPaths(string Input, string Model);

/// <summary>The video file.</summary>
internal sealed record SidecarFile(string Name, long Bytes, string Sha256);

/// <summary>The frames.</summary>
/// <param name="Width">Pixels a row.</param>
/// <param name="Height">Rows.</param>
/// <param name="Sha256">The hash of each frame's RGB bytes, rows from the top, three bytes a pixel.</param>
internal sealed record SidecarFrames(int Width, int Height, IReadOnlyList<string> Sha256);
