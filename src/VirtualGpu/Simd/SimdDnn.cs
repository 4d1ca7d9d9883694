// The virtual device's cuDNN: convolutions on channels-last tensors, and their gradients, as products whose rows are the windows
// themselves.
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Simd;

/// <summary>
/// Convolutions in float and double, forward also in half types by way of float (<see cref="HalfOperands"/>), by implicit GEMM: a row
/// of the product is a window of x, read where it lies, k running over kernel rows, kernel columns and channels as in the weights.
/// Sums have the order that <see cref="SimdBlas"/> gives the product of the im2col matrix and the weights, so that the two agree to
/// the bit (but for infinite and NaN weights, which meet no zeros here where a tile of rows lies wholly in the padding).
/// The gradient of x is a convolution of y's gradient with the weights turned round, or with a stride several that interleave;
/// that of the weights is the product of the im2col matrix's transpose and y's gradient. Both have that product's bits.
/// </summary>
internal sealed class SimdDnn(SimdLibrary library) : IDnn
{
    // Fewer elements than this are copied faster by one thread than others wake.
    private const long SmallCopy = 1 << 16;

    /// <inheritdoc/>
    public string Name => $"FashionFlow SIMD DNN ({library.WidthName})";

    /// <inheritdoc/>
    public bool Supports(in ConvolutionDescription description, ConvolutionPass pass) => true;

    /// <inheritdoc/>
    /// <remarks>Scratch memory is the host's own, and no im2col matrix is made.</remarks>
    public long WorkspaceBytes(in ConvolutionDescription description, ConvolutionPass pass) => 0;

    /// <inheritdoc/>
    /// <exception cref="GpuException">CUDA_ERROR_NOT_SUPPORTED: element types that are no floating-point numbers; of gradients, half types.
    /// CUDA_ERROR_INVALID_VALUE: sizes below 1, a kernel larger than the padded input, an operand not inside one allocation.</exception>
    public void ConvolutionForward(
        GpuStream stream,
        in ConvolutionDescription description,
        DevicePointer<byte> x,
        DevicePointer<byte> w,
        DevicePointer<byte> bias,
        DevicePointer<byte> residual,
        DevicePointer<byte> y,
        Workspace workspace)
        => Run(stream, ConvolutionPass.Forward, description, new Operands(x, w, bias, residual, y));

    /// <inheritdoc/>
    /// <exception cref="GpuException">As for <see cref="ConvolutionForward"/>.</exception>
    public void ConvolutionBackwardData(
        GpuStream stream,
        in ConvolutionDescription description,
        DevicePointer<byte> dy,
        DevicePointer<byte> w,
        DevicePointer<byte> dx,
        Workspace workspace)
        => Run(stream, ConvolutionPass.BackwardData, description, new Operands(dx, w, default, default, dy));

    /// <inheritdoc/>
    /// <exception cref="GpuException">As for <see cref="ConvolutionForward"/>.</exception>
    public void ConvolutionBackwardFilter(
        GpuStream stream,
        in ConvolutionDescription description,
        DevicePointer<byte> x,
        DevicePointer<byte> dy,
        DevicePointer<byte> dw,
        Workspace workspace)
        => Run(stream, ConvolutionPass.BackwardFilter, description, new Operands(x, dw, default, default, dy));

    private static string Show(in ConvolutionDescription d)
        => $"x [{d.N}, {d.H}, {d.W}, {d.InChannels}], w [{d.OutChannels}, {d.KernelH}, {d.KernelW}, {d.InChannels}], strides ({d.StrideH}, {d.StrideW}), "
            + $"padding top {d.PadTop}, left {d.PadLeft}, bottom {d.PadBottom}, right {d.PadRight}";

    private void Run(GpuStream stream, ConvolutionPass pass, in ConvolutionDescription d, in Operands operands)
    {
        lock (library.Device.ExecutionLock)
        {
            library.Device.Enter(stream);
            Check(pass, d, operands);
            var (description, of) = (d, operands);
            if (library.Device.Note(stream, again => Run(again, pass, description, of)))
            {
                return;
            }

            if (d.ElementType.IsHalf())
            {
                ForwardOfHalves(d, operands);
            }
            else if (d.ElementType == DType.Float32)
            {
                RunOnFloats(pass, d, operands);
            }
            else if (library.Width == VectorWidth.Bits512)
            {
                Run<Simd512<double>, Vector512<double>, double>(pass, d, operands);
            }
            else
            {
                Run<Simd256<double>, Vector256<double>, double>(pass, d, operands);
            }
        }
    }

    private void Check(ConvolutionPass pass, in ConvolutionDescription d, in Operands operands)
    {
        var call = $"Convolution{pass}";
        SimdLibrary.CheckTypes(call, d.ElementType, d.AccumulationType, halves: pass == ConvolutionPass.Forward);
        if (d.N < 0 || d.H < 1 || d.W < 1 || d.InChannels < 1 || d.OutChannels < 1 || d.KernelH < 1 || d.KernelW < 1
            || d.StrideH < 1 || d.StrideW < 1 || d.PadTop < 0 || d.PadLeft < 0 || d.PadBottom < 0 || d.PadRight < 0)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE, $"{call}: sizes and strides must be at least 1 and padding at least 0: {Show(d)}");
        }

        Int128 rows = (Int128)d.N * d.OutH * d.OutW;
        if ((long)d.H + d.PadTop + d.PadBottom < d.KernelH || (long)d.W + d.PadLeft + d.PadRight < d.KernelW
            || rows > int.MaxValue || (pass == ConvolutionPass.BackwardData && (Int128)d.N * d.H * d.W > int.MaxValue)
            || (Int128)d.KernelH * d.KernelW * Math.Max(d.InChannels, d.OutChannels) > int.MaxValue)
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_INVALID_VALUE, $"{call}: the kernel does not fit the padded input, or there are more than 2^31 windows: {Show(d)}");
        }

        if (d.N == 0 && pass != ConvolutionPass.BackwardFilter)
        {
            return;
        }

        // The gradients are named after what they are gradients of.
        var size = d.ElementType.SizeInBytes();
        library.CheckOperand(call, pass == ConvolutionPass.BackwardData ? "dx" : "x", operands.X, (Int128)d.N * d.H * d.W * d.InChannels, size);
        library.CheckOperand(
            call, pass == ConvolutionPass.BackwardFilter ? "dw" : "w", operands.W, (Int128)d.OutChannels * d.KernelH * d.KernelW * d.InChannels, size);
        library.CheckOperand(call, pass == ConvolutionPass.Forward ? "y" : "dy", operands.Y, rows * d.OutChannels, size);
        if (!operands.Bias.IsNull)
        {
            library.CheckOperand(call, "bias", operands.Bias, d.OutChannels, size);
        }

        if (!operands.Residual.IsNull)
        {
            library.CheckOperand(call, "residual", operands.Residual, rows * d.OutChannels, size);
        }
    }

    private void RunOnFloats(ConvolutionPass pass, in ConvolutionDescription d, in Operands operands)
    {
        if (library.Width == VectorWidth.Bits512)
        {
            Run<Simd512<float>, Vector512<float>, float>(pass, d, operands);
        }
        else
        {
            Run<Simd256<float>, Vector256<float>, float>(pass, d, operands);
        }
    }

    // The convolution of the same numbers as floats, rounded.
    private void ForwardOfHalves(in ConvolutionDescription d, in Operands operands)
    {
        var x = (long)d.N * d.H * d.W * d.InChannels;
        var w = (long)d.OutChannels * d.KernelH * d.KernelW * d.InChannels;
        var y = (long)d.N * d.OutH * d.OutW * d.OutChannels;
        var halves = new HalfOperands(library, d.ElementType, x, w, d.OutChannels, y, y);
        var floats = new Operands(
            halves.Widen(operands.X, x),
            halves.Widen(operands.W, w),
            halves.Widen(operands.Bias, d.OutChannels),
            halves.Widen(operands.Residual, y),
            halves.Take(y));
        RunOnFloats(ConvolutionPass.Forward, d with { ElementType = DType.Float32 }, floats);
        halves.NarrowRows(floats.Y, 0, operands.Y, 0, 1, y);
    }

    private unsafe void Run<TSimd, TVector, T>(ConvolutionPass pass, in ConvolutionDescription d, in Operands operands)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
    {
        var x = (T*)operands.X.Address;
        var w = (T*)operands.W.Address;
        var y = (T*)operands.Y.Address;
        switch (pass)
        {
            case ConvolutionPass.Forward:
                var bias = (T*)operands.Bias.Address;
                var residual = (T*)operands.Residual.Address;
                var weights = new Weights<T> { First = w, Stride = (long)d.KernelH * d.KernelW * d.InChannels, Transposed = true, Columns = d.OutChannels };
                Convolve<TSimd, TVector, T>(Geometry(d), x, weights, bias, residual, d.Epilogue, y);
                break;
            case ConvolutionPass.BackwardData:
                BackwardData<TSimd, TVector, T>(d, y, w, x);
                break;
            default:
                BackwardFilter<TSimd, TVector, T>(d, x, y, w);
                break;
        }
    }

    private static WindowGeometry Geometry(in ConvolutionDescription d)
        => new(d.N, d.H, d.W, d.InChannels, d.KernelH, d.KernelW, d.StrideH, d.StrideW, d.PadTop, d.PadLeft, d.OutH, d.OutW);

    // y = epilogue(windows of x times w + bias + residual).
    private unsafe void Convolve<TSimd, TVector, T>(in WindowGeometry g, T* x, in Weights<T> w, T* bias, T* residual, Epilogue epilogue, T* y)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
    {
        var rows = new RowSource<T> { Source = x, Stride = g.Channels };
        if (g.KernelH != 1 || g.KernelW != 1 || g.StrideH != 1 || g.StrideW != 1 || g.PadTop != 0 || g.PadLeft != 0 || g.OutH != g.H || g.OutW != g.W)
        {
            // Tiles across pictures skip all padding; they pay where there is much of it and enough pictures to fill them.
            rows.Windows = g;
            rows.Kind = g.Channels >= RowSource<T>.ShortestPiece && g.Pictures >= 4 && g.PaddedPart > 0.05 ? RowKind.WindowPictures
                : g.Segment >= RowSource<T>.ShortestPiece ? RowKind.WindowRows
                : RowKind.WindowGather;
        }

        using var zeros = new ScratchBuffer();
        rows.Zeros = (T*)zeros.Reserve(Math.Max(1, rows.ZeroElements) * sizeof(T));
        new Span<T>(rows.Zeros, rows.ZeroElements).Clear();
        new Product<TSimd, TVector, T>(library.Shared)
        {
            M = g.Pictures * g.OutH * g.OutW,
            N = w.Columns,
            K = g.KernelH * g.Segment,
            Rows = rows,
            B = w.First,
            StrideB = w.Stride,
            TransposeB = w.Transposed,
            GroupsB = w.Groups,
            GroupRowsB = w.GroupRows,
            C = y,
            StrideC = w.Columns,
            Bias = bias,
            Residual = residual,
            Epilogue = epilogue,
        }.Execute(library.Device.Workers);
    }

    // Along an axis only every stride-th tap of the kernel meets a given pixel of x, so that the pixels fall into stride classes
    // (phases), each a convolution of dy at stride 1 with its own taps turned round. At stride 1 there is one, and it is dx.
    private unsafe void BackwardData<TSimd, TVector, T>(in ConvolutionDescription d, T* dy, T* w, T* dx)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
    {
        if (d.N == 0)
        {
            return;
        }

        for (var offsetH = 0; offsetH < d.StrideH; offsetH++)
        {
            for (var offsetW = 0; offsetW < d.StrideW; offsetW++)
            {
                var h = new Phase(offsetH, d.H, d.KernelH, d.StrideH, d.PadTop);
                var v = new Phase(offsetW, d.W, d.KernelW, d.StrideW, d.PadLeft);
                if (h.Count == 0 || v.Count == 0)
                {
                    continue;
                }

                // The weights stay where they lie: a tap's are a group of rows, one for each channel of dy.
                var whole = d.StrideH == 1 && d.StrideW == 1;
                var taps = h.Taps * v.Taps;
                var pixels = (long)d.N * h.Count * v.Count * d.InChannels;
                var groups = (long*)library.Rearranged.Reserve((Math.Max(1L, taps) * sizeof(long)) + (whole ? 0 : pixels * sizeof(T)));
                var to = whole ? dx : (T*)(groups + taps);
                for (var tap = 0; tap < taps; tap++)
                {
                    var kh = h.Offset + ((h.Taps - 1 - (tap / v.Taps)) * d.StrideH);
                    var kw = v.Offset + ((v.Taps - 1 - (tap % v.Taps)) * d.StrideW);
                    groups[tap] = (((long)kh * d.KernelW) + kw) * d.InChannels;
                }

                if (taps == 0)
                {
                    NativeMemory.Clear(to, (nuint)(pixels * sizeof(T)));
                }
                else
                {
                    var weights = new Weights<T>
                    {
                        First = w,
                        Stride = (long)d.KernelH * d.KernelW * d.InChannels,
                        Groups = groups,
                        GroupRows = d.OutChannels,
                        Columns = d.InChannels,
                    };
                    var g = new WindowGeometry(
                        d.N, d.OutH, d.OutW, d.OutChannels, h.Taps, v.Taps, 1, 1, h.Padding, v.Padding, h.Count, v.Count);
                    Convolve<TSimd, TVector, T>(g, dy, weights, null, null, Epilogue.None, to);
                }

                if (!whole)
                {
                    Interleave(d, h, v, to, dx);
                }
            }
        }
    }

    // Puts a phase's pixels where they belong in dx.
    private unsafe void Interleave<T>(ConvolutionDescription d, Phase h, Phase v, T* from, T* dx)
        where T : unmanaged
        => InParallel(d.N * h.Count, (long)d.N * h.Count * v.Count * d.InChannels, line =>
        {
            var row = from + ((long)line * v.Count * d.InChannels);
            var picture = line / h.Count;
            var to = dx + (((((long)picture * d.H) + h.First + ((long)(line - (picture * h.Count)) * d.StrideH)) * d.W) + v.First) * d.InChannels;
            for (var i = 0; i < v.Count; i++)
            {
                new ReadOnlySpan<T>(row, d.InChannels).CopyTo(new Span<T>(to, d.InChannels));
                row += d.InChannels;
                to += (long)d.StrideW * d.InChannels;
            }
        });

    // dw^T = the im2col matrix's transpose times dy: rows are channels of x under kernel positions, sums run over all outputs.
    private unsafe void BackwardFilter<TSimd, TVector, T>(in ConvolutionDescription d, T* x, T* dy, T* dw)
        where TSimd : struct, ISimd<TVector, T>
        where T : unmanaged
    {
        var window = d.KernelH * d.KernelW * d.InChannels;
        var channels = d.OutChannels;
        var transposed = (T*)library.Rearranged.Reserve((long)window * channels * sizeof(T));
        new Product<TSimd, TVector, T>(library.Shared)
        {
            M = window,
            N = channels,
            K = d.N * d.OutH * d.OutW,
            Rows = new RowSource<T> { Kind = RowKind.WindowChannels, Source = x, Windows = Geometry(d) },
            B = dy,
            StrideB = channels,
            TransposeB = false,
            C = transposed,
            StrideC = channels,
        }.Execute(library.Device.Workers);

        const int Rows = 64;
        InParallel((window + Rows - 1) / Rows, (long)window * channels, part =>
        {
            var first = part * Rows;
            Packing.Transpose(
                transposed + ((long)first * channels), channels, dw + first, window, Math.Min(Rows, window - first), channels);
        });
    }

    private void InParallel(int tasks, long elements, Action<int> body)
    {
        if (elements >= SmallCopy)
        {
            library.Device.Workers.Run(tasks, body);
            return;
        }

        for (var task = 0; task < tasks; task++)
        {
            body(task);
        }
    }

    // Of forward's operands those that a pass has, x, w and y standing for their gradients too.
    private readonly record struct Operands(
        DevicePointer<byte> X, DevicePointer<byte> W, DevicePointer<byte> Bias, DevicePointer<byte> Residual, DevicePointer<byte> Y);

    // What windows are multiplied with.
    private unsafe struct Weights<T>
        where T : unmanaged
    {
        public T* First;

        // Elements from one stored row to the next: a row is a column of the product if it is transposed.
        public long Stride;

        public bool Transposed;

        // As Product has it.
        public long* Groups;

        public int GroupRows;

        // Columns of the product.
        public int Columns;
    }

    // Along one axis: the pixels of x that meet the kernel's taps offset, offset + stride, .. alone.
    private readonly record struct Phase
    {
        public Phase(int offset, int size, int kernel, int stride, int padding)
        {
            // Pixel i of the phase is under tap offset + j stride of output skipped + i - j.
            var skipped = (padding - offset + stride - 1) / stride;
            Offset = offset;
            First = (skipped * stride) + offset - padding;
            Count = First < size ? ((size - 1 - First) / stride) + 1 : 0;
            Taps = offset < kernel ? ((kernel - 1 - offset) / stride) + 1 : 0;
            Padding = Taps - 1 - skipped;
        }

        // Its first tap.
        public int Offset { get; }

        // Its first pixel; the others follow a stride apart.
        public int First { get; }

        public int Count { get; }

        public int Taps { get; }

        // Zeros before dy, so that the turned window of pixel 0 starts at output -Padding; negative where outputs come before it.
        public int Padding { get; }
    }
}
