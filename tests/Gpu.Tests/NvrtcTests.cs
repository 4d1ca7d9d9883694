// The compiler's binding: PTX, machine code, headers in memory, errors that can be read.
using System.Text;

namespace FashionFlow.Gpu.Tests;

public sealed class NvrtcTests
{
    private const string Kernel = """
        #include "scale.cuh"
        extern "C" __global__ void scale_f32(float* x, float s, int n)
        {
            const int i = blockIdx.x * blockDim.x + threadIdx.x;
            if (i < n) x[i] = scaled(x[i], s);
        }
        """;

    private const string Header = "template <typename T> __device__ T scaled(T x, T s) { return x * s; }\n";

    [OneTimeSetUp]
    public static void Needs_nvrtc() => Assert.That(Nvrtc.IsAvailable, Is.True, $"./test installs NVRTC: {Nvrtc.MissingReason}");

    [Test]
    public void The_version_is_that_of_the_library() => Assert.That(Nvrtc.Version, Does.Match(@"^1\d\.\d+$"));

    [Test]
    public void It_knows_the_architectures_of_the_project() => Assert.That(Nvrtc.SupportedArchitectures(), Is.SupersetOf([80, 90]).And.Ordered);

    [Test]
    public void Source_and_headers_become_ptx()
    {
        var source = Source(Kernel, Header);
        var ptx = Encoding.UTF8.GetString(Nvrtc.Compile(source.File, source.Headers, KernelSource.OptionsFor("compute_80")));
        Assert.That(ptx, Does.Contain(".visible .entry scale_f32(").And.Contain(".target sm_80").And.Not.Contain("\0"));
    }

    [TestCase("sm_80")]
    [TestCase("sm_90")]
    public void Source_and_headers_become_machine_code(string architecture)
    {
        var source = Source(Kernel, Header);
        var cubin = Nvrtc.Compile(source.File, source.Headers, KernelSource.OptionsFor(architecture));
        Assert.That(cubin.AsSpan(0, 4).ToArray(), Is.EqualTo("\u007fELF"u8.ToArray()));
    }

    [Test]
    public void An_error_shows_file_line_source_and_caret()
    {
        var exception = CompileFails("extern \"C\" __global__ void f(float* x)\n{\n    x[0] = undefined_name + 1;\n}\n", Header);
        Assert.That(exception.Message, Is.EqualTo("""
            kernels/scale.cu does not compile, 1 error:
            kernels/scale.cu(3): error: identifier "undefined_name" is undefined
                    x[0] = undefined_name + 1;
                           ^
            """));
        Assert.That(exception.File, Is.EqualTo("scale.cu"));
    }

    [Test]
    public void An_error_in_a_header_names_the_header()
    {
        var exception = CompileFails(Kernel, "template <typename T> __device__ T scaled(T x, T s) { return x * t; }\n");
        Assert.That(exception.Message, Does.Contain("\nkernels/include/scale.cuh(1): error: identifier \"t\" is undefined\n"));
    }

    [Test]
    public void Many_errors_are_counted_and_the_first_ten_shown()
    {
        var lines = string.Join('\n', Enumerable.Range(0, 14).Select(i => $"    x[{i}] = missing_{i};"));
        var exception = CompileFails("extern \"C\" __global__ void f(float* x)\n{\n" + lines + "\n}\n", Header);
        Assert.That(exception.Message, Does.Contain("14 errors").And.Contain("missing_9").And.Not.Contain("missing_10").And.Contain("and 4 more"));
    }

    [Test]
    public void A_missing_header_is_named_before_the_compiler_runs()
    {
        var exception = Assert.Throws<KernelCompilationException>(() => Source("// a\n#include \"none.cuh\"\n", Header));
        Assert.That(exception.Message, Does.Contain("scale.cu(2): the header \"none.cuh\" is not in kernels/include"));
    }

    [Test]
    public void An_unknown_option_is_the_compilers_message()
    {
        var exception = Assert.Throws<KernelCompilationException>(() => Nvrtc.Compile(new("a.cu", ""), [], ["--no-such-option"]));
        Assert.That(exception.Message, Does.Contain("kernels/a.cu does not compile (NVRTC_ERROR_INVALID_OPTION)").And.Contain("no-such-option"));
    }

    [Test]
    public void It_may_be_used_from_many_threads()
    {
        var source = Source(Kernel, Header);
        var all = new byte[8][];
        Parallel.For(0, all.Length, i => all[i] = Nvrtc.Compile(source.File, source.Headers, KernelSource.OptionsFor("compute_80")));
        Assert.That(all, Has.All.EqualTo(all[0]));
    }

    private static KernelCompilationException CompileFails(string kernel, string header)
    {
        var source = Source(kernel, header);
        return Assert.Throws<KernelCompilationException>(
            () => Nvrtc.Compile(source.File, source.Headers, KernelSource.OptionsFor("compute_80")));
    }

    private static KernelSource Source(string kernel, string header) =>
        new(new("scale.cu", kernel), name => name == "scale.cuh" ? header : null);
}
