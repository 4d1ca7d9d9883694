// The library seam: matrix products and convolutions by the device's own library. cuBLAS and cuDNN on a GPU, managed SIMD
// on the virtual device. Matrices are row-major and activations channels-last; an implementation maps that to its own order.
namespace FashionFlow.Gpu;

/// <summary>What is applied to a product or convolution before it is stored, after bias and residual are added.</summary>
public enum Epilogue
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>x * sigmoid(x).</summary>
    Silu,

    /// <summary>Exact GELU: x * Phi(x), by erf.</summary>
    Gelu,

    /// <summary>x * sigmoid(1.702 x), as CLIP has it.</summary>
    QuickGelu,
}

/// <summary>Device memory that a library call may use while it runs.</summary>
/// <param name="Pointer">Its address, aligned to 256.</param>
/// <param name="Bytes">Its size.</param>
public readonly record struct Workspace(DevicePointer<byte> Pointer, long Bytes);

/// <summary>
/// A batched product on row-major matrices: <c>C = epilogue(alpha * op(A) op(B) + bias + beta * C)</c>, where op(A) is
/// [M, K], op(B) is [K, N], C is [M, N], and the bias [N] is added to every row.
/// </summary>
public readonly record struct GemmDescription
{
    /// <summary>Element type of A, B, C and bias.</summary>
    public required DType ElementType { get; init; }

    /// <summary>Type of the sums: float for half types and float, double for double.</summary>
    public required DType AccumulationType { get; init; }

    /// <summary>Rows of C.</summary>
    public required int M { get; init; }

    /// <summary>Columns of C.</summary>
    public required int N { get; init; }

    /// <summary>Length of the sums.</summary>
    public required int K { get; init; }

    /// <summary>Whether A is stored as [K, M].</summary>
    public bool TransposeA { get; init; }

    /// <summary>Whether B is stored as [N, K], as PyTorch stores linear weights.</summary>
    public bool TransposeB { get; init; }

    /// <summary>Elements from one stored row of A to the next.</summary>
    public required long LeadingDimensionA { get; init; }

    /// <summary>Elements from one stored row of B to the next.</summary>
    public required long LeadingDimensionB { get; init; }

    /// <summary>Elements from one stored row of C to the next.</summary>
    public required long LeadingDimensionC { get; init; }

    /// <summary>Products in the batch.</summary>
    public int BatchCount { get; init; } = 1;

    /// <summary>Elements from one A of the batch to the next; 0 shares one.</summary>
    public long BatchStrideA { get; init; }

    /// <summary>Elements from one B of the batch to the next; 0 shares one.</summary>
    public long BatchStrideB { get; init; }

    /// <summary>Elements from one C of the batch to the next.</summary>
    public long BatchStrideC { get; init; }

    /// <summary>Factor of the product.</summary>
    public double Alpha { get; init; } = 1;

    /// <summary>Factor of what C held; 0 does not read C.</summary>
    public double Beta { get; init; }

    /// <summary>Applied last.</summary>
    public Epilogue Epilogue { get; init; }

    /// <summary>Whether two runs must give the same bits.</summary>
    public bool Deterministic { get; init; } = true;

    /// <summary>Whether operands in float may be rounded to TF32 (10 bits of mantissa) for tensor cores; sums stay in float.</summary>
    public bool AllowTf32 { get; init; }

    /// <summary>A description is filled in by its initialiser.</summary>
    public GemmDescription()
    {
    }
}

/// <summary>Matrix products.</summary>
public interface IBlas
{
    /// <summary>The library's name and version.</summary>
    string Name { get; }

    /// <summary>Whether the library does this product, with a bias or without; what it does not do is left to our kernels.</summary>
    bool Supports(in GemmDescription description);

    /// <summary>Bytes of workspace that this product would like; it works with less.</summary>
    long WorkspaceBytes(in GemmDescription description);

    /// <summary>Queues the product. <paramref name="bias"/> may be null.</summary>
    void Gemm(
        GpuStream stream,
        in GemmDescription description,
        DevicePointer<byte> a,
        DevicePointer<byte> b,
        DevicePointer<byte> bias,
        DevicePointer<byte> c,
        Workspace workspace);
}

/// <summary>
/// A 2-D convolution (cross-correlation, as in PyTorch) on channels-last tensors: x [N, H, W, InChannels],
/// w [OutChannels, KernelH, KernelW, InChannels], y [N, OutH, OutW, OutChannels], bias [OutChannels]. The temporal half of
/// a pseudo-3D convolution is the same with H = frames, W = height x width, KernelW = 1.
/// </summary>
public readonly record struct ConvolutionDescription
{
    /// <summary>Element type of all operands.</summary>
    public required DType ElementType { get; init; }

    /// <summary>Type of the sums.</summary>
    public required DType AccumulationType { get; init; }

    /// <summary>Pictures.</summary>
    public required int N { get; init; }

    /// <summary>Input height.</summary>
    public required int H { get; init; }

    /// <summary>Input width.</summary>
    public required int W { get; init; }

    /// <summary>Input channels.</summary>
    public required int InChannels { get; init; }

    /// <summary>Output channels.</summary>
    public required int OutChannels { get; init; }

    /// <summary>Kernel height.</summary>
    public required int KernelH { get; init; }

    /// <summary>Kernel width.</summary>
    public required int KernelW { get; init; }

    /// <summary>Step along height.</summary>
    public int StrideH { get; init; } = 1;

    /// <summary>Step along width.</summary>
    public int StrideW { get; init; } = 1;

    /// <summary>Zero rows above.</summary>
    public int PadTop { get; init; }

    /// <summary>Zero columns to the left.</summary>
    public int PadLeft { get; init; }

    /// <summary>Zero rows below.</summary>
    public int PadBottom { get; init; }

    /// <summary>Zero columns to the right.</summary>
    public int PadRight { get; init; }

    /// <summary>Applied last.</summary>
    public Epilogue Epilogue { get; init; }

    /// <summary>Whether two runs must give the same bits.</summary>
    public bool Deterministic { get; init; } = true;

    /// <summary>Whether operands in float may be rounded to TF32 (10 bits of mantissa) for tensor cores; sums stay in float.</summary>
    public bool AllowTf32 { get; init; }

    /// <summary>A description is filled in by its initialiser.</summary>
    public ConvolutionDescription()
    {
    }

    /// <summary>Output height.</summary>
    public int OutH => ((H + PadTop + PadBottom - KernelH) / StrideH) + 1;

    /// <summary>Output width.</summary>
    public int OutW => ((W + PadLeft + PadRight - KernelW) / StrideW) + 1;
}

/// <summary>What is computed of a convolution.</summary>
public enum ConvolutionPass
{
    /// <summary>Its result.</summary>
    Forward,

    /// <summary>The gradient of x.</summary>
    BackwardData,

    /// <summary>The gradient of w.</summary>
    BackwardFilter,
}

/// <summary>Convolutions and their gradients.</summary>
public interface IDnn
{
    /// <summary>The library's name and version.</summary>
    string Name { get; }

    /// <summary>Whether the library does this pass of this convolution; what it does not do is left to our kernels.</summary>
    bool Supports(in ConvolutionDescription description, ConvolutionPass pass);

    /// <summary>Bytes of workspace that this pass of a convolution would like; it works with less.</summary>
    long WorkspaceBytes(in ConvolutionDescription description, ConvolutionPass pass);

    /// <summary>Queues y = epilogue(conv(x, w) + bias + residual); bias and residual (of y's shape) may be null.</summary>
    void ConvolutionForward(
        GpuStream stream,
        in ConvolutionDescription description,
        DevicePointer<byte> x,
        DevicePointer<byte> w,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        DevicePointer<byte> y,
        Workspace workspace);

    /// <summary>
    /// Queues the gradient of x, of x's shape, from that of conv(x, w), of y's: each output's gradient times the weights under its
    /// window, added up where windows overlap; 0 where none reaches. The description is the convolution's; its epilogue is ignored.
    /// </summary>
    void ConvolutionBackwardData(
        GpuStream stream,
        in ConvolutionDescription description,
        DevicePointer<byte> dy,
        DevicePointer<byte> w,
        DevicePointer<byte> dx,
        Workspace workspace);

    /// <summary>
    /// Queues the gradient of w, of w's shape, from that of conv(x, w), of y's: the sum over all outputs of the output's gradient
    /// times its window. The description is the convolution's; its epilogue is ignored. Without pictures the gradient is 0.
    /// </summary>
    void ConvolutionBackwardFilter(
        GpuStream stream,
        in ConvolutionDescription description,
        DevicePointer<byte> x,
        DevicePointer<byte> dy,
        DevicePointer<byte> dw,
        Workspace workspace);
}
