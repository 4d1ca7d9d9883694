// A set of small numbers, for liveness.
namespace FashionFlow.VirtualGpu.Jit;

/// <summary>A fixed-size set of register numbers.</summary>
internal sealed class BitSet(int size)
{
    private readonly ulong[] _words = new ulong[(size + 63) / 64];

    public static BitSet Empty { get; } = new(0);

    public bool this[int index] => index >> 6 < _words.Length && (_words[index >> 6] >> (index & 63) & 1) != 0;

    public void Add(int index) => _words[index >> 6] |= 1UL << (index & 63);

    public void Remove(int index) => _words[index >> 6] &= ~(1UL << (index & 63));

    public BitSet Copy()
    {
        var copy = new BitSet(_words.Length * 64);
        _words.CopyTo(copy._words, 0);
        return copy;
    }

    /// <summary>Adds all of another set; true where that changed this one.</summary>
    public bool UnionWith(BitSet other)
    {
        var changed = false;
        for (var i = 0; i < other._words.Length; i++)
        {
            var union = _words[i] | other._words[i];
            changed |= union != _words[i];
            _words[i] = union;
        }

        return changed;
    }

    /// <summary>Removes all of another set.</summary>
    public void Subtract(BitSet other)
    {
        for (var i = 0; i < other._words.Length; i++)
        {
            _words[i] &= ~other._words[i];
        }
    }
}
