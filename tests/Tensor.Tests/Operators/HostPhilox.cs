// Philox4x32-10 on the host, written from the paper: the source of test inputs and the oracle of the random kernels.
namespace FashionFlow.Tensors.Tests.Operators;

/// <summary>A random stream; element i is a function of seed, stream and i, as in kernels/random.cu.</summary>
public sealed record HostPhilox(ulong Seed, ulong Stream)
{
    /// <summary>A text as a stream number: 64-bit FNV-1a of its UTF-8 bytes (Fowler, Noll, Vo).</summary>
    public static ulong Hash(string text)
        => System.Text.Encoding.UTF8.GetBytes(text).Aggregate(0xCBF29CE484222325UL, (hash, value) => unchecked((hash ^ value) * 0x100000001B3UL));

    /// <summary>The four words of a counter (Salmon et al. 2011, section 4.3), counter and key as 32-bit words, lowest first.</summary>
    public static uint[] Words(ulong counterLow, ulong counterHigh, ulong key)
    {
        uint[] c = [(uint)counterLow, (uint)(counterLow >> 32), (uint)counterHigh, (uint)(counterHigh >> 32)];
        var (k0, k1) = ((uint)key, (uint)(key >> 32));
        for (var round = 0; round < 10; round++)
        {
            var (p0, p1) = (0xD2511F53UL * c[0], 0xCD9E8D57UL * c[2]);
            c = [(uint)(p1 >> 32) ^ c[1] ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c[3] ^ k1, (uint)p0];
            (k0, k1) = (unchecked(k0 + 0x9E3779B9), unchecked(k1 + 0xBB67AE85));
        }

        return c;
    }

    /// <summary>Element i, uniform in [0, 1), a multiple of 2^-24.</summary>
    public double Uniform(long i) => (Word(i) >> 8) / 16777216.0;

    /// <summary>Element i, standard normal: Box and Muller's transform of its pair of words, in double.</summary>
    public double Normal(long i)
    {
        var pair = i & ~1L;
        var radius = Math.Sqrt(-2 * Math.Log(((Word(pair) >> 9) + 0.5) / 8388608.0));
        var (sine, cosine) = Math.SinCos(2 * Math.PI * Word(pair + 1) / 4294967296.0);
        return radius * ((i & 1) == 0 ? cosine : sine);
    }

    private uint Word(long i) => Words((ulong)(i >> 2), Stream, Seed)[i & 3];
}
