// The driver's binding as far as it goes without a GPU: Debian's libcuda1 loads anywhere and answers with the driver's errors.
// Where the library is missing, what is said of that is tested; where a GPU answers, the device itself.
using System.Diagnostics;
using System.Reflection;
using System.Runtime.InteropServices;
using FashionFlow.Gpu.Cuda;

namespace FashionFlow.Gpu.Tests;

public sealed class CudaDriverTests
{
    private static CudaDriverStatus Status => CudaDriver.TryInitialize();

    private static bool HasLibrary => Status.State != CudaDriverState.LibraryMissing;

    [Test]
    public void The_status_says_in_one_line_what_is_there_and_in_another_what_to_do()
    {
        Assert.That(Status.Message, Is.Not.Empty.And.Not.Contain("\n"));
        Assert.That(Status.Advice, Status.State == CudaDriverState.Ready ? Is.Empty : Does.Contain("--device virtual"));
        Assert.That(Status.LibraryName, HasLibrary ? Does.Contain("libcuda") : Is.Null);
        Assert.That(Status.DeviceCount > 0, Is.EqualTo(Status.State == CudaDriverState.Ready));
    }

    [Test]
    public void The_version_is_read_without_a_device()
    {
        if (HasLibrary)
        {
            Assert.That(Status.Version, Is.GreaterThanOrEqualTo(new Version(11, 0)));
        }
        else
        {
            Assert.That(Status.Version, Is.Null);
        }
    }

    [Test]
    public void Opening_a_device_without_one_is_the_drivers_error_with_advice()
    {
        if (Status.State == CudaDriverState.Ready)
        {
            using var device = CudaDevice.Open();
            Assert.That(device.Properties.WarpSize, Is.EqualTo(32));
            return;
        }

        var exception = Assert.Throws<GpuException>(() => CudaDevice.Open());
        Assert.That(exception.Result, Is.EqualTo(CudaResult.CUDA_ERROR_NO_DEVICE));
        Assert.That(exception.Message, Is.EqualTo($"CUDA_ERROR_NO_DEVICE: {Status.Message}; {Status.Advice}"));
    }

    [Test]
    public void The_driver_knows_the_results_by_the_names_that_we_give_them()
    {
        if (HasLibrary)
        {
            foreach (var result in Enum.GetValues<CudaResult>())
            {
                Assert.That(CudaDriver.NameOf(result), Is.EqualTo(result.ToString()));
            }
        }
        else
        {
            Assert.That(Status.Message, Does.Contain("libcuda.so.1"));
        }
    }

    [Test]
    public void A_result_that_we_do_not_list_keeps_the_drivers_name()
    {
        if (HasLibrary)
        {
            var exception = CudaDriver.Error((CudaResult)803, "starting");
            Assert.That(exception.Result, Is.EqualTo(CudaResult.CUDA_ERROR_UNKNOWN));
            Assert.That(exception.Detail, Does.StartWith("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): starting failed: "));
        }
        else
        {
            Assert.That(Status.Advice, Does.Contain("install NVIDIA's driver"));
        }
    }

    [Test]
    public void Every_function_of_the_binding_is_in_the_library()
    {
        var functions = typeof(CudaNative).GetMethods(BindingFlags.Public | BindingFlags.Static).Select(m => m.Name).ToArray();
        Assert.That(functions, Has.Length.GreaterThan(30));
        if (HasLibrary)
        {
            Assert.That(functions.Where(f => !NativeLibrary.TryGetExport(NativeLibraries.Cuda.Handle, f, out _)), Is.Empty);
        }
    }

    [Test]
    public unsafe void Calls_before_a_device_is_open_answer_with_an_error_and_do_not_crash()
    {
        if (HasLibrary && Status.State != CudaDriverState.Ready)
        {
            ulong address;
            int value;
            nint handle;
            Assert.That(
                new[]
                {
                    CudaNative.cuMemAlloc_v2(&address, 256), CudaNative.cuDeviceGet(&value, 0), CudaNative.cuDevicePrimaryCtxRetain(&handle, 0),
                    CudaNative.cuCtxSynchronize(), CudaNative.cuStreamCreate(&handle, 0), CudaNative.cuEventCreate(&handle, 0),
                },
                Has.All.Not.EqualTo(CudaResult.CUDA_SUCCESS));
            Assert.Throws<GpuException>(() => new CudaContextHandle(0));
        }
        else
        {
            Assert.That(Status.Message, Is.Not.Empty);
        }
    }

    // The library is looked up once a process, so what is said without one needs a process of its own.
    [TestCase("FASHIONFLOW_CUDA", "/nowhere/libcuda.so", "LibraryMissing|no CUDA driver: FASHIONFLOW_CUDA=/nowhere/libcuda.so is not a library that can be loaded")]
    [TestCase("FASHIONFLOW_CUDA", "libc.so.6", "Failed|libc.so.6 is not a CUDA driver")]
    public async Task A_library_that_is_missing_or_another_is_named(string variable, string value, string expected) =>
        Assert.That(await ProbeProcess.RunAsync("driver", (variable, value)), Does.StartWith(expected));

    [Test]
    public async Task NVRTC_that_is_missing_is_named() =>
        Assert.That(
            await ProbeProcess.RunAsync("nvrtc", (Nvrtc.PathVariable, "none")),
            Does.StartWith("missing: FASHIONFLOW_NVRTC=none is not a library that can be loaded"));
}
