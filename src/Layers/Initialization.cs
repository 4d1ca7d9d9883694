// How a parameter of a new model starts: the reference's rules, each a short recipe over uniform and normal numbers.
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>The family of a parameter's starting values.</summary>
public enum InitializationKind
{
    /// <summary>One value everywhere.</summary>
    Constant,

    /// <summary>Uniform in [-scale, scale).</summary>
    Uniform,

    /// <summary>Normal with deviation scale.</summary>
    Normal,

    /// <summary>One where the first two indices agree (and at the middle of a temporal kernel), else zero.</summary>
    Identity,

    /// <summary>Uniform in [-scale, scale), drawn once for a group of sub-pixels and repeated for each of them.</summary>
    RepeatedUniform,

    /// <summary>Zero in the first half, scale in the second.</summary>
    SecondHalf,

    /// <summary>A bias: minus scale times the sum of the output's weights, which are <see cref="Initialization.VariancePreserving"/>.</summary>
    Cancelling,
}

/// <summary>How a parameter starts.</summary>
/// <param name="Kind">The family.</param>
/// <param name="Scale">The constant, bound or deviation.</param>
/// <param name="FanIn">Inputs that one output sums over, for the variant in which nothing is zero.</param>
/// <param name="Repeat">Neighbouring rows that share their values (<see cref="InitializationKind.RepeatedUniform"/>).</param>
public readonly record struct Initialization(InitializationKind Kind, double Scale, int FanIn = 1, int Repeat = 1)
{
    /// <summary>All zero.</summary>
    public static Initialization Zero(int fanIn = 1) => new(InitializationKind.Constant, 0, fanIn);

    /// <summary>All one.</summary>
    public static Initialization One => new(InitializationKind.Constant, 1);

    /// <summary>One value everywhere.</summary>
    public static Initialization Constant(double value) => new(InitializationKind.Constant, value);

    /// <summary>
    /// PyTorch's default for weights and biases of linear layers and convolutions: uniform in 1/sqrt(fan in). For weights
    /// it is Kaiming-uniform with a = sqrt 5 (He et al. 2015): gain sqrt(1/3) times sqrt 3.
    /// </summary>
    public static Initialization PyTorchDefault(int fanIn) => new(InitializationKind.Uniform, 1 / Math.Sqrt(fanIn), fanIn);

    /// <summary>Uniform of variance 1 / fan in, with which a linear map keeps its input's variance (LeCun et al. 1998).</summary>
    public static Initialization VariancePreserving(int fanIn) => new(InitializationKind.Uniform, Math.Sqrt(3.0 / fanIn), fanIn);

    /// <summary>The identity: an eye, or a temporal convolution that passes its input through.</summary>
    public static Initialization Identity(int fanIn) => new(InitializationKind.Identity, 1, fanIn);

    /// <summary>Kaiming-uniform with a = 0 (bound sqrt(6 / fan in)), the same for each of <paramref name="repeat"/> sub-pixels.</summary>
    public static Initialization SubPixel(int fanIn, int repeat) => new(InitializationKind.RepeatedUniform, Math.Sqrt(6.0 / fanIn), fanIn, repeat);

    /// <summary>Zero for the first half of the values, this for the second.</summary>
    public static Initialization SecondHalf(double value, int fanIn) => new(InitializationKind.SecondHalf, value, fanIn);

    /// <summary>
    /// The bias beside a <see cref="VariancePreserving"/> weight that makes the output zero where every input is
    /// <paramref name="level"/>: the map then sees how its input differs from that level.
    /// </summary>
    public static Initialization Cancelling(double level, int fanIn) => new(InitializationKind.Cancelling, level, fanIn);

    /// <summary>Normal with this deviation, as embeddings start.</summary>
    public static Initialization Gaussian(double deviation) => new(InitializationKind.Normal, deviation);

    /// <summary>The bound of the noise that is added, where nothing is to be zero, to a constant or an identity; 0 for none.</summary>
    internal double NoiseBound => Kind switch
    {
        InitializationKind.Constant when Scale == 0 => 1 / Math.Sqrt(FanIn),
        InitializationKind.Constant => 0.2 * Math.Abs(Scale),
        InitializationKind.Identity or InitializationKind.SecondHalf => 1 / Math.Sqrt(FanIn),
        _ => 0,
    };

    /// <summary>Writes the recipe's fixed part into zeroed values of a shape in PyTorch's order.</summary>
    internal void AddFixedPart(float[] values, Shape shape)
    {
        if (Kind == InitializationKind.Constant)
        {
            Array.Fill(values, (float)Scale);
        }
        else if (Kind == InitializationKind.SecondHalf)
        {
            Array.Fill(values, (float)Scale, values.Length / 2, values.Length - (values.Length / 2));
        }
        else if (Kind == InitializationKind.Identity)
        {
            var columns = shape[1];
            var taps = shape.Rank > 2 ? shape[2] : 1;
            for (var i = 0; i < Math.Min(shape[0], columns); i++)
            {
                values[((((long)i * columns) + i) * taps) + (taps / 2)] += (float)Scale;
            }
        }
    }
}
