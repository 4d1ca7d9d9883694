// import: from the files that people have to a model's folder.
using System.CommandLine;
using System.Globalization;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Import;
using FashionFlow.Gpu;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Commands;

/// <summary>Makes a model's folder of a checkpoint, an autoencoder and a CLIP encoder.</summary>
internal static class ImportCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen, CancellationToken cancellation)
    {
        var checkpoint = Path("--checkpoint", "FILE", "The training's file with U-Net and adapter: PyTorch (.pth) or safetensors.");
        var vae = Path("--vae", "DIR|FILE", "Stable Diffusion's autoencoder: its folder as diffusers lays it out, the folder of the whole model, or its weights file.");
        var clip = Path("--clip", "DIR|FILE", "CLIP ViT-B/32: its folder as Hugging Face lays it out, or its weights file. Text half and projections are left out.");
        var output = new Option<string>("--output", "-o") { Description = "The model's folder, which appears whole or not at all.", HelpName = "MODEL_DIR", Required = true };
        var overwrite = new Option<bool>("--overwrite") { Description = "Replace MODEL_DIR if it is a model's folder." };
        var type = WeightTypes.Option("Element type of the weights. Default: as they are in the files.");
        var ema = new Option<bool>("--ema") { Description = "Take the averaged weights where the checkpoint has both." };
        var config = new Option<string?>("--config") { Description = "A config.json with the sizes of a model that is not full-size.", HelpName = "FILE" };
        var quiet = CommonOptions.Quiet();
        var command = new WithExamples(
            "import",
            "Make a model's folder of PyTorch files. Nothing in them is run; nothing is written unless every parameter is there.",
            "import --checkpoint FashionFlow_checkpoint.pth --vae stable-diffusion-v1-4/vae --clip clip-vit-base-patch32 -o models/fashionflow",
            "import --checkpoint checkpoint.pth --vae vae.safetensors --clip pytorch_model.bin -o models/half --dtype f16")
        {
            checkpoint, vae, clip, output, overwrite, type, ema, config, quiet,
        };
        command.SetAction(parsed =>
        {
            screen.IsQuiet = parsed.GetValue(quiet);
            var target = parsed.GetRequiredValue(output);
            CheckTarget(target, parsed.GetValue(overwrite));
            using var import = ModelImport.Open(new ImportSources(parsed.GetRequiredValue(checkpoint), parsed.GetRequiredValue(vae), parsed.GetRequiredValue(clip))
            {
                Averaged = parsed.GetValue(ema), Configuration = parsed.GetValue(config),
            });
            foreach (var note in import.Notes)
            {
                screen.Note($"note: {note}");
            }

            using var pending = PendingOutput.OwnFolder(target);
            try
            {
                import.Write(pending.Path, WeightTypes.Of(parsed.GetValue(type)), Say, cancellation);
                pending.Commit();
            }
            catch (Exception e) when (PendingOutput.IsFailure(e) || e is SafetensorsException { Error: SafetensorsError.Io })
            {
                throw pending.Failure(e);
            }

            if (!screen.IsQuiet)
            {
                screen.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{PrintableText.Of(target)}: {import.Parts.Sum(p => p.Parameters):N0} parameters; hashes are in {ModelImport.HashFile}"));
            }

            return ExitCode.Success;
        });
        return command;

        void Say(ImportedPart part) => screen.Note(string.Create(
            CultureInfo.InvariantCulture,
            $"{part.FileName}: {part.Parameters:N0} parameters of {PrintableText.Of(part.Source)}{(part.Prefix.Length > 0 ? $", {PrintableText.Of(part.Prefix, PrintableText.MessageLength)}*" : string.Empty)}"));

        static Option<string> Path(string name, string helpName, string description) => new(name) { Description = description, HelpName = helpName, Required = true };
    }

    private static void CheckTarget(string target, bool overwrite)
    {
        if (Directory.Exists(target))
        {
            string[] own = [.. ModelFiles.All, ModelConfiguration.FileName, ModelImport.HashFile];
            if (Directory.EnumerateFileSystemEntries(target).Any(path => !own.Contains(System.IO.Path.GetFileName(path), StringComparer.Ordinal)))
            {
                throw new UserError(ExitCode.Output, $"{target} is a folder that holds more than a model; it is kept", "give another --output");
            }

            if (!overwrite)
            {
                throw new UserError(ExitCode.Output, $"{target} exists and is kept", "give another --output, or replace it with --overwrite");
            }
        }
        else
        {
            PendingOutput.Check(target, isFolder: true, overwrite);
        }
    }
}
