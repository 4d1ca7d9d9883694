// The device over a driver of our own (FakeDriver/cuda.c), which checks what it is given and counts what lives: the whole seam
// of a GPU runs on a machine without one. It is made with the system's C compiler; these tests exist where there is one.
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using FashionFlow.Gpu.Cuda;

namespace FashionFlow.Gpu.Tests;

public sealed class CudaDeviceTests
{
    public static IEnumerable<string> Probes => HasCompiler() ? ["memory", "kernels", "streams", "threads", "errors", "finalizers", "selector"] : [];

    [TestCaseSource(nameof(Probes))]
    public async Task Over_a_driver_that_checks(string probe)
    {
        var directory = Directory.CreateTempSubdirectory("fashionflow-driver-").FullName;
        try
        {
            var library = Path.Combine(directory, "libfakecuda.so");
            var source = Path.Combine(ProjectKernelTests.RepositoryRoot(), "tests", "Gpu.Tests", "FakeDriver", "cuda.c");
            using (var compiler = Process.Start("cc", ["-shared", "-fPIC", "-O1", "-o", library, source]))
            {
                await compiler.WaitForExitAsync();
                Assert.That(compiler.ExitCode, Is.Zero);
            }

            Assert.That(await ProbeProcess.RunAsync(["cuda-device", probe], ("FASHIONFLOW_CUDA", library)), Is.EqualTo("as it should be"));
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>The probe: uses the device, and leaves nothing alive.</summary>
    internal static int Run(string probe)
    {
        Expect(CudaDriver.TryInitialize().Message, "CUDA 12.2 driver with 1 device");
        if (probe == "finalizers")
        {
            Abandon();
            for (var i = 0; i < 10 && Live() != 0; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        }
        else if (probe == "selector")
        {
            using var device = VirtualGpu.DeviceSelector.Open("auto");
            Expect(device.Kind, "cuda");
            Fails(CudaResult.CUDA_ERROR_INVALID_DEVICE, "there is no device 1; the driver has 1", () => VirtualGpu.DeviceSelector.Open("cuda:1"));
        }
        else
        {
            using var device = CudaDevice.Open();
            switch (probe)
            {
                case "memory":
                    Memory(device);
                    break;
                case "kernels":
                    Kernels(device);
                    break;
                case "streams":
                    Streams(device);
                    break;
                case "threads":
                    Parallel.For(0, 50, _ => Memory(device));
                    break;
                default:
                    Errors(device);
                    break;
            }
        }

        Expect(Live(), 0);
        Console.Write("as it should be");
        return 0;
    }

    private static bool HasCompiler() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(p => p.Length > 0 && File.Exists(Path.Combine(p, "cc")));

    private static void Memory(CudaDevice device)
    {
        Expect(device.MemoryInfo, new MemoryInfo(4000000000, 5000000000));
        var a = device.Allocate(1000);
        var b = device.Allocate(1000);
        Expect(a.Address % 256, 0ul);
        var bytes = Enumerable.Range(0, 1000).Select(i => (byte)i).ToArray();
        device.CopyToDevice(a, bytes, device.DefaultStream);
        device.Fill(b, 9, 1000, device.DefaultStream);
        device.Copy(b.Offset(1), a.Offset(1), 998, device.DefaultStream);
        var back = new byte[1000];
        device.CopyToHost(back, b, device.DefaultStream);
        bytes[0] = bytes[999] = 9;
        Expect(back.AsSpan().SequenceEqual(bytes), true);
        device.CopyToDevice(a, [], device.DefaultStream);
        device.CopyToHost([], a, device.DefaultStream);
        device.Fill(a, 1, 0, device.DefaultStream);
        device.Copy(a, b, 0, device.DefaultStream);
        device.Synchronize();
        device.Free(a);
        device.Free(b);
    }

    private static void Kernels(CudaDevice device)
    {
        var properties = device.Properties;
        Expect(properties.Name, "Fake GPU");
        Expect(properties.ComputeCapability, new ComputeCapability(8, 6));
        Expect(properties.MultiprocessorCount, 1016);
        Expect(properties.MaxBlockDim, new Dim3(1002, 1003, 1004));
        Expect(properties.MaxGridDim, new Dim3(1005, 1006, 1007));
        Expect(properties.MaxSharedMemoryPerBlockOptin, 1097);
        using var module = device.LoadModule("good ptx"u8);
        var function = module.GetFunction("fill_f32");
        Expect(function.Name, "fill_f32");
        Expect(function.Attributes, new FunctionAttributes
        {
            MaxThreadsPerBlock = 100,
            StaticSharedMemory = 101,
            ConstantMemory = 102,
            LocalMemory = 103,
            Registers = 104,
            MaxDynamicSharedMemory = 49152,
        });
        function.SetMaxDynamicSharedMemory(65536);
        Expect(function.Attributes.MaxDynamicSharedMemory, 65536);
        Expect(function.MaxActiveBlocksPerMultiprocessor(256, 2048), 6);
        var global = module.GetGlobal("table", out var size);
        Expect(size, 12L);
        var parameters = new byte[16];
        BitConverter.TryWriteBytes(parameters, global.Address);
        BitConverter.TryWriteBytes(parameters.AsSpan(8), 2.5f);
        BitConverter.TryWriteBytes(parameters.AsSpan(12), 3);
        function.Launch(device.DefaultStream, new LaunchShape(new Dim3(2, 3, 4), new Dim3(32, 5, 6), 64), parameters);
        var table = new float[3];
        device.CopyToHost(MemoryMarshal.AsBytes(table.AsSpan()), global, device.DefaultStream);
        Expect(table.SequenceEqual([2.5f, 2.5f, 2.5f]), true);
    }

    private static void Streams(CudaDevice device)
    {
        using var stream = device.CreateStream();
        using var start = device.CreateEvent();
        using var end = device.CreateEvent();
        stream.Record(start);
        device.DefaultStream.Wait(start);
        stream.Record(end);
        end.Synchronize();
        stream.Synchronize();
        Expect(end.ElapsedMilliseconds(start), 1.5f);
        Expect(ReferenceEquals(stream.Device, device), true);
    }

    private static void Errors(CudaDevice device)
    {
        Fails(CudaResult.CUDA_ERROR_INVALID_PTX, "loading a module (line 3: bad opcode) failed: other", () => device.LoadModule("bad ptx"u8));
        Fails(CudaResult.CUDA_ERROR_OUT_OF_MEMORY, "5,000,000,000 bytes were asked for, 4,000,000,000 of 5,000,000,000 are free", () => device.Allocate(5000000000));
        using var module = device.LoadModule("good ptx"u8);
        Fails(CudaResult.CUDA_ERROR_NOT_FOUND, "looking for the entry other failed: named symbol not found", () => module.GetFunction("other"));
        Fails(CudaResult.CUDA_ERROR_NOT_FOUND, "looking for the variable other failed", () => module.GetGlobal("other", out _));
        Fails(
            CudaResult.CUDA_ERROR_INVALID_VALUE,
            "launching fill_f32 with grid (1, 1, 1), block (32, 1, 1), 0 bytes of dynamic shared memory failed",
            () => module.GetFunction("fill_f32").Launch(device.DefaultStream, new LaunchShape(1, 32), new byte[16]));
        using (var other = CudaDevice.Open())
        {
            Fails(CudaResult.CUDA_ERROR_INVALID_HANDLE, "the stream belongs to another device", () => device.Fill(default, 0, 1, other.DefaultStream));
        }

        device.Synchronize();
        var closed = CudaDevice.Open();
        closed.Dispose();
        try
        {
            closed.Synchronize();
            throw new InvalidOperationException("a closed device still works");
        }
        catch (ObjectDisposedException)
        {
            // That is what it should say.
        }
    }

    /// <summary>Nobody disposes of anything here; the handles' finalizers must, in whatever order and on their own thread.</summary>
    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static void Abandon() => Task.Run(() =>
    {
        for (var i = 0; i < 5; i++)
        {
            var device = CudaDevice.Open();
            device.CreateStream();
            device.CreateEvent();
            device.LoadModule("good ptx"u8);
        }
    }).Wait();

    private static unsafe int Live() => ((delegate* unmanaged<int>)NativeLibrary.GetExport(NativeLibraries.Cuda.Handle, "fakeLive"))();

    private static void Fails(CudaResult result, string detail, Action action)
    {
        try
        {
            action();
        }
        catch (GpuException exception) when (exception.Result == result && exception.Detail.StartsWith(detail, StringComparison.Ordinal))
        {
            return;
        }

        throw new InvalidOperationException($"{result}: {detail} was expected");
    }

    private static void Expect<T>(T actual, T expected)
    {
        if (!EqualityComparer<T>.Default.Equals(actual, expected))
        {
            throw new InvalidOperationException($"expected {expected}, got {actual}");
        }
    }
}
