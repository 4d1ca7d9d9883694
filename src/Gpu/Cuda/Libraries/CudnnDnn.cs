// cuDNN behind the library seam, through the interface of descriptors that versions 8 and 9 share.
namespace FashionFlow.Gpu.Cuda.Libraries;

/// <summary>
/// Convolutions by cuDNN, on channels-last tensors, in float and double; those of half types are our kernels'. Its heuristics choose the
/// algorithm, once a shape: the first within the workspace that gives the same bits in each run where that is asked for. Bias,
/// residual and activation follow in one pass of our own, for cuDNN fuses no activation that the models have.
/// </summary>
internal sealed unsafe class CudnnDnn : IDnn, IDisposable
{
    /// <summary>The most workspace that an algorithm is chosen with: beyond it they gain little and cost a model its room.</summary>
    public const long MaxWorkspaceBytes = 512L << 20;

    // More algorithms than there are for any pass.
    private const int MaxAlgorithms = 16;

    private const int MaxPlans = 1024;

    private readonly CudaDevice _device;
    private readonly CudnnHandle _handle;
    private readonly Dictionary<(ConvolutionDescription Description, ConvolutionPass Pass), Plan?> _plans = [];
    private readonly Lock _gate = new();

    private CudnnDnn(CudaDevice device, CudnnHandle handle)
    {
        (_device, _handle) = (device, handle);
        Name = $"cuDNN {CudaLibraries.Cudnn.Version}";
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The library on a device.</summary>
    /// <param name="device">The device, its context current.</param>
    /// <param name="context">Its context.</param>
    /// <exception cref="GpuException">cuDNN does not start.</exception>
    public static CudnnDnn Create(CudaDevice device, CudaContextHandle context)
    {
        nint handle;
        CudaLibraries.CheckCudnn(CudnnNative.cudnnCreate(&handle), "starting cuDNN");
        return new CudnnDnn(device, new CudnnHandle(context, handle));
    }

    /// <inheritdoc/>
    /// <remarks>Not a convolution whose padding differs between its sides, none of half types, and none that cuDNN has no algorithm for.</remarks>
    public bool Supports(in ConvolutionDescription description, ConvolutionPass pass)
    {
        lock (_gate)
        {
            return PlanOf(description, pass) is not null;
        }
    }

    /// <inheritdoc/>
    public long WorkspaceBytes(in ConvolutionDescription description, ConvolutionPass pass)
    {
        lock (_gate)
        {
            return PlanOf(description, pass)?.Within(MaxWorkspaceBytes)?.WorkspaceBytes ?? 0;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="GpuException">CUDA_ERROR_NOT_SUPPORTED: cuDNN does not do this convolution (see <see cref="Supports"/>), or not in
    /// so little workspace.</exception>
    public void ConvolutionForward(
        GpuStream stream,
        in ConvolutionDescription description,
        DevicePointer<byte> x,
        DevicePointer<byte> w,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        DevicePointer<byte> y,
        Workspace workspace)
    {
        var d = description;
        if (d.N == 0)
        {
            return;
        }

        Run(stream, d, ConvolutionPass.Forward, workspace, (plan, algorithm, one, zero) => CudnnNative.cudnnConvolutionForward(
            _handle, one, plan.X, x.Address, plan.W, w.Address, plan.Convolution, algorithm, workspace.Pointer.Address, (nuint)workspace.Bytes,
            zero, plan.Y, y.Address));
        RowFinish.Queue(
            stream, d.ElementType, y, bias, residual, checked(d.N * d.OutH * d.OutW), d.OutChannels, d.OutChannels, batch: 1, batchStride: 0, d.Epilogue);
    }

    /// <inheritdoc/>
    /// <exception cref="GpuException">As for <see cref="ConvolutionForward"/>.</exception>
    public void ConvolutionBackwardData(
        GpuStream stream,
        in ConvolutionDescription description,
        DevicePointer<byte> dy,
        DevicePointer<byte> w,
        DevicePointer<byte> dx,
        Workspace workspace)
    {
        if (description.N == 0)
        {
            return;
        }

        Run(stream, description, ConvolutionPass.BackwardData, workspace, (plan, algorithm, one, zero) => CudnnNative.cudnnConvolutionBackwardData(
            _handle, one, plan.W, w.Address, plan.Y, dy.Address, plan.Convolution, algorithm, workspace.Pointer.Address, (nuint)workspace.Bytes,
            zero, plan.X, dx.Address));
    }

    /// <inheritdoc/>
    /// <exception cref="GpuException">As for <see cref="ConvolutionForward"/>.</exception>
    public void ConvolutionBackwardFilter(
        GpuStream stream,
        in ConvolutionDescription description,
        DevicePointer<byte> x,
        DevicePointer<byte> dy,
        DevicePointer<byte> dw,
        Workspace workspace)
    {
        var d = description;
        if (d.N == 0)
        {
            var elements = (long)d.OutChannels * d.KernelH * d.KernelW * d.InChannels;
            _device.Fill(dw, 0, elements * d.ElementType.SizeInBytes(), stream);
            return;
        }

        Run(stream, d, ConvolutionPass.BackwardFilter, workspace, (plan, algorithm, one, zero) => CudnnNative.cudnnConvolutionBackwardFilter(
            _handle, one, plan.X, x.Address, plan.Y, dy.Address, plan.Convolution, algorithm, workspace.Pointer.Address, (nuint)workspace.Bytes,
            zero, plan.W, dw.Address));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        ClearPlans();
        _handle.Dispose();
    }

    private static string Show(in ConvolutionDescription d, ConvolutionPass pass)
        => $"a convolution ({pass}) of x [{d.N}, {d.H}, {d.W}, {d.InChannels}] by w [{d.OutChannels}, {d.KernelH}, {d.KernelW}, {d.InChannels}] "
            + $"in {d.ElementType}, strides ({d.StrideH}, {d.StrideW}), padding {d.PadTop}, {d.PadLeft}, {d.PadBottom}, {d.PadRight},";

    private void Run(GpuStream stream, in ConvolutionDescription d, ConvolutionPass pass, Workspace workspace, Call call)
    {
        // The factors are in host memory, in double for double and in float otherwise, and read before the call returns.
        double one64 = 1, zero64 = 0;
        float one32 = 1, zero32 = 0;
        var isDouble = d.ElementType == DType.Float64;
        lock (_gate)
        {
            var plan = PlanOf(d, pass)?.Within(workspace.Bytes) is { } chosen
                ? (Whole: PlanOf(d, pass)!, Algorithm: chosen)
                : throw new GpuException(
                    CudaResult.CUDA_ERROR_NOT_SUPPORTED, $"{Show(d, pass)} is none that {Name} does in {workspace.Bytes:N0} bytes of workspace");
            CudaLibraries.CheckCudnn(CudnnNative.cudnnSetStream(_handle, _device.HandleOf(stream)), "giving cuDNN a stream");
            plan.Whole.Use(plan.Algorithm);
            CudaLibraries.CheckCudnn(
                call(plan.Whole, plan.Algorithm.Number, isDouble ? &one64 : &one32, isDouble ? &zero64 : &zero32), Show(d, pass));
        }
    }

    private Plan? PlanOf(in ConvolutionDescription description, ConvolutionPass pass)
    {
        _device.MakeCurrent();
        var key = (description with { Epilogue = Epilogue.None }, pass);
        if (!_plans.TryGetValue(key, out var plan))
        {
            if (_plans.Count == MaxPlans)
            {
                ClearPlans();
            }

            plan = Plan.TryMake(_handle, key.Item1, pass);
            _plans.Add(key, plan);
        }

        return plan;
    }

    private void ClearPlans()
    {
        foreach (var plan in _plans.Values)
        {
            plan?.Dispose();
        }

        _plans.Clear();
    }

    private delegate int Call(Plan plan, int algorithm, void* one, void* zero);

    /// <summary>An algorithm that can do the pass.</summary>
    private sealed record Algorithm(int Number, long WorkspaceBytes, CudnnMathType MathType);

    /// <summary>The descriptors of one convolution, and the algorithms for one pass of it in the heuristics' order.</summary>
    private sealed class Plan : IDisposable
    {
        private const int Rank = 4;

        private readonly List<Algorithm> _algorithms = [];
        private CudnnMathType _mathType;

        private Plan(in ConvolutionDescription d)
        {
            var type = TypeOf(d.ElementType);
            X = Tensor(type, d.N, d.InChannels, d.H, d.W);
            Y = Tensor(type, d.N, d.OutChannels, d.OutH, d.OutW);
            nint value;
            CudaLibraries.CheckCudnn(CudnnNative.cudnnCreateFilterDescriptor(&value), "describing weights");
            W = new FilterHandle(value);
            var lengths = stackalloc int[] { d.OutChannels, d.InChannels, d.KernelH, d.KernelW };
            CudaLibraries.CheckCudnn(CudnnNative.cudnnSetFilterNdDescriptor(W, type, CudnnTensorFormat.ChannelsLast, Rank, lengths), "describing weights");
            CudaLibraries.CheckCudnn(CudnnNative.cudnnCreateConvolutionDescriptor(&value), "describing a convolution");
            Convolution = new ConvolutionHandle(value);
            var padding = stackalloc int[] { d.PadTop, d.PadLeft };
            var strides = stackalloc int[] { d.StrideH, d.StrideW };
            var dilations = stackalloc int[] { 1, 1 };
            CudaLibraries.CheckCudnn(
                CudnnNative.cudnnSetConvolutionNdDescriptor(
                    Convolution, Rank - 2, padding, strides, dilations, CudnnConvolutionMode.CrossCorrelation, TypeOf(d.AccumulationType)),
                "describing a convolution");
            SetMathType(d.ElementType == DType.Float32 && !d.AllowTf32 ? CudnnMathType.Fma : d.ElementType == DType.Float64 ? CudnnMathType.Default : CudnnMathType.TensorOp);
        }

        public TensorHandle X { get; }

        public TensorHandle Y { get; }

        public FilterHandle W { get; }

        public ConvolutionHandle Convolution { get; }

        /// <summary>The plan; null where cuDNN does not do this.</summary>
        public static Plan? TryMake(CudnnHandle handle, in ConvolutionDescription d, ConvolutionPass pass)
        {
            // Its descriptors have one padding for both sides.
            // A half type's result is rounded once, and bias, residual and activation are a second pass here.
            if (d.PadTop != d.PadBottom || d.PadLeft != d.PadRight || d.N == 0 || d.ElementType.IsHalf())
            {
                return null;
            }

            var plan = new Plan(d);
            plan.FindAlgorithms(handle, d, pass);
            if (plan.Within(MaxWorkspaceBytes) is not null)
            {
                return plan;
            }

            plan.Dispose();
            return null;
        }

        /// <summary>The first algorithm that needs no more workspace.</summary>
        public Algorithm? Within(long workspaceBytes) => _algorithms.Find(a => a.WorkspaceBytes <= workspaceBytes);

        /// <summary>Makes the convolution's descriptor ask for the arithmetic that an algorithm was listed with.</summary>
        public void Use(Algorithm algorithm)
        {
            if (algorithm.MathType != _mathType)
            {
                SetMathType(algorithm.MathType);
            }
        }

        public void Dispose()
        {
            X.Dispose();
            Y.Dispose();
            W.Dispose();
            Convolution.Dispose();
        }

        private static CudnnDataType TypeOf(DType type) => type switch
        {
            DType.Float32 => CudnnDataType.Float32,
            DType.Float64 => CudnnDataType.Float64,
            DType.Float16 => CudnnDataType.Float16,
            DType.BFloat16 => CudnnDataType.BFloat16,
            _ => throw new GpuException(CudaResult.CUDA_ERROR_NOT_SUPPORTED, $"cuDNN does not convolve {type}"),
        };

        private static TensorHandle Tensor(CudnnDataType type, int n, int channels, int height, int width)
        {
            nint value;
            CudaLibraries.CheckCudnn(CudnnNative.cudnnCreateTensorDescriptor(&value), "describing a tensor");
            var tensor = new TensorHandle(value);
            var lengths = stackalloc int[] { n, channels, height, width };
            CudaLibraries.CheckCudnn(CudnnNative.cudnnSetTensorNdDescriptorEx(tensor, CudnnTensorFormat.ChannelsLast, type, Rank, lengths), "describing a tensor");
            return tensor;
        }

        private void SetMathType(CudnnMathType type)
        {
            CudaLibraries.CheckCudnn(CudnnNative.cudnnSetConvolutionMathType(Convolution, type), "choosing a convolution's arithmetic");
            _mathType = type;
        }

        private void FindAlgorithms(CudnnHandle handle, in ConvolutionDescription d, ConvolutionPass pass)
        {
            var found = stackalloc CudnnAlgorithm[MaxAlgorithms];
            int count;
            var status = pass switch
            {
                ConvolutionPass.Forward => CudnnNative.cudnnGetConvolutionForwardAlgorithm_v7(handle, X, W, Convolution, Y, MaxAlgorithms, &count, found),
                ConvolutionPass.BackwardData => CudnnNative.cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, W, Y, Convolution, X, MaxAlgorithms, &count, found),
                _ => CudnnNative.cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, X, Y, Convolution, W, MaxAlgorithms, &count, found),
            };
            if (CudaLibraries.IsNotSupported(status))
            {
                return;
            }

            CudaLibraries.CheckCudnn(status, $"looking for an algorithm for {Show(d, pass)}");
            for (var i = 0; i < count; i++)
            {
                // An algorithm with TF32 is none for float in full precision, even if the heuristics list it.
                var isExact = d.ElementType != DType.Float32 || d.AllowTf32 || found[i].MathType is CudnnMathType.Fma;
                if (found[i].Status == 0 && isExact && (!d.Deterministic || found[i].IsDeterministic == 1))
                {
                    _algorithms.Add(new Algorithm(found[i].Algorithm, (long)found[i].WorkspaceBytes, found[i].MathType));
                }
            }
        }
    }
}
