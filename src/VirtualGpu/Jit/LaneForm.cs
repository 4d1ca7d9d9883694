// What is known at compile time of a register's values across a warp.
namespace FashionFlow.VirtualGpu.Jit;

/// <summary>32 constants, one a lane, whose sum with a run-time scalar a register holds.</summary>
internal sealed class LanePattern
{
    private LanePattern(long[] lanes)
    {
        Lanes = lanes;
        Least = lanes.Min();
        Most = lanes.Max();
    }

    public long[] Lanes { get; }

    public long Least { get; }

    public long Most { get; }

    /// <summary>The pattern of the lanes; null where all are zero.</summary>
    public static LanePattern? Create(long[] lanes) => Array.TrueForAll(lanes, x => x == 0) ? null : new LanePattern(lanes);

    public static bool Same(LanePattern? a, LanePattern? b)
        => ReferenceEquals(a, b) || (a is not null && b is not null && a.Lanes.AsSpan().SequenceEqual(b.Lanes));

    public override bool Equals(object? obj) => obj is LanePattern other && Same(this, other);

    public override int GetHashCode() => HashCode.Combine(Lanes[0], Lanes[1], Lanes[8], Lanes[31]);

    public static long At(LanePattern? pattern, int lane) => pattern?.Lanes[lane] ?? 0;

    /// <summary>Whether lanes step by <paramref name="stride"/> within each group of eight.</summary>
    public bool StepsInGroups(long stride)
    {
        for (var lane = 0; lane < 32; lane++)
        {
            if (Lanes[lane] != Lanes[lane & ~7] + ((lane & 7) * stride))
            {
                return false;
            }
        }

        return true;
    }
}

/// <summary>A register's form: nothing known yet, a scalar plus a lane pattern, or anything.</summary>
internal readonly record struct LaneForm
{
    private LaneForm(byte kind, LanePattern? pattern, int alignment, long? constant)
    {
        _kind = kind;
        Pattern = pattern;
        Alignment = alignment;
        Constant = constant;
    }

    private readonly byte _kind;

    /// <summary>No definition has been seen.</summary>
    public static LaneForm Undefined => default;

    public static LaneForm Varying => new(2, null, 0, null);

    public bool IsUndefined => _kind == 0;

    /// <summary>A scalar plus <see cref="Pattern"/>.</summary>
    public bool IsScalar => _kind == 1;

    public bool IsUniform => _kind == 1 && Pattern is null;

    public bool IsVarying => _kind == 2;

    /// <summary>What is added to the scalar lane by lane; null for zeros.</summary>
    public LanePattern? Pattern { get; }

    /// <summary>The scalar is a multiple of 2 to this power.</summary>
    public int Alignment { get; }

    /// <summary>The scalar itself where it is known.</summary>
    public long? Constant { get; }

    /// <summary>Whether scalar and pattern share no bits, so that adding them never carries.</summary>
    public bool IsDisjoint => IsScalar && (Pattern is null || (Pattern.Least >= 0 && Alignment < 62 && Pattern.Most < 1L << Alignment) || (Pattern.Least >= 0 && Alignment >= 62));

    public static LaneForm Scalar(LanePattern? pattern, int alignment, long? constant = null)
        => new(1, pattern, constant is { } c ? TrailingZeros(c) : Math.Clamp(alignment, 0, 63), constant);

    public static LaneForm Known(long constant) => Scalar(null, 0, constant);

    public static int TrailingZeros(long value) => value == 0 ? 63 : System.Numerics.BitOperations.TrailingZeroCount(value);

    /// <summary>What holds whichever of two definitions was the last.</summary>
    public LaneForm Join(LaneForm other)
    {
        if (IsUndefined)
        {
            return other;
        }

        if (other.IsUndefined)
        {
            return this;
        }

        if (IsVarying || other.IsVarying || !LanePattern.Same(Pattern, other.Pattern))
        {
            return Varying;
        }

        return Scalar(Pattern, Math.Min(Alignment, other.Alignment), Constant == other.Constant ? Constant : null);
    }

    public bool Same(LaneForm other)
        => _kind == other._kind && Alignment == other.Alignment && Constant == other.Constant && LanePattern.Same(Pattern, other.Pattern);
}
