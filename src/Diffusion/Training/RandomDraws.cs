// Random numbers for the host's choices, from the generator that the device has: many steps' at a time, or an epoch's order.
using System.Globalization;
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion.Training;

/// <summary>
/// Uniform numbers for each step of a training, of one purpose. They are a function of seed, purpose and step, and are read
/// back from the device a block of steps at a time, so that a step hardly ever waits for them.
/// </summary>
/// <param name="context">The device.</param>
/// <param name="seed">The run's seed.</param>
/// <param name="purpose">What they are for.</param>
/// <param name="perStep">How many a step takes.</param>
internal sealed class RandomDraws(DeviceContext context, ulong seed, string purpose, int perStep)
{
    private const int StepsAtATime = 1024;

    private long _block = -1;
    private float[] _numbers = [];

    /// <summary>A step's numbers in [0, 1), multiples of 2^-24.</summary>
    public ReadOnlySpan<float> this[long step]
    {
        get
        {
            if (_block != step / StepsAtATime)
            {
                using var scope = TensorScope.Begin();
                _block = step / StepsAtATime;
                var count = StepsAtATime * perStep;
                _numbers = Ops.RandUniform(context, [count], 0, 1, seed, purpose, _block * count).ToArray<float>();
            }

            return _numbers.AsSpan((int)(step % StepsAtATime) * perStep, perStep);
        }
    }

    /// <summary>A number in [0, 1) as one of <paramref name="count"/> choices; exact, as the product is in double.</summary>
    public static int Choose(float number, int count) => (int)((double)number * count);
}

/// <summary>An order of things for each epoch, anew each time.</summary>
internal sealed class EpochOrder(ulong seed, string purpose, int count)
{
    private long _epoch = -1;
    private int[] _order = [];

    /// <summary>The thing at a place in the endless sequence of epochs.</summary>
    public int this[long place]
    {
        get
        {
            if (_epoch != place / count)
            {
                _epoch = place / count;
                var random = new PhiloxStream(seed, string.Create(CultureInfo.InvariantCulture, $"{purpose}/{_epoch}"));
                var keys = Enumerable.Range(0, count).Select(_ => random.NextUniform()).ToArray();
                _order = [.. Enumerable.Range(0, count).OrderBy(i => keys[i])];
            }

            return _order[place % count];
        }
    }
}
