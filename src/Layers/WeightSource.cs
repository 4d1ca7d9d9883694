// Where a model's weights come from: a safetensors file, or a seed.
using FashionFlow.Gpu;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Layers;

/// <summary>A source of parameters in PyTorch's names and order.</summary>
public abstract class WeightSource
{
    /// <summary>Checks that every parameter can be read, before anything is.</summary>
    /// <exception cref="WeightLoadException">It cannot.</exception>
    public abstract void Check(Module module, IReadOnlyList<NamedParameter> parameters);

    /// <summary>One parameter's values in PyTorch's order.</summary>
    public abstract float[] Read(DeviceContext context, NamedParameter parameter);
}

/// <summary>Weights of a file of any format, strictly: each tensor belongs to exactly one parameter and has its shape.</summary>
public sealed class FileWeights : WeightSource
{
    private readonly WeightFile _file;
    private readonly string _source;
    private readonly string _prefix;
    private readonly Dictionary<string, WeightEntry> _stored = new(StringComparer.Ordinal);

    /// <summary>Weights of an open file, which must stay open while they are loaded.</summary>
    /// <param name="file">The file.</param>
    /// <param name="source">Its name, for messages.</param>
    /// <param name="prefix">What the names of this model's tensors start with; the file's other tensors are left alone.</param>
    public FileWeights(WeightFile file, string source, string prefix = "")
    {
        _file = file;
        _source = source;
        _prefix = prefix;
    }

    /// <inheritdoc/>
    public override void Check(Module module, IReadOnlyList<NamedParameter> parameters)
    {
        _stored.Clear();
        foreach (var entry in _file.Entries.Where(e => e.Name.StartsWith(_prefix, StringComparison.Ordinal)))
        {
            _stored[module.CurrentName(entry.Name[_prefix.Length..])] = entry;
        }

        var wanted = parameters.Select(p => p.Name).ToHashSet(StringComparer.Ordinal);
        var missing = parameters.Where(p => !_stored.ContainsKey(p.Name)).ToList();
        var surplus = _stored.Keys.Where(n => !wanted.Contains(n) && !module.IsForeign(n)).Order(StringComparer.Ordinal).ToList();
        var problems = new List<string>();
        foreach (var (name, parameter) in missing)
        {
            problems.Add($"missing {name} {parameter.TorchShape}{Nearest(name, surplus, "the file has")}");
        }

        foreach (var (name, parameter) in parameters.Where(p => _stored.ContainsKey(p.Name)))
        {
            var (type, shape) = (_stored[name].DType, _stored[name].Shape);
            if (!type.IsFloatingPoint())
            {
                problems.Add($"{name} holds {type}, not floating-point numbers");
            }
            else if (!SameUpToOnes(shape, parameter.TorchShape))
            {
                problems.Add($"{name} has shape {shape}, the model needs {parameter.TorchShape}");
            }
        }

        var missingNames = missing.ConvertAll(m => m.Name);
        problems.AddRange(surplus.Select(name => $"surplus {name} {_stored[name].Shape}{Nearest(name, missingNames, "the model lacks")}"));
        if (problems.Count > 0)
        {
            throw new WeightLoadException(_source, problems);
        }
    }

    /// <inheritdoc/>
    public override float[] Read(DeviceContext context, NamedParameter parameter) => _file.ReadFloat32(_stored[parameter.Name].Name);

    /// <summary>What the file has for a parameter, once <see cref="Check"/> has found all of them.</summary>
    public WeightEntry StoredAs(NamedParameter parameter) => _stored[parameter.Name];

    // Old converters wrote linear layers as 1x1 convolutions; trailing axes of length one carry nothing.
    private static bool SameUpToOnes(Shape stored, Shape wanted)
        => stored == wanted || (stored.Rank > wanted.Rank && wanted.Rank > 1
            && stored.Lengths[..wanted.Rank].SequenceEqual(wanted.Lengths) && !stored.Lengths[wanted.Rank..].ContainsAnyExcept(1));

    private static string Nearest(string name, List<string> candidates, string what)
    {
        var best = candidates.Take(1000).Select(c => (Name: c, Distance: EditDistance.Between(name, c))).OrderBy(c => c.Distance).FirstOrDefault();
        return best.Name is not null && best.Distance <= Math.Max(3, name.Length / 3) ? $" ({what} {best.Name})" : "";
    }
}

/// <summary>
/// Starting weights of a new model from a seed: each parameter is a stream of its own, named like the parameter, so it
/// depends on neither the order of loading nor the other parameters.
/// </summary>
public sealed class SeededWeights : WeightSource
{
    private readonly ulong _seed;
    private readonly string _model;
    private readonly bool _nothingZero;

    /// <summary>Weights from a seed.</summary>
    /// <param name="seed">The seed.</param>
    /// <param name="model">The model's name, which keeps models of one seed apart.</param>
    /// <param name="nothingZero">
    /// False for the reference's starting values. True adds noise to everything that would start as zero, one or identity:
    /// then every path of the model contributes, which tests and benchmarks need.
    /// </param>
    public SeededWeights(ulong seed, string model, bool nothingZero = false)
    {
        _seed = seed;
        _model = model;
        _nothingZero = nothingZero;
    }

    /// <inheritdoc/>
    public override void Check(Module module, IReadOnlyList<NamedParameter> parameters)
    {
    }

    /// <inheritdoc/>
    public override float[] Read(DeviceContext context, NamedParameter parameter)
    {
        var recipe = parameter.Parameter.Initialization;
        var shape = parameter.Parameter.TorchShape;
        var values = Draw(context, parameter.Name, recipe, shape);
        recipe.AddFixedPart(values, shape);
        if (_nothingZero && recipe.NoiseBound > 0)
        {
            var noise = Uniform(context, parameter.Name + "/noise", shape.Count, recipe.NoiseBound);
            for (var i = 0; i < values.Length; i++)
            {
                values[i] += noise[i];
            }
        }

        return values;
    }

    private float[] Draw(DeviceContext context, string name, Initialization recipe, Shape shape)
    {
        switch (recipe.Kind)
        {
            case InitializationKind.Uniform:
                return Uniform(context, name, shape.Count, recipe.Scale);
            case InitializationKind.Normal:
                using (TensorScope.Begin())
                {
                    return Ops.Scale(Ops.Randn(context, shape, _seed, Purpose(name)), recipe.Scale).ToArray<float>();
                }

            case InitializationKind.RepeatedUniform:
                var row = shape.Count / shape[0];
                var once = Uniform(context, name, shape.Count / recipe.Repeat, recipe.Scale);
                var repeated = new float[shape.Count];
                for (var i = 0; i < shape[0]; i++)
                {
                    Array.Copy(once, i / recipe.Repeat * row, repeated, i * row, row);
                }

                return repeated;
            case InitializationKind.Cancelling:
                var weights = Uniform(
                    context, WeightBeside(name), shape.Count * recipe.FanIn, Initialization.VariancePreserving(recipe.FanIn).Scale);
                return [.. weights.Chunk(recipe.FanIn).Select(row => (float)(-recipe.Scale * row.Sum(w => (double)w)))];
            default:
                return new float[shape.Count];
        }
    }

    private static string WeightBeside(string bias)
        => bias.EndsWith("bias", StringComparison.Ordinal)
            ? string.Concat(bias.AsSpan(0, bias.Length - "bias".Length), "weight")
            : throw new ArgumentException($"{bias} is no bias beside a weight", nameof(bias));

    private float[] Uniform(DeviceContext context, string name, long count, double bound)
    {
        using var scope = TensorScope.Begin();
        return Ops.RandUniform(context, [checked((int)count)], -bound, bound, _seed, Purpose(name)).ToArray<float>();
    }

    private string Purpose(string name) => $"weights/{_model}/{name}";
}
