// The backward pass of a U-Net against stored gradients.
using System.Text.Json;
using FashionFlow.Autograd;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Diffusion;

/// <summary>
/// A file of gradients of mean((out - target)^2): <c>loss</c>, <c>grad.x</c>, <c>grad.context</c>, <c>grad.param.NAME</c>, all in
/// PyTorch's order; its metadata may name the case that they belong to (<c>case</c>) and, as a JSON list, parameters whose
/// gradient is zero by structure (<c>structural_zero_params</c>).
/// </summary>
internal sealed class GradientComparison
{
    /// <summary>What the names of gradients start with.</summary>
    public const string Prefix = "grad.";

    /// <summary>
    /// What a gradient may differ by that is zero but for rounding: the reference's own noise there is up to 1.2e-7, and ours
    /// rounds in another order.
    /// </summary>
    private const double StructuralZero = 1e-6;

    /// <summary>Gradients may have this many times an output's limit: the reference's own are 1.2e-5 from float64, its outputs 1e-6.</summary>
    private const double GradientFactor = 5;

    private readonly SafetensorsFile _file;
    private readonly string _path;
    private readonly HashSet<string> _zeros;

    public GradientComparison(SafetensorsFile file, string path)
    {
        (_file, _path) = (file, path);
        Case = file.Metadata.GetValueOrDefault("case");
        try
        {
            _zeros = file.Metadata.TryGetValue("structural_zero_params", out var list)
                ? [.. JsonSerializer.Deserialize<string[]>(list) ?? []]
                : [];
        }
        catch (JsonException e)
        {
            throw new ModelException($"{path}: metadata \"structural_zero_params\" is no JSON list of names: {e.Message}", e);
        }
    }

    /// <summary>The case that the gradients belong to; null where the file does not say.</summary>
    public string? Case { get; }

    /// <summary>Runs forward and back, and compares all that is stored. Leaves the module's parameters leaves.</summary>
    public void Run(SpaceTimeUnet unet, CaseComparison comparison)
    {
        unet.RequireGradients();
        using var scope = TensorScope.Begin();
        var (x, context, target) = (comparison.Input("x"), comparison.Input("context"), comparison.Input("target"));
        x.RequireGradient();
        context.RequireGradient();
        using (var tape = Tape.Begin())
        {
            var loss = Functional.MeanSquaredError(ModelComparison.RunUnet(unet, comparison, x, context), target);
            if (_file.Tensors.ContainsKey("loss"))
            {
                Add(comparison, "loss", CaseComparison.Error(loss, _file.Tensors["loss"].Shape, _file.ReadFloat32("loss")));
            }

            tape.Backward(loss);
        }

        foreach (var (name, input) in new[] { ("grad.x", x), ("grad.context", context) })
        {
            if (_file.Tensors.TryGetValue(name, out var entry))
            {
                Add(comparison, name, CaseComparison.Error(input.Gradient()!, entry.Shape, _file.ReadFloat32(name)));
            }
        }

        CompareParameters(unet, comparison);
    }

    private static void Add(CaseComparison comparison, string name, double error)
        => comparison.Add(new ComparisonRow(name, error, GradientFactor * comparison.Tolerance, IsOutput: false));

    private void CompareParameters(SpaceTimeUnet unet, CaseComparison comparison)
    {
        const string ParameterPrefix = "grad.param.";
        var stored = _file.Tensors.Keys.Where(n => n.StartsWith(ParameterPrefix, StringComparison.Ordinal)).ToHashSet(StringComparer.Ordinal);
        foreach (var (name, parameter) in unet.Parameters)
        {
            var full = ParameterPrefix + name;
            if (!stored.Remove(full))
            {
                throw new ModelException($"{_path}: \"{full}\" is missing");
            }

            var wanted = _file.ReadFloat32(full);
            if (_file.Tensors[full].Shape != parameter.TorchShape)
            {
                Add(comparison, full, double.PositiveInfinity);
                continue;
            }

            // A parameter that the loss does not depend on has no gradient; stored, that is zero.
            var ours = parameter.Value.Gradient() is { } gradient
                ? Array.ConvertAll(parameter.ReadTorch(gradient), v => (double)v)
                : new double[wanted.Length];
            var (difference, largest) = CaseComparison.Difference(ours, wanted);
            if (_zeros.Contains(name))
            {
                comparison.Add(new ComparisonRow(full, difference, StructuralZero, IsOutput: false, IsAbsolute: true));
            }
            else
            {
                Add(comparison, full, difference == 0 ? 0 : difference / largest);
            }
        }

        if (stored.Count > 0)
        {
            throw new ModelException($"{_path}: \"{stored.Min(StringComparer.Ordinal)}\" is no parameter of this U-Net");
        }
    }
}
