// Work of tensors that is captured once and repeated by one call: what a loop does in every round.
using FashionFlow.Gpu;
using FashionFlow.Tensors.Memory;

namespace FashionFlow.Tensors;

/// <summary>
/// Work that a device repeats as it was captured (a CUDA graph): the same launches on the same memory, without the host's time for each.
/// What it reads must stay where it is, and is filled anew before each <see cref="Replay"/>; the memory of its own tensors is kept
/// from all others until it is disposed.
/// </summary>
public sealed class CapturedWork : IDisposable
{
    private readonly DeviceContext _context;
    private readonly PrivateMemory _memory;
    private readonly GpuGraph _graph;

    private CapturedWork(DeviceContext context, PrivateMemory memory, GpuGraph graph, Tensor result)
        => (_context, _memory, _graph, Result) = (context, memory, graph, result);

    /// <summary>What the work returns: it holds the last <see cref="Replay"/>'s values, and is disposed with the work.</summary>
    public Tensor Result { get; }

    /// <summary>Launches, copies and fills in it; a call of the device's library counts as the launches it makes, or as one on the virtual device.</summary>
    public int Nodes => _graph.Nodes;

    /// <summary>
    /// Captures work. It runs once before, for real: kernels are compiled, libraries choose their algorithms, and the memory is there when
    /// the same requests come again.
    /// </summary>
    /// <param name="context">The device.</param>
    /// <param name="work">Makes its result of tensors that live outside it. It may neither read tensors to the host nor wait.</param>
    /// <param name="first">What the run before gave, in memory of its own: of the scope that is open, as any new tensor.</param>
    /// <exception cref="GpuException">The device captures nothing, or the work does what a graph cannot repeat.</exception>
    public static CapturedWork Capture(DeviceContext context, Func<Tensor> work, out Tensor first)
    {
        var memory = new PrivateMemory();
        Tensor? before = null;
        try
        {
            before = RunBefore(context, work, memory);
            var captured = Capture(context, work, memory);
            first = before;
            return captured;
        }
        catch
        {
            before?.Dispose();
            context.Allocator.Release(memory);
            throw;
        }
    }

    /// <inheritdoc cref="Capture(DeviceContext, Func{Tensor}, out Tensor)"/>
    public static CapturedWork Capture(DeviceContext context, Func<Tensor> work)
    {
        var captured = Capture(context, work, out var first);
        first.Dispose();
        return captured;
    }

    /// <summary>Queues the work again.</summary>
    public void Replay() => _graph.Launch(_context.Stream);

    /// <inheritdoc/>
    public void Dispose()
    {
        Result.Dispose();
        _graph.Dispose();
        _context.Allocator.Release(_memory);
    }

    private static Tensor RunBefore(DeviceContext context, Func<Tensor> work, PrivateMemory memory)
    {
        Tensor result;
        using (context.Allocator.UsePrivate(memory))
        {
            result = Run(work);
        }

        // The block must be free when the same requests come again.
        using (result)
        {
            var copy = Tensor.Empty(context, result.Shape, result.DType);
            context.Device.Copy(copy.Pointer<byte>(), result.Pointer<byte>(), result.Bytes, context.Stream);
            context.Stream.Synchronize();
            return copy;
        }
    }

    private static CapturedWork Capture(DeviceContext context, Func<Tensor> work, PrivateMemory memory)
    {
        using var use = context.Allocator.UsePrivate(memory);
        context.Stream.BeginCapture();
        Tensor? result = null;
        GpuGraph? graph = null;
        try
        {
            result = Run(work);
        }
        finally
        {
            // The stream must not stay in a capture, whatever happened; of two errors the first one counts.
            graph = End(context.Stream, succeeded: result is not null);
        }

        return new CapturedWork(context, memory, graph!, result);
    }

    private static Tensor Run(Func<Tensor> work)
    {
        using var scope = TensorScope.Begin();
        return TensorScope.Detach(scope.Keep(work()));
    }

    private static GpuGraph? End(GpuStream stream, bool succeeded)
    {
        try
        {
            return stream.EndCapture();
        }
        catch (GpuException) when (!succeeded)
        {
            return null;
        }
    }
}
