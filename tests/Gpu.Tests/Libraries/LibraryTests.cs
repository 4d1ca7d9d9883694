// NVIDIA's own libraries where they are installed: without a GPU they tell their version and their errors, which is enough to see
// that the bindings reach them.
using System.Runtime.InteropServices;
using FashionFlow.Gpu.Cuda.Libraries;

namespace FashionFlow.Gpu.Tests.Libraries;

public sealed class LibraryTests
{
    public static IEnumerable<string> Installed => ((string[])["libcublas.so.13", "libcublas.so.12", "libcublas.so.11"]).Where(IsThere).Take(1);

    [TestCaseSource(nameof(Installed))]
    public async Task The_installed_cuBLAS_tells_its_version_and_names_its_errors(string library)
    {
        var said = (await ProbeProcess.RunAsync(["libraries", "cublas"], ("FASHIONFLOW_CUBLAS", library))).Split('\n');
        using (Assert.EnterMultipleScope())
        {
            Assert.That(said[0], Does.Match($@"^{library} 1[123]\.\d+\.\d+$"));
            // Without a device it does not start, and with one it does; both are for the caller to see.
            Assert.That(said[1], Is.EqualTo("started").Or.EqualTo("CUDA_ERROR_NOT_INITIALIZED: starting cuBLAS failed: CUBLAS_STATUS_NOT_INITIALIZED (the library was not initialized)"));
        }
    }

    [Test]
    public async Task A_library_that_is_not_there_is_said_to_be_missing()
        => Assert.That(
            await ProbeProcess.RunAsync(["libraries", "all"], [.. StandIns.StandInLibrary.Variables.Select(name => (name, "/nowhere/lib.so"))]),
            Is.EqualTo(string.Concat(((string[])["CUBLAS", "CUBLASLT", "CUDNN"]).Select(
                name => $"||FASHIONFLOW_{name}=/nowhere/lib.so is not a library that can be loaded\n"))));

    [Test]
    public async Task A_library_of_another_name_is_said_to_be_another()
        => Assert.That(
            await ProbeProcess.RunAsync(["libraries", "all"], ("FASHIONFLOW_CUBLAS", "libc.so.6"), ("FASHIONFLOW_CUDNN", "libc.so.6")),
            Does.Match(@"^libc\.so\.6\|\|libc\.so\.6 is not the library that its name says: .*cublasGetProperty.*\n.*\nlibc\.so\.6\|\|.*cudnnGetVersion.*\n$"));

    [TestCase(1, CudaResult.CUDA_ERROR_NOT_INITIALIZED)]
    [TestCase(1001, CudaResult.CUDA_ERROR_NOT_INITIALIZED)]
    [TestCase(3, CudaResult.CUDA_ERROR_INVALID_VALUE)]
    [TestCase(2000, CudaResult.CUDA_ERROR_INVALID_VALUE)]
    [TestCase(2002, CudaResult.CUDA_ERROR_INVALID_VALUE)]
    [TestCase(9, CudaResult.CUDA_ERROR_NOT_SUPPORTED)]
    [TestCase(3003, CudaResult.CUDA_ERROR_NOT_SUPPORTED)]
    [TestCase(2, CudaResult.CUDA_ERROR_OUT_OF_MEMORY)]
    [TestCase(4004, CudaResult.CUDA_ERROR_OUT_OF_MEMORY)]
    [TestCase(8, CudaResult.CUDA_ERROR_LAUNCH_FAILED)]
    [TestCase(5000, CudaResult.CUDA_ERROR_LAUNCH_FAILED)]
    [TestCase(4, CudaResult.CUDA_ERROR_UNKNOWN)]
    public void Statuses_of_both_versions_of_cuDNN_become_the_driver_s_results(int status, CudaResult result)
        => Assert.That(CudaLibraries.ResultOfCudnn(status), Is.EqualTo(result));

    /// <summary>The probe.</summary>
    internal static int Run(string probe)
    {
        if (probe == "all")
        {
            foreach (var status in (CudaLibraryStatus[])[CudaLibraries.Cublas, CudaLibraries.CublasLt, CudaLibraries.Cudnn])
            {
                Console.Write($"{status.FileName}|{status.Version}|{status.Problem}\n");
            }

            return 0;
        }

        Console.Write($"{CudaLibraries.Cublas.FileName} {CudaLibraries.Cublas.Version}\n");
        try
        {
            unsafe
            {
                nint handle;
                CudaLibraries.Check(CublasNative.cublasCreate_v2(&handle), "starting cuBLAS");
            }

            Console.Write("started");
        }
        catch (GpuException e)
        {
            Console.Write(e.Message);
        }

        return 0;
    }

    private static bool IsThere(string library)
    {
        var found = NativeLibrary.TryLoad(library, out var handle);
        if (found)
        {
            NativeLibrary.Free(handle);
        }

        return found;
    }
}
