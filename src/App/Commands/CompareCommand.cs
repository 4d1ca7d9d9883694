// compare: holds a model to stored results of another implementation, module by module. How a conversion is proven.
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Tensors;
using Spectre.Console;

namespace FashionFlow.App.Commands;

/// <summary>Prints the largest error of every module, the first divergence marked.</summary>
internal static class CompareCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var model = new Argument<string>("MODEL") { Description = "Which model the weights are.", HelpName = "unet|vae|clip|adapter" };
        model.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && Parse(token.Value) is null)
            {
                result.AddError($"the model must be unet, vae, clip or adapter, not '{token.Value}'");
            }
        });
        model.CompletionSources.Add("unet", "vae", "clip", "adapter");
        var weights = new Option<string>("--weights", "-w") { Description = "The model's safetensors file.", HelpName = "W", Required = true };
        var reference = new Option<string>("--reference", "-r") { Description = "Stored inputs, activations and outputs (safetensors).", HelpName = "IO", Required = true };
        var caseName = new Option<string?>("--case") { Description = "One case of the reference. Default: all.", HelpName = "A" };
        var tolerance = CommonOptions.Positive(
            "--tolerance", "T", "Largest error of an output, relative to the largest stored value; activations may have twice that, gradients five times. Default: 1e-5.", 1);
        var gradients = new Option<string?>("--gradients", "-g")
        {
            Description = "Stored gradients of mean((out - target)^2) of a U-Net: runs the backward pass too and compares each.", HelpName = "GRADS",
        };
        var budget = MemoryBudget.Option();
        budget.Description = "Plan the run so that weights and activations take no more device memory than this: 4GiB, 900MB, or bytes; the result is the same.";
        var device = CommonOptions.Device();
        var json = CommonOptions.Json();
        var command = new WithExamples(
            "compare",
            "Run a model on stored inputs and compare every module with stored results.",
            "compare unet --weights unet.safetensors --reference unet_io.safetensors --case A",
            "compare unet -w unet.safetensors -r unet_io.safetensors --gradients unet_grads.safetensors",
            "compare clip -w clip.safetensors -r clip_io.safetensors --tolerance 1e-4",
            "compare vae -w vae.safetensors -r vae_io.safetensors --json")
        {
            model, weights, reference, gradients, caseName, tolerance, budget, device, json,
        };
        command.SetAction(parsed =>
        {
            var (weightsPath, referencePath) = (parsed.GetRequiredValue(weights), parsed.GetRequiredValue(reference));
            var gradientsPath = parsed.GetValue(gradients);
            foreach (var path in new[] { weightsPath, referencePath, gradientsPath })
            {
                if (path is not null && !File.Exists(path))
                {
                    throw new UserError(ExitCode.Input, $"{path} does not exist");
                }
            }

            using var context = DeviceContext.Open(parsed.GetRequiredValue(device));
            var limit = parsed.GetValue(tolerance) ?? ModelComparison.DefaultTolerance;
            var compared = Parse(parsed.GetRequiredValue(model))!.Value;
            var plan = parsed.GetValue(budget) is { } size ? PlanFor(MemoryBudget.Parse(size)!.Value) : null;
            foreach (var line in plan is null ? [] : MemoryBudget.Describe(plan))
            {
                screen.Note(line);
            }

            var results = ModelComparison.Run(context, compared, weightsPath, referencePath, parsed.GetValue(caseName), limit, gradientsPath, plan);
            cancellation.ThrowIfCancellationRequested();
            foreach (var result in results)
            {
                if (parsed.GetValue(json))
                {
                    screen.WriteJson(line => Write(line, result));
                }
                else
                {
                    Print(screen, result);
                }
            }

            return results.All(r => r.Passed) ? ExitCode.Success : ExitCode.Negative;

            MemoryPlan PlanFor(long most)
            {
                try
                {
                    return ModelComparison.Plan(context.Device, compared, weightsPath, referencePath, Math.Min(most, context.Device.MemoryInfo.Free), parsed.GetValue(caseName), gradientsPath);
                }
                catch (MemoryBudgetException e)
                {
                    throw MemoryBudget.Refusal(e, most, orElse: null);
                }
            }
        });
        return command;
    }

    private static void Print(Screen screen, ComparisonResult result)
    {
        var table = screen.Table("tensor", "error", "limit", string.Empty);
        table.Columns[1].RightAligned();
        table.Columns[2].RightAligned();
        foreach (var row in result.Rows)
        {
            var (mark, color) = row switch
            {
                { IsFirstDivergence: true } => ("<-- first divergence", Color.Red),
                { Passed: false } => ("beyond its limit", Color.Red),
                { IsOutput: true } => ("output", Color.Green),
                { IsAbsolute: true } => ("zero by structure: the difference itself", Color.Default),
                _ => (string.Empty, Color.Default),
            };
            table.AddRow(new Text(row.Name), new Text(Number(row.Error)), new Text(Number(row.Limit)), new Text(mark, new Style(color)));
        }

        screen.Write(table);
        var name = result.Case.Length == 0 ? string.Empty : $"case {result.Case}: ";
        var failed = result.Rows.Count(r => !r.Passed);
        screen.WriteLine(failed == 0
            ? $"{name}{(result.Rows.Count == 1 ? "the tensor agrees" : $"all {result.Rows.Count} tensors agree")}; largest error of an output {Number(result.OutputError)}{(result.GradientError is { } error ? $", of a gradient {Number(error)}" : string.Empty)}"
            : $"{name}{failed} of {result.Rows.Count} tensors differ, the first is {result.Rows.First(r => r.IsFirstDivergence).Name}");
    }

    private static void Write(Utf8JsonWriter line, ComparisonResult result)
    {
        line.WriteString("case", result.Case);
        line.WriteBoolean("passed", result.Passed);
        WriteNumber("output_error", result.OutputError);
        if (result.GradientError is { } gradientError)
        {
            WriteNumber("gradient_error", gradientError);
        }

        line.WriteString("first_divergence", result.Rows.FirstOrDefault(r => r.IsFirstDivergence)?.Name);
        line.WriteStartArray("tensors");
        foreach (var row in result.Rows)
        {
            line.WriteStartObject();
            line.WriteString("name", row.Name);
            WriteNumber("error", row.Error);
            line.WriteNumber("limit", row.Limit);
            line.WriteBoolean("passed", row.Passed);
            line.WriteBoolean("output", row.IsOutput);
            line.WriteBoolean("absolute", row.IsAbsolute);
            line.WriteEndObject();
        }

        line.WriteEndArray();

        // JSON has no infinity: what is not comparable has no error.
        void WriteNumber(string name, double value)
        {
            if (double.IsFinite(value))
            {
                line.WriteNumber(name, value);
            }
            else
            {
                line.WriteNull(name);
            }
        }
    }

    private static string Number(double value) => double.IsPositiveInfinity(value) ? "not comparable" : value.ToString("0.0e+00", CultureInfo.InvariantCulture);

    private static ComparedModel? Parse(string name) => name switch
    {
        "unet" => ComparedModel.Unet,
        "vae" => ComparedModel.Vae,
        "clip" => ComparedModel.Clip,
        "adapter" => ComparedModel.Adapter,
        _ => null,
    };
}
