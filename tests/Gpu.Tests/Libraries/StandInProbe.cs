// What tests do to the stand-ins in a process of its own, right and wrong.
using System.Runtime.InteropServices;
using FashionFlow.Gpu.Cuda;
using FashionFlow.Gpu.Cuda.Libraries;
using FashionFlow.StandIns;

namespace FashionFlow.Gpu.Tests.Libraries;

internal static unsafe class StandInProbe
{
    private const int Side = 8;

    /// <summary>A mistake, what is said of it, and the result that the caller gets.</summary>
    public static Dictionary<string, (Func<Probe, int> Do, int Result, string Misuse)> Mistakes { get; } = new(StringComparer.Ordinal)
    {
        ["a leading dimension beyond the operand"] = (
            p => p.Try(() => p.Blas.Gemm(p.Stream, Square() with { LeadingDimensionB = 4 * Side }, p.A, p.B, default, p.C, default)),
            (int)CudaResult.CUDA_ERROR_LAUNCH_FAILED, "cublasGemmStridedBatchedEx: A at .*, 232 elements long, is not inside one allocation"),
        ["a batch whose results overlap"] = (
            p => p.Try(() => p.Blas.Gemm(p.Stream, Square() with { M = 4, BatchCount = 2, BatchStrideA = 32, BatchStrideC = 4 }, p.A, p.B, default, p.C, default)),
            (int)CudaResult.CUDA_ERROR_INVALID_VALUE, "cublasGemmStridedBatchedEx: the matrices C of the batch overlap \\(stride 4\\)"),
        ["an operand that was freed"] = (
            p =>
            {
                p.Device.Free(p.A);
                var result = p.Try(() => p.Blas.Gemm(p.Stream, Square(), p.A, p.B, default, p.C, default));
                p.Reallocate();
                return result;
            },
            (int)CudaResult.CUDA_ERROR_LAUNCH_FAILED, "cublasGemmStridedBatchedEx: B at .* is not inside one allocation"),
        ["an operand off its elements' alignment"] = (
            p => p.Try(() => p.Blas.Gemm(p.Stream, Square() with { M = 1 }, p.A.Offset(2), p.B, default, p.C, default)),
            (int)CudaResult.CUDA_ERROR_LAUNCH_FAILED, "cublasGemmStridedBatchedEx: B at .* is not aligned to its elements"),
        ["a bias that is too short"] = (
            p => p.Try(() => p.Blas.Gemm(p.Stream, Square(), p.A, p.B, p.A.Offset(((Side * Side) - 1) * sizeof(float)), p.C, default)),
            (int)CudaResult.CUDA_ERROR_LAUNCH_FAILED, "cublasLtMatmul: the bias at .*, 8 elements long, is not inside one allocation"),
        ["a stream that was destroyed"] = (
            p =>
            {
                var create = (delegate* unmanaged<nint*, uint, int>)p.Export("cuStreamCreate");
                nint stream;
                Assert.That(create(&stream, 1), Is.Zero);
                Assert.That(((delegate* unmanaged<nint, int>)p.Export("cuStreamDestroy_v2"))(stream), Is.Zero);
                return ((delegate* unmanaged<nint, int>)p.Export("cuStreamSynchronize"))(stream);
            },
            (int)CudaResult.CUDA_ERROR_INVALID_HANDLE, "cuStreamSynchronize: the stream was destroyed"),
        ["an event for a stream"] = (
            p =>
            {
                nint marker;
                Assert.That(((delegate* unmanaged<nint*, uint, int>)p.Export("cuEventCreate"))(&marker, 0), Is.Zero);
                var result = ((delegate* unmanaged<nint, int>)p.Export("cuStreamSynchronize"))(marker);
                Assert.That(((delegate* unmanaged<nint, int>)p.Export("cuEventDestroy_v2"))(marker), Is.Zero);
                return result;
            },
            (int)CudaResult.CUDA_ERROR_INVALID_HANDLE, "cuStreamSynchronize: the stream is not one"),
        ["memory that is freed twice"] = (
            p =>
            {
                var extra = p.Device.Allocate(64);
                p.Device.Free(extra);
                return p.Try(() => p.Device.Free(extra));
            },
            (int)CudaResult.CUDA_ERROR_INVALID_VALUE, "cuMemFree_v2: 0x[0-9a-f]+ is no allocation"),
        ["a function of a module that was unloaded"] = (
            p =>
            {
                var module = p.Device.LoadModule(".version 7.8\n.target sm_70\n.address_size 64\n.visible .entry nothing() { ret; }"u8);
                var function = module.GetFunction("nothing");
                module.Dispose();
                return p.Try(() => function.LaunchWith(p.Stream, new LaunchShape(1, 1)));
            },
            (int)CudaResult.CUDA_ERROR_INVALID_HANDLE, "cuLaunchKernel: the function was destroyed"),
        ["no current context"] = (
            p =>
            {
                var set = (delegate* unmanaged<nint, int>)p.Export("cuCtxSetCurrent");
                nint context;
                Assert.That(((delegate* unmanaged<nint*, int>)p.Export("cuCtxGetCurrent"))(&context), Is.Zero);
                Assert.That(set(0), Is.Zero);
                nint handle;
                var result = ((delegate* unmanaged<nint*, int>)p.Export("cublasCreate_v2"))(&handle);
                Assert.That(set(context), Is.Zero);
                return result;
            },
            1, "cublasCreate_v2: the thread has no current context"),
        ["a workspace that is too small"] = (
            p => p.Convolve(algorithm: 1, workspaceBytes: 16),
            2000, "cudnnConvolutionForward: algorithm 1 needs \\d+ bytes of workspace, not 16"),
        ["a descriptor that was destroyed"] = (
            p => p.Convolve(algorithm: 1, workspaceBytes: 4096, destroyFilter: true),
            2000, "cudnnConvolutionForward: w's descriptor was destroyed"),
        ["a tensor that is too large for its memory"] = (
            p => p.Convolve(algorithm: 1, workspaceBytes: 4096, height: 64),
            5000, "cudnnConvolutionForward: x at .*, 512 elements long, is not inside one allocation"),
    };

    /// <summary>The probe's process.</summary>
    public static int Run(string name)
    {
        using var standIn = StandInLibrary.Connect();
        using (var probe = new Probe(standIn))
        {
            if (Mistakes.TryGetValue(name, out var mistake))
            {
                Console.Write($"{mistake.Do(probe)}\n{string.Join(" and ", standIn.Misuses)}\n");
            }
            else
            {
                probe.Run(name);
                Assert.That(standIn.Misuses, Is.Empty);
                Console.Write("as it should be\n");
            }
        }

        Console.Write($"{standIn.Live} alive");
        return 0;
    }

    private static GemmDescription Square() => new()
    {
        ElementType = DType.Float32,
        AccumulationType = DType.Float32,
        M = Side,
        N = Side,
        K = Side,
        LeadingDimensionA = Side,
        LeadingDimensionB = Side,
        LeadingDimensionC = Side,
    };

    /// <summary>A device with three matrices of 8 x 8 floats.</summary>
    public sealed class Probe : IDisposable
    {
        private const long Bytes = Side * Side * sizeof(float);

        private readonly nint _library = NativeLibrary.Load(StandInLibrary.Build());

        public Probe(StandInDevice standIn)
        {
            Assert.That(standIn.Misuses, Is.Empty);
            Device = CudaDevice.Open();
            (A, B, C) = (Device.Allocate(Bytes), Device.Allocate(Bytes), Device.Allocate(Bytes));
            var values = Enumerable.Range(0, Side * Side).Select(i => (float)(i % 7) - 3).ToArray();
            Device.CopyToDevice(A, MemoryMarshal.AsBytes<float>(values), Stream);
            Device.CopyToDevice(B, MemoryMarshal.AsBytes<float>(values), Stream);
        }

        public CudaDevice Device { get; }

        public DevicePointer<byte> A { get; private set; }

        public DevicePointer<byte> B { get; }

        public DevicePointer<byte> C { get; }

        public GpuStream Stream => Device.DefaultStream;

        public IBlas Blas => Device.Blas!;

        public nint Export(string name) => NativeLibrary.GetExport(_library, name);

        public void Reallocate() => A = Device.Allocate(Bytes);

        /// <summary>The result that an action ends with; 0 without an error.</summary>
        public int Try(Action action)
        {
            try
            {
                action();
                return 0;
            }
            catch (GpuException e)
            {
                return (int)e.Result;
            }
        }

        public void Dispose()
        {
            Device.Free(A);
            Device.Free(B);
            Device.Free(C);
            Device.Dispose();
        }

        /// <summary>A convolution [1, height, 1, 8] by [8, 1, 1, 8] through the library's own functions.</summary>
        public int Convolve(int algorithm, long workspaceBytes, bool destroyFilter = false, int height = Side)
        {
            nint handle, x, y, w, convolution;
            Succeed(((delegate* unmanaged<nint*, int>)Export("cudnnCreate"))(&handle));
            Succeed(((delegate* unmanaged<nint*, int>)Export("cudnnCreateTensorDescriptor"))(&x));
            Succeed(((delegate* unmanaged<nint*, int>)Export("cudnnCreateTensorDescriptor"))(&y));
            Succeed(((delegate* unmanaged<nint*, int>)Export("cudnnCreateFilterDescriptor"))(&w));
            Succeed(((delegate* unmanaged<nint*, int>)Export("cudnnCreateConvolutionDescriptor"))(&convolution));
            var picture = stackalloc int[] { 1, Side, height, 1 };
            var filter = stackalloc int[] { Side, Side, 1, 1 };
            var zeros = stackalloc int[] { 0, 0 };
            var ones = stackalloc int[] { 1, 1 };
            var set = (delegate* unmanaged<nint, int, int, int, int*, int>)Export("cudnnSetTensorNdDescriptorEx");
            Succeed(set(x, 1, 0, 4, picture));
            Succeed(set(y, 1, 0, 4, picture));
            Succeed(((delegate* unmanaged<nint, int, int, int, int*, int>)Export("cudnnSetFilterNdDescriptor"))(w, 0, 1, 4, filter));
            Succeed(((delegate* unmanaged<nint, int, int*, int*, int*, int, int, int>)Export("cudnnSetConvolutionNdDescriptor"))(convolution, 2, zeros, ones, ones, 1, 0));
            nint stream;
            Succeed(((delegate* unmanaged<nint*, uint, int>)Export("cuStreamCreate"))(&stream, 1));
            Succeed(((delegate* unmanaged<nint, nint, int>)Export("cudnnSetStream"))(handle, stream));
            var destroyWeights = (delegate* unmanaged<nint, int>)Export("cudnnDestroyFilterDescriptor");
            if (destroyFilter)
            {
                Succeed(destroyWeights(w));
            }

            var workspace = Device.Allocate(workspaceBytes);
            float one = 1, zero = 0;
            var result = ((delegate* unmanaged<nint, void*, nint, ulong, nint, ulong, nint, int, ulong, nuint, void*, nint, ulong, int>)Export("cudnnConvolutionForward"))(
                handle, &one, x, A.Address, w, B.Address, convolution, algorithm, workspace.Address, (nuint)workspaceBytes, &zero, y, C.Address);
            Device.Free(workspace);
            if (!destroyFilter)
            {
                Succeed(destroyWeights(w));
            }

            Succeed(((delegate* unmanaged<nint, int>)Export("cudnnDestroyTensorDescriptor"))(x));
            Succeed(((delegate* unmanaged<nint, int>)Export("cudnnDestroyTensorDescriptor"))(y));
            Succeed(((delegate* unmanaged<nint, int>)Export("cudnnDestroyConvolutionDescriptor"))(convolution));
            Succeed(((delegate* unmanaged<nint, int>)Export("cuStreamDestroy_v2"))(stream));
            Succeed(((delegate* unmanaged<nint, int>)Export("cudnnDestroy"))(handle));
            return result;
        }

        public void Run(string name)
        {
            switch (name)
            {
                case "products":
                    Assert.That(Device.Blas!.Name, Is.EqualTo("cuBLAS 12.3.4"));
                    Products();
                    break;
                case "convolutions":
                    Assert.That(Device.Dnn!.Name, Is.EqualTo("cuDNN 9.1.0"));
                    Convolutions();
                    break;
                case "determinism":
                    Determinism();
                    break;
                default:
                    // Neither library was looked for yet: a device does not start what nobody asks for.
                    Assert.That(Device.MemoryInfo.Total, Is.GreaterThan(0));
                    break;
            }
        }

        private static void Succeed(int status) => Assert.That(status, Is.Zero);

        private float[] Read(DevicePointer<byte> pointer)
        {
            var values = new float[Side * Side];
            Device.CopyToHost(MemoryMarshal.AsBytes(values.AsSpan()), pointer, Stream);
            return values;
        }

        // Small whole numbers: every order of sums gives the same float.
        private void Products()
        {
            var (a, b) = (Read(A), Read(B));
            foreach (var (transposeA, transposeB, withBias) in from i in Enumerable.Range(0, 8) select ((i & 1) != 0, (i & 2) != 0, (i & 4) != 0))
            {
                var d = Square() with { TransposeA = transposeA, TransposeB = transposeB, Alpha = 2 };
                Device.Fill(C, 0xff, Bytes, Stream);
                using var workspace = new Scratch(Device, Blas.WorkspaceBytes(d));
                Blas.Gemm(Stream, d, A, B, withBias ? A.Offset(Side * sizeof(float)) : default, C, workspace.Memory);
                var c = Read(C);
                for (var i = 0; i < c.Length; i++)
                {
                    var (row, column) = (i / Side, i % Side);
                    var sum = Enumerable.Range(0, Side).Sum(k => a[transposeA ? (k * Side) + row : (row * Side) + k] * b[transposeB ? (column * Side) + k : (k * Side) + column]);
                    Assert.That(c[i], Is.EqualTo((2 * sum) + (withBias ? a[Side + column] : 0)), $"{transposeA}, {transposeB}, {withBias}: {row}, {column}");
                }
            }
        }

        private void Convolutions()
        {
            var dnn = Device.Dnn!;
            var d = Convolution();
            Assert.That(dnn.Supports(d, ConvolutionPass.Forward), Is.True);
            Assert.That(dnn.Supports(d with { PadTop = 0 }, ConvolutionPass.Forward), Is.False, "padding on one side");
            Assert.That(dnn.WorkspaceBytes(d, ConvolutionPass.Forward), Is.InRange(1, CudnnDnn.MaxWorkspaceBytes));
            Assert.That(
                () => dnn.ConvolutionForward(Stream, d, A, B, default, default, C, default),
                Throws.TypeOf<GpuException>().With.Message.Contains("is none that cuDNN 9.1.0 does in 0 bytes of workspace"));
        }

        // The stand-in lists algorithms first that change from call to call: they must not be taken unless they may.
        private void Determinism()
        {
            var dnn = Device.Dnn!;
            foreach (var deterministic in (bool[])[true, false])
            {
                var d = Convolution() with { Deterministic = deterministic };
                using var workspace = new Scratch(Device, dnn.WorkspaceBytes(d, ConvolutionPass.Forward));
                var runs = Enumerable.Range(0, 2).Select(_ =>
                {
                    dnn.ConvolutionForward(Stream, d, A, B, default, default, C, workspace.Memory);
                    return Read(C);
                }).ToList();
                Assert.That(runs[1].SequenceEqual(runs[0]), Is.EqualTo(deterministic), $"{deterministic}");
            }
        }

        private static ConvolutionDescription Convolution() => new()
        {
            ElementType = DType.Float32,
            AccumulationType = DType.Float32,
            N = 1,
            H = Side,
            W = 1,
            InChannels = Side,
            OutChannels = 2,
            KernelH = 3,
            KernelW = 1,
            PadTop = 1,
            PadBottom = 1,
        };
    }

    /// <summary>A workspace that is freed.</summary>
    private sealed class Scratch(CudaDevice device, long bytes) : IDisposable
    {
        public Workspace Memory { get; } = bytes == 0 ? default : new Workspace(device.Allocate(bytes), bytes);

        public void Dispose()
        {
            if (Memory.Bytes > 0)
            {
                device.Free(Memory.Pointer);
            }
        }
    }
}
