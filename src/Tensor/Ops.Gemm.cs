// Linear layers and batched matrix products, by the device's library or by our kernels (kernels/gemm.cu).
using System.Runtime.CompilerServices;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;

namespace FashionFlow.Tensors;

public static partial class Ops
{
    /// <summary>Most rows that the kernel for few rows takes: beyond, a tile reads the weights less often.</summary>
    private const int FewRows = 4;

    /// <summary>Warps a block of that kernel, each with a column of its own.</summary>
    private const int FewRowsWarps = 4;

    /// <summary>Most columns that the narrow tile is used for.</summary>
    private const int NarrowColumns = 16;

    /// <summary>Large tiles are used from this many on: enough for every multiprocessor of a large GPU to have one.</summary>
    private const int ManyTiles = 128;

    private const int MaxGridZ = 65535;

    private static readonly ProductKernelSet<float, float> s_productF32 = new(
        GemmKernels.GemmNnF32,
        GemmKernels.GemmNtF32,
        GemmKernels.GemmTnF32,
        GemmKernels.GemmTtF32,
        GemmKernels.GemmNnSmallF32,
        GemmKernels.GemmNtSmallF32,
        GemmKernels.GemmTnSmallF32,
        GemmKernels.GemmTtSmallF32,
        GemmKernels.GemmNnNarrowF32,
        GemmKernels.GemmNtNarrowF32,
        GemmKernels.GemmNtRowsF32);

    private static readonly ProductKernelSet<double, double> s_productF64 = new(
        GemmKernels.GemmNnF64,
        GemmKernels.GemmNtF64,
        GemmKernels.GemmTnF64,
        GemmKernels.GemmTtF64,
        GemmKernels.GemmNnSmallF64,
        GemmKernels.GemmNtSmallF64,
        GemmKernels.GemmTnSmallF64,
        GemmKernels.GemmTtSmallF64,
        GemmKernels.GemmNnNarrowF64,
        GemmKernels.GemmNtNarrowF64,
        GemmKernels.GemmNtRowsF64);

    private static readonly ProductKernelSet<Half, float> s_productF16 = new(
        GemmHalfKernels.GemmNnF16,
        GemmHalfKernels.GemmNtF16,
        GemmHalfKernels.GemmTnF16,
        GemmHalfKernels.GemmTtF16,
        GemmHalfKernels.GemmNnSmallF16,
        GemmHalfKernels.GemmNtSmallF16,
        GemmHalfKernels.GemmTnSmallF16,
        GemmHalfKernels.GemmTtSmallF16,
        GemmHalfKernels.GemmNnNarrowF16,
        GemmHalfKernels.GemmNtNarrowF16,
        GemmHalfKernels.GemmNtRowsF16);

    private static readonly ProductKernelSet<BFloat16, float> s_productBf16 = new(
        GemmHalfKernels.GemmNnBf16,
        GemmHalfKernels.GemmNtBf16,
        GemmHalfKernels.GemmTnBf16,
        GemmHalfKernels.GemmTtBf16,
        GemmHalfKernels.GemmNnSmallBf16,
        GemmHalfKernels.GemmNtSmallBf16,
        GemmHalfKernels.GemmTnSmallBf16,
        GemmHalfKernels.GemmTtSmallBf16,
        GemmHalfKernels.GemmNnNarrowBf16,
        GemmHalfKernels.GemmNtNarrowBf16,
        GemmHalfKernels.GemmNtRowsBf16);

    /// <summary>y = epilogue(x weight^T + bias + residual): a linear layer on the last axis.</summary>
    /// <param name="x">[.., k].</param>
    /// <param name="weight">[n, k], as PyTorch stores it.</param>
    /// <param name="bias">[n], or null.</param>
    /// <param name="epilogue">Applied last, after the residual is added.</param>
    /// <param name="residual">[.., n], or null.</param>
    /// <returns>[.., n].</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor Linear(
        Tensor x, Tensor weight, Tensor? bias = null, Epilogue epilogue = Epilogue.None, Tensor? residual = null)
    {
        Require(weight.Shape.Rank == 2, $"weight must be [n, k], not {weight.Shape}");
        Require(x.Shape.Rank >= 1 && x.Shape[-1] == weight.Shape[1], $"x {x.Shape} does not end in the {weight.Shape[1]} columns of weight {weight.Shape}");
        RequireAlike(x, weight);
        var (n, k) = (weight.Shape[0], weight.Shape[1]);
        var shape = x.Shape.With(-1, n);
        RequireBias(x, bias, n);
        RequireResidual(x, residual, shape);
        Require(k > 0 && n > 0, $"weight {weight.Shape} is empty");
        var y = Tensor.Empty(x.Context, shape, x.DType);
        Product(
            x.Context,
            RowsByWeight(x.DType, CheckedInt32(x.Count / k, $"rows of x {x.Shape}"), n, k, epilogue),
            Bytes(x),
            Bytes(weight),
            Bytes(bias),
            Bytes(residual),
            y);
        return y;
    }

    /// <summary>alpha * op(a) op(b) for every matrix of the leading axes.</summary>
    /// <param name="a">[.., m, k], or [.., k, m] transposed.</param>
    /// <param name="b">[.., k, n], or [.., n, k] transposed. Leading axes are a's, or one of the two has none and is shared.</param>
    /// <param name="transposeA">Whether a is stored [k, m].</param>
    /// <param name="transposeB">Whether b is stored [n, k].</param>
    /// <param name="alpha">Factor of the product.</param>
    /// <returns>[.., m, n].</returns>
    /// <exception cref="ArgumentException">Shapes, element types or contexts do not fit.</exception>
    public static Tensor MatMul(Tensor a, Tensor b, bool transposeA = false, bool transposeB = false, double alpha = 1)
    {
        Require(a.Shape.Rank >= 2 && b.Shape.Rank >= 2, $"operands must be matrices, not {a.Shape} and {b.Shape}");
        RequireAlike(a, b);
        var (m, k) = transposeA ? (a.Shape[-1], a.Shape[-2]) : (a.Shape[-2], a.Shape[-1]);
        var (kOfB, n) = transposeB ? (b.Shape[-1], b.Shape[-2]) : (b.Shape[-2], b.Shape[-1]);
        Require(k == kOfB, $"sums over {k} in a {a.Shape} and over {kOfB} in b {b.Shape}");
        Require(k > 0, $"a {a.Shape} and b {b.Shape} have empty sums");
        var (sharedA, sharedB) = (a.Shape.Rank == 2, b.Shape.Rank == 2);
        var whole = sharedA ? b.Shape : a.Shape;
        Require(
            sharedA || sharedB || b.Shape.Lengths[..^2].SequenceEqual(a.Shape.Lengths[..^2]),
            $"leading axes differ in a {a.Shape} and b {b.Shape}");
        var batch = whole.CountBetween(0, whole.Rank - 2);
        var y = Tensor.Empty(a.Context, whole.With(-2, m).With(-1, n), a.DType);
        var rowsJoin = sharedB && !transposeA;
        Product(
            a.Context,
            new GemmDescription
            {
                ElementType = a.DType,
                AccumulationType = a.DType.Accumulation(),
                M = rowsJoin ? CheckedInt32(batch * m, $"rows of a {a.Shape}") : m,
                N = n,
                K = k,
                TransposeA = transposeA,
                TransposeB = transposeB,
                LeadingDimensionA = transposeA ? m : k,
                LeadingDimensionB = transposeB ? k : n,
                LeadingDimensionC = n,
                BatchCount = rowsJoin ? 1 : CheckedInt32(batch, $"matrices in {whole}"),
                BatchStrideA = sharedA ? 0 : (long)m * k,
                BatchStrideB = sharedB ? 0 : (long)k * n,
                BatchStrideC = (long)m * n,
                Alpha = alpha,
            },
            Bytes(a),
            Bytes(b),
            default,
            default,
            y);
        return y;
    }

    /// <summary>Rows [m, k] times the transpose of a weight [n, k], all without gaps: a linear layer, a 1 x 1 convolution.</summary>
    private static GemmDescription RowsByWeight(DType type, int m, int n, int k, Epilogue epilogue) => new()
    {
        ElementType = type,
        AccumulationType = type.Accumulation(),
        M = m,
        N = n,
        K = k,
        TransposeB = true,
        LeadingDimensionA = k,
        LeadingDimensionB = k,
        LeadingDimensionC = n,
        Epilogue = epilogue,
    };

    /// <summary>y = epilogue(alpha op(A) op(B) + bias + residual), the way that the context asks for.</summary>
    private static void Product(
        DeviceContext context,
        GemmDescription d,
        DevicePointer<byte> a,
        DevicePointer<byte> b,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        Tensor y)
    {
        if (y.Count == 0)
        {
            return;
        }

        if (!residual.IsNull && context.Backend == MatmulBackend.Library && context.Device.Blas?.Supports(d) == true)
        {
            context.Device.Copy(Bytes(y), residual, y.Bytes, context.Stream);
            (d, residual) = (d with { Beta = 1 }, default);
        }

        Product(context, d, a, b, bias, residual, Bytes(y));
    }

    /// <summary>The same into a stretch of a tensor; the library takes no residual.</summary>
    private static void Product(
        DeviceContext context,
        in GemmDescription d,
        DevicePointer<byte> a,
        DevicePointer<byte> b,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        DevicePointer<byte> c)
    {
        if (context.Backend == MatmulBackend.Library && context.Device.Blas is { } blas && blas.Supports(d))
        {
            using var workspace = Workspace(context, blas.WorkspaceBytes(d), out var memory);
            context.Device.Kernels.LastCall = blas.Name;
            blas.Gemm(context.Stream, d, a, b, bias, c, memory);
        }
        else
        {
            ProductByKernels(context.Stream, d, ChooseTile(d), a, b, bias, residual, c);
        }
    }

    /// <summary>The product by our kernels with a given tile: all that can serve it give the same bits, but for few rows.</summary>
    internal static void ProductByKernels(
        GpuStream stream,
        in GemmDescription d,
        ProductTile tile,
        DevicePointer<byte> a,
        DevicePointer<byte> b,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        DevicePointer<byte> c)
    {
        var size = d.ElementType.SizeInBytes();
        for (var first = 0; first < d.BatchCount; first += MaxGridZ)
        {
            var part = d with { BatchCount = Math.Min(MaxGridZ, d.BatchCount - first) };
            var own = a.Offset(first * d.BatchStrideA * size);
            var other = b.Offset(first * d.BatchStrideB * size);
            var added = residual.IsNull ? residual : residual.Offset(first * d.BatchStrideC * size);
            var result = c.Offset(first * d.BatchStrideC * size);
            switch (d.ElementType)
            {
                case DType.Float32:
                    Launch(s_productF32, (float)d.Alpha, 1);
                    break;
                case DType.Float64:
                    Launch(s_productF64, d.Alpha, 1);
                    break;
                case DType.Float16:
                    Launch(s_productF16, (float)d.Alpha, 1);
                    break;
                case DType.BFloat16:
                    Launch(s_productBf16, (float)d.Alpha, 1);
                    break;
                default:
                    throw UnsupportedType(d.ElementType, halves: true, "matrix product");
            }

            void Launch<T, TNumber>(ProductKernelSet<T, TNumber> kernels, TNumber alpha, TNumber beta)
                where T : unmanaged
                where TNumber : unmanaged
                => LaunchProduct(
                    kernels, stream, part, tile, own.Cast<T>(), other.Cast<T>(), bias.Cast<T>(), added.Cast<T>(), result.Cast<T>(), alpha, beta);
        }
    }

    /// <summary>The tile for a product; it depends on the description alone.</summary>
    private static ProductTile ChooseTile(in GemmDescription d)
    {
        if (d is { M: <= FewRows, TransposeA: false, TransposeB: true, BatchCount: 1 })
        {
            return ProductTile.Rows;
        }

        var tile = ChooseTile(d.M, d.N, d.BatchCount, d.ElementType);
        return tile == ProductTile.Narrow && d.TransposeA ? ProductTile.Small : tile;
    }

    /// <summary>The tile that a result of this shape is cut into.</summary>
    private static ProductTile ChooseTile(long rows, long columns, int batch, DType type)
    {
        var edge = LargeEdge(type);
        return columns <= NarrowColumns ? ProductTile.Narrow
            : columns > edge / 2 && Tiles(rows, edge) * Tiles(columns, edge) * batch >= ManyTiles ? ProductTile.Large
            : ProductTile.Small;
    }

    /// <summary>The launch of a tiled kernel; the numbers are Tiles of kernels/include/tile_product.cuh.</summary>
    private static LaunchShape TiledLaunch(ProductTile tile, long rows, long columns, int batch, DType type)
    {
        var edge = LargeEdge(type);
        var (height, width, threads) = tile switch
        {
            ProductTile.Large => (edge, edge, 256),
            ProductTile.Small => (edge / 2, edge / 2, 64),
            _ => (edge, NarrowColumns, 64),
        };
        return new(new Dim3(checked((int)(Tiles(rows, height) * Tiles(columns, width))), 1, batch), threads);
    }

    private static int LargeEdge(DType type) => type == DType.Float64 ? 64 : 128;

    private static long Tiles(long extent, int edge) => (extent + edge - 1) / edge;

    private static DevicePointer<byte> Bytes(Tensor? tensor) => tensor is null ? default : tensor.Pointer<byte>();

    private static void RequireBias(Tensor x, Tensor? bias, int columns, [CallerMemberName] string operation = "")
    {
        if (bias is not null)
        {
            Require(bias.Count == columns && bias.Shape.Rank == 1, $"bias must be [{columns}], not {bias.Shape}", operation);
            RequireAlike(x, bias, operation);
        }
    }

    private static void RequireResidual(Tensor x, Tensor? residual, Shape shape, [CallerMemberName] string operation = "")
    {
        if (residual is not null)
        {
            Require(residual.Shape == shape, $"residual must be {shape} like the result, not {residual.Shape}", operation);
            RequireAlike(x, residual, operation);
        }
    }

    /// <summary>Memory for one library call, given back (in stream order) when the tensor is disposed; null where none is asked for.</summary>
    private static Tensor? Workspace(DeviceContext context, long bytes, out Workspace workspace)
    {
        if (bytes <= 0)
        {
            workspace = default;
            return null;
        }

        var tensor = TensorScope.Detach(Tensor.Empty(context, [CheckedInt32((bytes + 7) / 8, "words of library workspace")], DType.Float64));
        workspace = new Workspace(Bytes(tensor), bytes);
        return tensor;
    }

    private static void LaunchProduct<T, TNumber>(
        ProductKernelSet<T, TNumber> kernels,
        GpuStream stream,
        in GemmDescription d,
        ProductTile tile,
        DevicePointer<T> a,
        DevicePointer<T> b,
        DevicePointer<T> bias,
        DevicePointer<T> residual,
        DevicePointer<T> c,
        TNumber alpha,
        TNumber beta)
        where T : unmanaged
        where TNumber : unmanaged
    {
        if (tile == ProductTile.Rows)
        {
            var warps = new LaunchShape(new Dim3((int)Tiles(d.N, FewRowsWarps), (int)Tiles(d.M, FewRows)), FewRowsWarps * 32);
            kernels.NtRows(
                stream, warps, a, b, bias, residual, c, d.M, d.N, d.K, d.LeadingDimensionA, d.LeadingDimensionB, d.LeadingDimensionC,
                alpha, beta, (int)d.Epilogue);
            return;
        }

        var kernel = (tile, d.TransposeA, d.TransposeB) switch
        {
            (ProductTile.Large, false, false) => kernels.Nn,
            (ProductTile.Large, false, true) => kernels.Nt,
            (ProductTile.Large, true, false) => kernels.Tn,
            (ProductTile.Large, true, true) => kernels.Tt,
            (ProductTile.Narrow, _, false) => kernels.NnNarrow,
            (ProductTile.Narrow, _, true) => kernels.NtNarrow,
            (_, false, false) => kernels.NnSmall,
            (_, false, true) => kernels.NtSmall,
            (_, true, false) => kernels.TnSmall,
            (_, true, true) => kernels.TtSmall,
        };
        kernel(
            stream, TiledLaunch(tile, d.M, d.N, d.BatchCount, d.ElementType), a, b, bias, residual, c, d.M, d.N, d.K, d.LeadingDimensionA,
            d.LeadingDimensionB, d.LeadingDimensionC, d.BatchStrideA, d.BatchStrideB, d.BatchStrideC, alpha, beta, (int)d.Epilogue);
    }

    /// <summary>The kernels of one element type T; TNumber is what they compute in.</summary>
    private sealed record ProductKernelSet<T, TNumber>(
        ProductKernel<T, TNumber> Nn,
        ProductKernel<T, TNumber> Nt,
        ProductKernel<T, TNumber> Tn,
        ProductKernel<T, TNumber> Tt,
        ProductKernel<T, TNumber> NnSmall,
        ProductKernel<T, TNumber> NtSmall,
        ProductKernel<T, TNumber> TnSmall,
        ProductKernel<T, TNumber> TtSmall,
        ProductKernel<T, TNumber> NnNarrow,
        ProductKernel<T, TNumber> NtNarrow,
        RowsProductKernel<T, TNumber> NtRows)
        where T : unmanaged
        where TNumber : unmanaged;

    private delegate void ProductKernel<T, in TNumber>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> a, DevicePointer<T> b, DevicePointer<T> bias, DevicePointer<T> residual,
        DevicePointer<T> c, int m, int n, int k, long lda, long ldb, long ldc, long strideA, long strideB, long strideC, TNumber alpha,
        TNumber beta, int epilogue)
        where T : unmanaged
        where TNumber : unmanaged;

    private delegate void RowsProductKernel<T, in TNumber>(
        GpuStream stream, in LaunchShape shape, DevicePointer<T> a, DevicePointer<T> b, DevicePointer<T> bias, DevicePointer<T> residual,
        DevicePointer<T> c, int m, int n, int k, long lda, long ldb, long ldc, TNumber alpha, TNumber beta, int epilogue)
        where T : unmanaged
        where TNumber : unmanaged;
}
