// The generator inside the compiler: its output compiles against the seam, its diagnostics point into the kernel file, and
// what did not change is not made again.
using System.Collections.Immutable;
using System.Text;
using FashionFlow.Gpu.Generator;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using RoslynText = Microsoft.CodeAnalysis.Text.SourceText;

namespace FashionFlow.Gpu.Tests;

public sealed class KernelBindingGeneratorTests
{
    private const string Kernel = """
        // Scales rows.
        // y = x * s, x & y [rows, n] with rows < 2^31.
        extern "C" __global__ void scale_rows_f32(const float* __restrict__ x, float* __restrict__ y, double s, int in) {}
        extern "C" __global__ void scale_rows_f64(const double* __restrict__ x, double* __restrict__ y, double s, int in) {}
        """;

    [Test]
    public void The_output_compiles_and_has_the_signatures()
    {
        var (compilation, diagnostics) = Run(("scale.cu", Kernel));
        Assert.That(diagnostics, Is.Empty);
        Assert.That(compilation.GetDiagnostics().Where(d => d.Severity >= DiagnosticSeverity.Warning), Is.Empty);
        var type = compilation.GetTypeByMetadataName("FashionFlow.Gpu.Kernels.ScaleKernels")!;
        var method = (IMethodSymbol)type.GetMembers("ScaleRowsF32").Single();
        Assert.That(
            method.Parameters.Select(p => $"{p.Type.ToDisplayString(SymbolDisplayFormat.MinimallyQualifiedFormat)} {p.Name}"),
            Is.EqualTo(["GpuStream stream", "LaunchShape shape", "DevicePointer<float> x", "DevicePointer<float> y", "double s", "int in"]));
        Assert.That(type.GetMembers("ScaleRowsF64"), Has.Length.EqualTo(1));
    }

    [Test]
    public void The_documentation_is_the_comment_above_the_entry()
    {
        var (compilation, _) = Run(("scale.cu", Kernel));
        var type = compilation.GetTypeByMetadataName("FashionFlow.Gpu.Kernels.ScaleKernels")!;
        Assert.That(
            type.GetMembers("ScaleRowsF32").Single().GetDocumentationCommentXml(),
            Does.Contain("y = x * s, x &amp; y [rows, n] with rows &lt; 2^31.").And.Contain("<c>const float*</c>"));
        Assert.That(type.GetMembers("ScaleRowsF64").Single().GetDocumentationCommentXml(), Does.Contain("Launches scale_rows_f64 of kernels/scale.cu."));
    }

    [Test]
    public void A_problem_is_an_error_at_its_line_in_the_kernel_file()
    {
        var (_, diagnostics) = Run(("bad.cu", "// one\n\nextern \"C\" __global__ void a(Shape s) {}\n"));
        var diagnostic = diagnostics.Single();
        Assert.Multiple(() =>
        {
            Assert.That(diagnostic.Severity, Is.EqualTo(DiagnosticSeverity.Error));
            Assert.That(diagnostic.Location.GetLineSpan().Path, Is.EqualTo("/tree/kernels/bad.cu"));
            Assert.That(diagnostic.Location.GetLineSpan().StartLinePosition.Line, Is.EqualTo(2));
            Assert.That(diagnostic.GetMessage(), Does.Contain("'Shape'"));
        });
    }

    [Test]
    public void Two_files_may_not_give_one_class()
    {
        var (_, diagnostics) = Run(("a_b.cu", "extern \"C\" __global__ void a() {}"), ("a-b.cu", "extern \"C\" __global__ void b() {}"));
        Assert.That(diagnostics.Select(d => d.GetMessage()), Has.Some.Contains("the same class ABKernels"));
    }

    [Test]
    public void A_file_that_did_not_change_is_not_bound_again()
    {
        var other = new KernelText("/tree/kernels/other.cu", "extern \"C\" __global__ void b() {}");
        GeneratorDriver driver = Driver(new KernelText("/tree/kernels/scale.cu", Kernel), other);
        var compilation = Compilation();
        driver = driver.RunGenerators(compilation);
        driver = driver.ReplaceAdditionalText(other, new KernelText("/tree/kernels/other.cu", "extern \"C\" __global__ void c() {}"));
        driver = driver.RunGenerators(compilation);
        var reasons = driver.GetRunResult().Results.Single().TrackedOutputSteps
            .SelectMany(s => s.Value).SelectMany(s => s.Outputs).Select(o => o.Reason).ToArray();
        Assert.That(reasons, Has.Some.EqualTo(IncrementalStepRunReason.Cached));
        Assert.That(reasons, Has.Some.EqualTo(IncrementalStepRunReason.Modified));
    }

    private static (Compilation Compilation, ImmutableArray<Diagnostic> Diagnostics) Run(params (string Name, string Text)[] files)
    {
        Driver([.. files.Select(f => new KernelText("/tree/kernels/" + f.Name, f.Text))]).RunGeneratorsAndUpdateCompilation(Compilation(), out var output, out var diagnostics);
        return (output, diagnostics);
    }

    private static CSharpGeneratorDriver Driver(params AdditionalText[] files) => CSharpGeneratorDriver.Create(
        [new KernelBindingGenerator().AsSourceGenerator()],
        files,
        CSharpParseOptions.Default.WithDocumentationMode(DocumentationMode.Diagnose),
        new Options(),
        new GeneratorDriverOptions(IncrementalGeneratorOutputKind.None, trackIncrementalGeneratorSteps: true));

    private static CSharpCompilation Compilation() => CSharpCompilation.Create(
        "Bindings",
        references: ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(p => Path.GetFileName(p).StartsWith("System.", StringComparison.Ordinal) || p.EndsWith("FashionFlow.Gpu.dll", StringComparison.Ordinal))
            .Append(typeof(GpuDevice).Assembly.Location)
            .Distinct(StringComparer.Ordinal)
            .Select(p => MetadataReference.CreateFromFile(p)),
        options: new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true));

    private sealed class KernelText(string path, string text) : AdditionalText
    {
        public override string Path => path;

        public override RoslynText GetText(CancellationToken cancellationToken = default) => RoslynText.From(text, Encoding.UTF8);
    }

    private sealed class Options : AnalyzerConfigOptionsProvider
    {
        public override AnalyzerConfigOptions GlobalOptions { get; } = new FileOptions("");

        public override AnalyzerConfigOptions GetOptions(SyntaxTree tree) => GlobalOptions;

        public override AnalyzerConfigOptions GetOptions(AdditionalText textFile) => new FileOptions(Path.GetFileName(textFile.Path));

        private sealed class FileOptions(string name) : AnalyzerConfigOptions
        {
            public override bool TryGetValue(string key, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out string? value)
            {
                value = key == "build_metadata.AdditionalFiles.KernelPath" && name.Length > 0 ? name : null;
                return value is not null;
            }
        }
    }
}
