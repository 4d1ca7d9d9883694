// Random numbers for what the host decides: what a drawn garment looks like, in which order clips come.
namespace FashionFlow.Tensors;

/// <summary>
/// A stream of Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011), keyed by seed
/// and purpose as those of <see cref="Ops.RandUniform"/> are, and giving the same numbers. Tensors are filled on the device.
/// </summary>
/// <param name="seed">The seed.</param>
/// <param name="purpose">What the numbers are for; each purpose has a stream of its own.</param>
public sealed class PhiloxStream(ulong seed, string purpose)
{
    private readonly ulong _stream = Ops.PurposeHash(purpose);
    private readonly uint[] _words = new uint[4];
    private ulong _next;

    /// <summary>The next number, uniform in [0, 1), a multiple of 2^-24.</summary>
    public double NextUniform() => (NextWord() >> 8) / (double)(1 << 24);

    /// <summary>The next whole number from 0 to <paramref name="bound"/> - 1, each equally likely.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The bound is not positive.</exception>
    // Lemire, "Fast random integer generation in an interval" (2019): the product's high word; what would be a surplus is drawn again.
    public int NextBelow(int bound)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bound);
        var surplus = (uint)((1UL << 32) % (uint)bound);
        ulong product;
        do
        {
            product = (ulong)NextWord() * (uint)bound;
        }
        while ((uint)product < surplus);

        return (int)(product >> 32);
    }

    private uint NextWord()
    {
        var lane = (int)(_next & 3);
        if (lane == 0)
        {
            Fill(_next >> 2);
        }

        _next++;
        return _words[lane];
    }

    private void Fill(ulong counter)
    {
        var (x, y, z, w) = ((uint)counter, (uint)(counter >> 32), (uint)_stream, (uint)(_stream >> 32));
        var (k0, k1) = ((uint)seed, (uint)(seed >> 32));
        for (var round = 0; round < 10; round++)
        {
            var (p0, p1) = (0xD2511F53UL * x, 0xCD9E8D57UL * z);
            (x, y, z, w) = ((uint)(p1 >> 32) ^ y ^ k0, (uint)p1, (uint)(p0 >> 32) ^ w ^ k1, (uint)p0);
            (k0, k1) = (unchecked(k0 + 0x9E3779B9), unchecked(k1 + 0xBB67AE85));
        }

        (_words[0], _words[1], _words[2], _words[3]) = (x, y, z, w);
    }
}
