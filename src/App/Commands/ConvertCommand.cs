// convert: one file of weights into the other format.
using System.CommandLine;
using System.Globalization;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Commands;

/// <summary>Converts between safetensors and PyTorch files.</summary>
internal static class ConvertCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var input = new Argument<string>("IN") { Description = "A safetensors or PyTorch file, or an index of several.", HelpName = "IN" };
        var output = new Option<string>("--output", "-o")
        {
            Description = "The file to write. Its extension is its format: .safetensors, or .pth, .pt, .bin for PyTorch.", HelpName = "OUT", Required = true,
        };
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace OUT. Without it an existing file is kept." };
        var type = WeightTypes.Option("Element type of what are floating-point numbers. Default: as it is.");
        var prefix = new Option<string?>("--prefix") { Description = "Convert only tensors whose name starts with this, and leave it out of the names: net. takes the U-Net out of a checkpoint.", HelpName = "TEXT" };
        var quiet = CommonOptions.Quiet();
        var command = new WithExamples(
            "convert",
            "Convert a file of weights between PyTorch and safetensors. Dictionaries inside one another become names with dots; nothing is run.",
            "convert FashionFlow_checkpoint.pth -o checkpoint.safetensors",
            "convert FashionFlow_checkpoint.pth -o unet.safetensors --prefix net. --dtype f16",
            "convert vae.safetensors -o vae.pth")
        {
            input, output, overwrite, type, prefix, quiet,
        };
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            var (source, target) = (parsed.GetRequiredValue(input), parsed.GetRequiredValue(output));
            var write = WriterOf(target);
            using var file = WeightFile.Open(source);
            var start = parsed.GetValue(prefix) ?? string.Empty;
            var wanted = WeightTypes.Of(parsed.GetValue(type));
            var tensors = file.Entries
                .Where(e => e.Name.StartsWith(start, StringComparison.Ordinal) && e.Name.Length > start.Length)
                .Select(e => Tensor(file, e, e.Name[start.Length..], wanted, cancellation))
                .ToList();
            if (tensors.Count == 0)
            {
                throw new UserError(ExitCode.Input, $"{PrintableText.Of(source)} has no tensor{(start.Length > 0 ? $" whose name starts with {PrintableText.Of(start)}" : string.Empty)}");
            }

            PendingOutput.WriteFile(target, parsed.GetValue(overwrite), stream => write(stream, target, tensors));
            if (!screen.IsQuiet)
            {
                screen.WriteLine(string.Create(
                    CultureInfo.InvariantCulture, $"{PrintableText.Of(target)}: {tensors.Count:N0} tensors, {tensors.Sum(t => t.Shape.Count):N0} parameters, {new FileInfo(target).Length:N0} bytes"));
            }

            return ExitCode.Success;
        });
        return command;
    }

    private static Action<Stream, string, IReadOnlyList<SafetensorsTensor>> WriterOf(string target) => Path.GetExtension(target) switch
    {
        ".safetensors" => (stream, name, tensors) => SafetensorsWriter.Write(stream, name, tensors),
        ".pth" or ".pt" or ".bin" => PyTorchWriter.Write,
        var other => throw new UserError(ExitCode.Usage, $"the output's extension must be .safetensors, .pth, .pt or .bin, not '{other}'"),
    };

    private static SafetensorsTensor Tensor(WeightFile file, WeightEntry entry, string name, DType? wanted, CancellationToken cancellation)
    {
        var type = entry.DType.IsFloatingPoint() && wanted is { } floats ? floats : entry.DType;
        return SafetensorsTensor.Streamed(name, type, entry.Shape, stream =>
        {
            cancellation.ThrowIfCancellationRequested();
            file.CopyTo(entry.Name, stream, type);
        });
    }
}
