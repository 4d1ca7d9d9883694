// Turns every entry of kernels/*.cu into a typed launch method, so that a wrong argument is a compile error.
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Text;

namespace FashionFlow.Gpu.Generator;

/// <summary>The source generator. Kernel files are the additional files with the metadata <c>KernelPath</c>.</summary>
[Generator(LanguageNames.CSharp)]
public sealed class KernelBindingGenerator : IIncrementalGenerator
{
    private static readonly DiagnosticDescriptor CannotBind = new(
        "FFK001",
        "A kernel entry cannot be bound",
        "{0}",
        "Kernels",
        DiagnosticSeverity.Error,
        isEnabledByDefault: true);

    /// <inheritdoc/>
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        var files = context.AdditionalTextsProvider
            .Combine(context.AnalyzerConfigOptionsProvider)
            .Select(static (pair, cancellation) =>
            {
                var (file, options) = pair;
                return options.GetOptions(file).TryGetValue("build_metadata.AdditionalFiles.KernelPath", out var name)
                    && !string.IsNullOrEmpty(name)
                    ? KernelParser.Parse(file.Path, name.Replace('\\', '/'), file.GetText(cancellation)?.ToString() ?? "")
                    : null;
            })
            .Where(static file => file is not null);

        context.RegisterSourceOutput(files, static (output, file) =>
        {
            foreach (var problem in file!.Problems)
            {
                output.ReportDiagnostic(Diagnostic.Create(CannotBind, LocationOf(file.Path, problem.Line), problem.Message));
            }

            if (file.Entries.Count > 0)
            {
                output.AddSource(file.Name + ".g.cs", SourceText.From(KernelEmitter.EmitClass(file), Encoding.UTF8));
            }
        });

        context.RegisterSourceOutput(files.Collect(), static (output, all) =>
        {
            ReportDuplicates(output, all!);
            output.AddSource("KernelCatalog.g.cs", SourceText.From(KernelEmitter.EmitCatalog(all!), Encoding.UTF8));
        });
    }

    private static void ReportDuplicates(SourceProductionContext output, IEnumerable<KernelFileModel> files)
    {
        foreach (var group in files.GroupBy(f => f.ClassName).Where(g => g.Count() > 1))
        {
            foreach (var file in group.Skip(1))
            {
                output.ReportDiagnostic(Diagnostic.Create(
                    CannotBind, LocationOf(file.Path, 1), $"{file.Name} would give the same class {file.ClassName} as {group.First().Name}; rename one"));
            }
        }
    }

    private static Location LocationOf(string path, int line)
    {
        var position = new LinePosition(Math.Max(0, line - 1), 0);
        return Location.Create(path, default, new LinePositionSpan(position, position));
    }
}
