// What people have in the place of a weights file, when a download did not give them one.
using System.Text;

namespace FashionFlow.Tensors.Weights;

/// <summary>Knows files that are no weights by how they start.</summary>
internal static class FileKind
{
    // How many of a file's first bytes are looked at.
    private const int Bytes = 512;

    /// <summary>What a file is, and what to do; null if it is none of these.</summary>
    public static string? Describe(MappedFile file)
    {
        var start = file.Slice(0, (int)long.Min(file.Length, Bytes));
        var text = Encoding.Latin1.GetString(start).TrimStart('\u00ef', '\u00bb', '\u00bf', ' ', '\r', '\n', '\t');
        return start.Length == 0 ? "an empty file"
            : text.StartsWith("version https://git-lfs", StringComparison.Ordinal) ? "a Git-LFS pointer, not the file itself: fetch it with git lfs pull, or download it from the site's file page"
            : text.StartsWith("<!doctype html", StringComparison.OrdinalIgnoreCase) || text.StartsWith("<html", StringComparison.OrdinalIgnoreCase) ? "a web page, not a weights file: the download gave an error or a login page"
            : null;
    }
}
