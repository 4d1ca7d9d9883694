// What the generator reads from kernel files, and what it refuses.
using FashionFlow.Gpu.Generator;

namespace FashionFlow.Gpu.Tests;

public sealed class KernelParserTests
{
    [Test]
    public void An_entry_gives_names_types_offsets_and_its_comment()
    {
        var file = Parse("""
            // Adds things up.
            #include "common.cuh"

            template <typename T> __device__ void add(T* y, int n) { /* extern "C" __global__ void not_this(int a) {} */ }

            // y += x for n elements.
            // Least bytes: 12 n.
            extern "C" __global__ void __launch_bounds__(256, 2) add_rows_f32(
                const float* __restrict__ x, // the addend
                int row_count, float* const y, long long n, unsigned char flag, double scale, unsigned k)
            { add(y, n); }
            """);
        Assert.That(file.Problems, Is.Empty);
        Assert.That(file.ClassName, Is.EqualTo("VectorAddKernels"));
        Assert.That(file.Comment, Is.EqualTo(["Adds things up."]));
        var entry = file.Entries.Single();
        Assert.Multiple(() =>
        {
            Assert.That(entry.Name, Is.EqualTo("add_rows_f32"));
            Assert.That(entry.MethodName, Is.EqualTo("AddRowsF32"));
            Assert.That(entry.Line, Is.EqualTo(8));
            Assert.That(entry.Comment, Is.EqualTo(["y += x for n elements.", "Least bytes: 12 n."]));
            Assert.That(entry.ParameterBytes, Is.EqualTo(52));
            Assert.That(
                entry.Parameters.Select(p => $"{p.KernelType} {p.ManagedType} {p.IsPointer} {p.Name} {p.Offset} {p.Size}"),
                Is.EqualTo([
                    "const float* float True x 0 8",
                    "int int False rowCount 8 4",
                    "float* float True y 16 8",
                    "long long long False n 24 8",
                    "unsigned char byte False flag 32 1",
                    "double double False scale 40 8",
                    "unsigned uint False k 48 4",
                ]));
        });
    }

    [TestCase("extern \"C\" __global__ __launch_bounds__(128) void a_f32(int n) {}")]
    [TestCase("extern \"C\" __global__ void __launch_bounds__((1 + 1) * 64) a_f32(int n) {}")]
    [TestCase("extern \"C\"\n__global__\nvoid\na_f32\n(\nint n\n)\n{\n}")]
    [TestCase("extern \"C\" __global__ void a_f32(const int n);\nextern \"C\" __global__ void a_f32(const int n) {}")]
    [TestCase("const char* s = \"extern __global__ void x()\"; extern \"C\" __global__ void a_f32(int /* rows, (really) */ n) {}")]
    public void Ways_to_write_an_entry(string text)
    {
        var file = Parse(text);
        Assert.That(file.Problems, Is.Empty);
        Assert.That(file.Entries.Select(e => $"{e.MethodName}({string.Join(',', e.Parameters.Select(p => p.ManagedType))})"), Is.EqualTo(["AF32(int)"]));
    }

    [Test]
    public void Half_types_are_bound_as_pointers_and_half_may_be_a_name()
    {
        var file = Parse("extern \"C\" __global__ void a(const half* __restrict__ x, bfloat16* y, int half) {}");
        Assert.That(file.Problems, Is.Empty);
        Assert.That(
            file.Entries[0].Parameters.Select(p => (p.Name, p.KernelType, p.ManagedType, p.IsPointer)),
            Is.EqualTo([
                ("x", "const half*", "global::System.Half", true), ("y", "bfloat16*", "global::FashionFlow.Gpu.BFloat16", true), ("half", "int", "int", false),
            ]));
    }

    [Test]
    public void An_entry_may_have_no_parameters()
    {
        var file = Parse("extern \"C\" __global__ void a() {}\nextern \"C\" __global__ void b(void) {}");
        Assert.That(file.Problems, Is.Empty);
        Assert.That(file.Entries.Select(e => e.ParameterBytes), Is.EqualTo([0, 0]));
    }

    [TestCase("extern \"C\" __global__ void a(Shape s) {}", 1, "'Shape'")]
    [TestCase("\nextern \"C\" __global__ void a(\n  int n,\n  struct S s) {}", 4, "'struct'")]
    [TestCase("extern \"C\" __global__ void a(ARGS) {}", 1, "'ARGS' is not a parameter")]
    [TestCase("extern \"C\" __global__ void a(REAL* x) {}", 1, "'REAL'")]
    [TestCase("extern \"C\" __global__ void a(float4* x) {}", 1, "'float4'")]
    [TestCase("extern \"C\" __global__ void a(float& x) {}", 1, "'&'")]
    [TestCase("extern \"C\" __global__ void a(float x[]) {}", 1, "is not a parameter")]
    [TestCase("extern \"C\" __global__ void a(float** x) {}", 1, "pointer to a pointer")]
    [TestCase("extern \"C\" __global__ void a(int) {}", 1, "is not a parameter")]
    [TestCase("extern \"C\" __global__ void a(long n) {}", 1, "write long long or int")]
    [TestCase("extern \"C\" __global__ void a(bool n) {}", 1, "no portable layout")]
    [TestCase("extern \"C\" __global__ void a(void n) {}", 1, "cannot be bound")]
    [TestCase("extern \"C\" __global__ void a(half x) {}", 1, "pass float")]
    [TestCase("extern \"C\" __global__ void a(const half) {}", 1, "cannot be bound")]
    [TestCase("extern \"C\" __global__ void a(int n, int N) {}", 1, "two parameters would be called 'n'")]
    [TestCase("extern \"C\" __global__ void a(float* stream) {}", 1, "the name 'stream' is taken")]
    [TestCase("extern \"C\" __global__ void a(int n) {}\nextern \"C\" __global__ void a(float n) {}", 2, "already defined in line 1")]
    [TestCase("extern \"C\" __global__ void a_b(int n) {}\nextern \"C\" __global__ void a__b() {}", 2, "the same method AB")]
    [TestCase("\n__global__ void a(int n) {}", 2, "extern \"C\"")]
    [TestCase("extern \"C\" { __global__ void a(int n) {} }", 1, "extern \"C\"")]
    [TestCase("template <typename T> __global__ void a(T n) {}", 1, "template")]
    [TestCase("extern \"C\" __global__ static void a(int n) {}", 1, "'void' is expected")]
    [TestCase("extern \"C\" __global__ void NAME(a)(int n) {}", 1, "'{' is expected")]
    [TestCase("#define ENTRY(name) \\\n  extern \"C\" __global__ void name() {}\nENTRY(a)", 1, "a macro may not make an entry")]
    [TestCase("extern \"C\" __global__ void a(int n", 1, "not closed")]
    [TestCase("__device__ int f() { return 1; }", 1, "no entry")]
    public void What_cannot_be_bound_is_named_with_its_line(string text, int line, string message)
    {
        var file = Parse(text);
        Assert.That(file.Problems, Is.Not.Empty);
        Assert.That(file.Problems[0].Line, Is.EqualTo(line), file.Problems[0].Message);
        Assert.That(file.Problems[0].Message, Does.Contain(message));
    }

    [TestCase("group_norm_silu_f32", "GroupNormSiluF32")]
    [TestCase("gemm", "Gemm")]
    [TestCase("a__b", "AB")]
    public void Snake_case_becomes_pascal_case(string snake, string pascal) => Assert.That(KernelParser.ToPascal(snake), Is.EqualTo(pascal));

    [Test]
    public void Names_that_csharp_keeps_for_itself_are_escaped()
    {
        var entry = Parse("extern \"C\" __global__ void a(float* in, float* out, int HW, int inChannels) {}").Entries.Single();
        Assert.That(entry.Parameters.Select(p => p.Name), Is.EqualTo(["@in", "@out", "hw", "inChannels"]));
    }

    private static KernelFileModel Parse(string text) => KernelParser.Parse("/tree/kernels/vector_add.cu", "vector_add.cu", text);
}
