// The files of an evaluation while it is made: the report, its plots, the sheet. They appear together at the end.
using FashionFlow.App.Media;

namespace FashionFlow.App.Evaluation;

/// <summary>A folder's files under temporary names, made at once, so that a place that cannot be written to is told before the work.</summary>
internal sealed class EvaluationFiles : IDisposable
{
    /// <summary>The report's name.</summary>
    public const string ReportName = "evaluation.json";

    private const string SheetName = "contact_sheet.png";

    private static readonly (string Name, Func<EvaluationReport, byte[]?> Draw)[] Drawn =
    [
        ("psnr_by_frame.png", EvaluationPlots.PsnrByFrame),
        ("gain_by_clip.png", EvaluationPlots.GainByClip),
        ("identity.png", EvaluationPlots.Identity),
    ];

    private readonly string _folder;
    private readonly bool _isNew;
    private readonly Dictionary<string, PendingOutput> _files = [];
    private bool _written;

    /// <summary>Makes the folder and the temporary files.</summary>
    /// <exception cref="UserError">They cannot be made, or a file exists and is to be kept.</exception>
    public EvaluationFiles(string folder, bool overwrite)
    {
        (_folder, _isNew) = (folder, !Directory.Exists(folder));
        PendingOutput.MakeFolder(folder);
        try
        {
            foreach (var name in Drawn.Select(d => d.Name).Prepend(SheetName).Prepend(ReportName))
            {
                _files.Add(name, PendingOutput.File(Path.Combine(folder, name), overwrite));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The report's path.</summary>
    public string Report => Path.Combine(_folder, ReportName);

    /// <summary>Writes all files, then gives them their names.</summary>
    /// <exception cref="UserError">One cannot be written.</exception>
    public void Write(EvaluationReport report, EvaluationSheet sheet, CancellationToken cancellation)
    {
        foreach (var (name, draw) in Drawn)
        {
            if (draw(report) is { } png)
            {
                _files[name].Fill(stream => stream.Write(png));
            }
            else
            {
                _files[name].Dispose();
                _files.Remove(name);
            }
        }

        _files[SheetName].Fill(stream => PictureWriter.EncodePng(sheet.Picture!, stream));
        _files[ReportName].Fill(report.WriteTo);
        cancellation.ThrowIfCancellationRequested();
        _written = true;

        // The report is last, so that it never stands without what it goes with.
        foreach (var name in _files.Keys.OrderBy(name => name == ReportName))
        {
            _files[name].Commit();
        }
    }

    /// <summary>Deletes what was not written, and the folder if it was made for it.</summary>
    public void Dispose()
    {
        foreach (var file in _files.Values)
        {
            file.Dispose();
        }

        if (_isNew && !_written)
        {
            try
            {
                Directory.Delete(_folder);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Somebody has put something into it meanwhile.
            }
        }
    }
}
