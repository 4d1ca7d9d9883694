// What the numbers of a stored tensor are like, computed where they lie: a dead layer, a NaN, a scale that is off.
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Weights;

/// <summary>Statistics of a tensor. Minimum, maximum, mean and deviation are those of its finite elements; null where there are none.</summary>
/// <param name="Minimum">The least finite element.</param>
/// <param name="Maximum">The greatest finite element.</param>
/// <param name="Mean">The mean; infinite if it passes the range of doubles on the way.</param>
/// <param name="Deviation">The standard deviation of the elements themselves (divided by n, not by n - 1).</param>
/// <param name="NaNs">How many elements are no number.</param>
/// <param name="Infinities">How many are infinite, of either sign.</param>
/// <param name="Zeros">How many are zero, of either sign.</param>
public sealed record TensorStatistics(
    double? Minimum, double? Maximum, double? Mean, double? Deviation, long NaNs, long Infinities, long Zeros)
{
    // Elements that are looked at together: 64 KiB of doubles, whatever the tensor's size.
    private const int ChunkElements = 1 << 13;

    /// <summary>
    /// Reads a tensor once, a chunk at a time. Every element type becomes a double, exactly but for integers beyond 2^53.
    /// </summary>
    /// <exception cref="WeightFileException">There is no such tensor, or it is damaged.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was cancelled.</exception>
    public static TensorStatistics Of(WeightFile file, string name, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(file);
        var total = new Sums();
        var entry = file.Require(name);
        var values = new double[Math.Min(ChunkElements, entry.Shape.Count)];
        file.ReadPieces(name, ChunkElements, piece =>
        {
            cancellation.ThrowIfCancellationRequested();
            var chunk = values.AsSpan(0, piece.Length / entry.DType.SizeInBytes());
            Widen(entry.DType, piece, chunk);
            total.Add(chunk);
        });
        return total.Result();
    }

    private static void Widen(DType type, ReadOnlySpan<byte> bytes, Span<double> values)
    {
        switch (type)
        {
            case DType.Float32:
                Widen<float>(bytes, values);
                break;
            case DType.Float64:
                Widen<double>(bytes, values);
                break;
            case DType.Float16:
                Widen<Half>(bytes, values);
                break;
            case DType.BFloat16:
                Widen<ushort>(bytes, values);
                foreach (ref var value in values)
                {
                    value = BitConverter.UInt32BitsToSingle((uint)value << 16);
                }

                break;
            case DType.Int8:
                Widen<sbyte>(bytes, values);
                break;
            case DType.UInt16:
                Widen<ushort>(bytes, values);
                break;
            case DType.Int16:
                Widen<short>(bytes, values);
                break;
            case DType.UInt32:
                Widen<uint>(bytes, values);
                break;
            case DType.Int32:
                Widen<int>(bytes, values);
                break;
            case DType.UInt64:
                Widen<ulong>(bytes, values);
                break;
            case DType.Int64:
                Widen<long>(bytes, values);
                break;
            default:
                // Truth values are bytes, and should be 0 or 1: what else is there is seen in the maximum.
                Widen<byte>(bytes, values);
                break;
        }
    }

    // A tensor may lie at any byte, so that its elements are read one by one.
    private static void Widen<T>(ReadOnlySpan<byte> bytes, Span<double> values)
        where T : unmanaged, INumberBase<T>
    {
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = double.CreateTruncating(MemoryMarshal.Read<T>(bytes[(i * Unsafe.SizeOf<T>())..]));
        }
    }

    /// <summary>Counts and moments so far.</summary>
    private sealed class Sums
    {
        private double _minimum = double.PositiveInfinity;
        private double _maximum = double.NegativeInfinity;
        private double _mean;
        private double _squares;
        private long _finite;
        private long _nans;
        private long _infinities;
        private long _zeros;

        // Mean and sum of squared deviations of a chunk in two walks, then joined with what went before (Chan, Golub and LeVeque,
        // "Updating formulae and a pairwise algorithm for computing sample variances", 1979, equations 2.1): no cancellation as in
        // a difference of sums of squares.
        public void Add(ReadOnlySpan<double> values)
        {
            var (count, sum) = (0, 0.0);
            foreach (var value in values)
            {
                if (double.IsFinite(value))
                {
                    count++;
                    sum += value;
                    _minimum = Math.Min(_minimum, value);
                    _maximum = Math.Max(_maximum, value);
                    _zeros += value == 0 ? 1 : 0;
                }
                else if (double.IsNaN(value))
                {
                    _nans++;
                }
                else
                {
                    _infinities++;
                }
            }

            if (count == 0)
            {
                return;
            }

            var mean = sum / count;
            var squares = 0.0;
            foreach (var value in values)
            {
                squares += double.IsFinite(value) ? (value - mean) * (value - mean) : 0;
            }

            var difference = mean - _mean;
            var joined = _finite + count;
            _squares += squares + (difference * difference * _finite * ((double)count / joined));
            _mean += difference * ((double)count / joined);
            _finite = joined;
        }

        public TensorStatistics Result() => _finite == 0
            ? new(null, null, null, null, _nans, _infinities, _zeros)
            : new(_minimum, _maximum, _mean, Math.Sqrt(_squares / _finite), _nans, _infinities, _zeros);
    }
}
