// import and convert as a user runs them: what comes out is what went in, and what does not fit is named.
using System.Diagnostics;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Import;
using FashionFlow.Gpu;
using FashionFlow.Layers;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class ImportTests : IDisposable
{
    private const string Tiny = "import --checkpoint checkpoint.pth --vae sd --clip clip -o model --config sizes.json";

    private readonly TemporaryFolder _folder = new();

    public ImportTests() => ImportFolder.Prepare(_folder);

    public void Dispose() => _folder.Dispose();

    [Test]
    public void A_checkpoint_an_autoencoder_and_CLIP_become_a_model_that_makes_videos()
    {
        var result = Run(Tiny);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.Output, Does.Match("^model: [0-9,]+ parameters; hashes are in SHA256SUMS\n$"));
            Assert.That(result.Error, Does.Contain("unet.safetensors: ").And.Contain("parameters of checkpoint.pth, net.*").And.Contain("of sd/vae/diffusion_pytorch_model.bin\n"));
            foreach (var name in ModelFiles.All)
            {
                Assert.That(File.ReadAllBytes(_folder[$"model/{name}"]), Is.EqualTo(File.ReadAllBytes(_folder[$"parts/{name}"])), name);
            }

            Assert.That(ModelConfiguration.ForDirectory(_folder["model"]).Unet.DimMult, Is.EqualTo(new[] { 1, 2 }));
        }

        using (var check = Process.Start(new ProcessStartInfo("sha256sum", ["--check", "--strict", "--quiet", ModelImport.HashFile]) { WorkingDirectory = _folder["model"] })!)
        {
            check.WaitForExit();
            Assert.That(check.ExitCode, Is.Zero);
        }

        TestPictures.Write(_folder["dress.jpg"]);
        Assert.That(Run("generate dress.jpg -o a.mp4 --steps 1 -m model -d virtual").ExitCode, Is.Zero);
    }

    [TestCase("f16", DType.Float16)]
    [TestCase("bf16", DType.BFloat16)]
    [TestCase("f32", DType.Float32)]
    public void Weights_are_written_in_the_type_that_is_asked_for(string word, DType type)
    {
        Assert.That(Run($"{Tiny} --dtype {word}").ExitCode, Is.Zero);
        using var file = SafetensorsFile.Open(_folder["model/vae.safetensors"]);
        Assert.That(file.Tensors.Values.Select(t => t.DType), Has.All.EqualTo(type));
    }

    [TestCase("", 1, "averaged weights of the U-Net too (ema.net.*), which often sample better: --ema takes them")]
    [TestCase(" --ema", 2, "net.*")]
    public void Of_two_sets_of_weights_the_wanted_one_is_taken(string option, int factor, string said)
    {
        var result = Run(Tiny.Replace("checkpoint.pth", "averaged.pth", StringComparison.Ordinal) + option);
        Assert.That(result.ExitCode, Is.Zero, result.Error);
        Assert.That(result.Error, Does.Contain(said));
        using var original = SafetensorsFile.Open(_folder["parts/unet.safetensors"]);
        using var taken = SafetensorsFile.Open(_folder["model/unet.safetensors"]);
        Assert.That(taken.ReadFloat32("conv_in.spatial_conv.weight"), Is.EqualTo(original.ReadFloat32("conv_in.spatial_conv.weight").Select(v => factor * v)));
    }

    [Test]
    public void What_is_missing_surplus_or_mis_shaped_is_named_and_nothing_is_written()
    {
        using var unet = SafetensorsFile.Open(_folder["parts/unet.safetensors"]);
        using var adapter = SafetensorsFile.Open(_folder["parts/adapter.safetensors"]);
        var tensors = ImportFolder.Of(unet, "net.").Concat(ImportFolder.Of(adapter, "adapter.")).ToList();
        const string Bias = "net.conv_in.spatial_conv.bias";
        const string Weight = "net.conv_in.temporal_conv.weight";
        var values = unet.ReadFloat32(Weight[4..]);
        (string Words, IEnumerable<SafetensorsTensor> Tensors)[] cases =
        [
            ("missing conv_in.spatial_conv.bias [8]", tensors.Where(t => t.Name != Bias)),
            ("surplus conv_in.spatial_conv.more [1]", tensors.Append(new SafetensorsTensor("net.conv_in.spatial_conv.more", [1], [1]))),
            ("conv_in.temporal_conv.weight has shape [8, 24], the model needs [8, 8, 3]", tensors.Select(t => t.Name == Weight ? new SafetensorsTensor(Weight, [8, 24], values) : t)),
            ("missing conv_in.spatial_conv.bias [8] (the file has conv_in.spatial_conv.bais)", tensors.Where(t => t.Name != Bias).Append(new SafetensorsTensor("net.conv_in.spatial_conv.bais", [8], new float[8]))),
        ];
        foreach (var (words, changed) in cases)
        {
            ImportFolder.WritePyTorch(_folder["checkpoint.pth"], [.. changed]);
            Run(Tiny).MustFail(3, $"checkpoint.pth (U-Net) does not fit the model: {words}");
            Assert.That(Directory.Exists(_folder["model"]), Is.False);
        }
    }

    [TestCase("--checkpoint sd/vae/diffusion_pytorch_model.bin --vae sd --clip clip", "sd/vae/diffusion_pytorch_model.bin does not hold the U-Net; it looks like an autoencoder")]
    [TestCase("--checkpoint checkpoint.pth --vae clip/model.safetensors --clip clip", "clip/model.safetensors does not hold the autoencoder; it looks like a CLIP model")]
    [TestCase("--checkpoint checkpoint.pth --vae sd --clip checkpoint.pth", "checkpoint.pth does not hold the CLIP vision encoder; it looks like an adapter")]
    [TestCase("--checkpoint checkpoint.pth --vae clip/none --clip clip", "clip/none: there is no such file")]
    [TestCase("--checkpoint checkpoint.pth --vae parts --clip clip", "parts holds no weights: none of diffusion_pytorch_model.safetensors, diffusion_pytorch_model.bin, also not in vae/")]
    [TestCase("--checkpoint pointer.pth --vae sd --clip clip", "pointer.pth: a Git-LFS pointer, not the file itself")]
    [TestCase("--checkpoint page.pth --vae sd --clip clip", "page.pth: a web page, not a weights file")]
    [TestCase("--checkpoint cut.pth --vae sd --clip clip", "cut.pth: the archive is damaged: its end is missing")]
    [TestCase("--checkpoint evil.pth --vae sd --clip clip", "evil.pth: data.pkl, byte 208: it asks for posix.system")]
    public void Another_file_is_said_to_be_what_it_is(string sources, string words)
    {
        File.WriteAllText(_folder["pointer.pth"], "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n");
        File.WriteAllText(_folder["page.pth"], "<!DOCTYPE html>\n<html></html>");
        File.WriteAllBytes(_folder["cut.pth"], File.ReadAllBytes(_folder["checkpoint.pth"])[..^2000]);
        File.Copy(Path.Combine(BuiltProgram.SourceTree(), "tests/data/malicious.pth"), _folder["evil.pth"]);
        Run($"import {sources} -o model --config sizes.json").MustFail(3, words);
        Assert.That(Directory.Exists(_folder["model"]), Is.False);
    }

    [Test]
    public void An_existing_model_is_kept_unless_it_may_be_replaced_and_another_folder_always()
    {
        Assert.That(Run(Tiny).ExitCode, Is.Zero);
        Run(Tiny).MustFail(5, "model exists and is kept");
        Assert.That(Run(Tiny + " --overwrite").ExitCode, Is.Zero);
        File.WriteAllText(_folder["model/notes.txt"], "mine");
        Run(Tiny + " --overwrite").MustFail(5, "model is a folder that holds more than a model; it is kept");
    }

    [Test]
    public void A_file_goes_to_the_other_format_and_back_without_a_change()
    {
        Assert.That(Run("convert parts/vae.safetensors -o vae.pth").Output, Does.Match("^vae.pth: [0-9]+ tensors, [0-9,]+ parameters, [0-9,]+ bytes\n$"));
        Assert.That(Run("convert vae.pth -o again.safetensors --quiet").ExitCode, Is.Zero);
        Assert.That(File.ReadAllBytes(_folder["again.safetensors"]), Is.EqualTo(File.ReadAllBytes(_folder["parts/vae.safetensors"])));
    }

    [Test]
    public void A_part_of_a_checkpoint_is_taken_out_under_its_own_names()
    {
        Assert.That(Run("convert checkpoint.pth -o unet.safetensors --prefix net.").ExitCode, Is.Zero);
        Assert.That(File.ReadAllBytes(_folder["unet.safetensors"]), Is.EqualTo(File.ReadAllBytes(_folder["parts/unet.safetensors"])));
        Run("convert checkpoint.pth -o none.safetensors --prefix nothing.").MustFail(3, "checkpoint.pth has no tensor whose name starts with nothing.");
        Run("convert checkpoint.pth -o model.onnx").MustFail(2, "the output's extension must be .safetensors, .pth, .pt or .bin, not '.onnx'");
        Run("convert checkpoint.pth -o unet.safetensors").MustFail(5, "unet.safetensors exists and is kept");
        Assert.That(Run("convert checkpoint.pth -o unet.safetensors --overwrite --dtype bf16").ExitCode, Is.Zero);
        using var all = SafetensorsFile.Open(_folder["unet.safetensors"]);
        Assert.That(all.Tensors.Values.Select(t => t.DType), Has.All.EqualTo(DType.BFloat16));
    }

    // A gigabyte of files, as large as people's.
    [Test]
    [Category("Long")]
    public void Full_size_files_are_imported_in_less_memory_than_the_largest_of_them()
    {
        var full = new ModelConfiguration();
        Directory.CreateDirectory(_folder["vae"]);
        Directory.CreateDirectory(_folder["openai"]);
        ImportFolder.WritePyTorch(_folder["FashionFlow_checkpoint.pth"], [.. Zeros(new SpaceTimeUnet(full.Unet), "net."), .. Zeros(full.CreateAdapter(), "adapter.")]);
        ImportFolder.WritePyTorch(_folder["vae/diffusion_pytorch_model.bin"], [.. Zeros(new AutoencoderKl(full.Vae), string.Empty)]);
        ImportFolder.WritePyTorch(_folder["openai/pytorch_model.bin"], [.. Zeros(new ClipVisionModel(full.Clip), string.Empty)]);
        using var process = BuiltProgram.Start(_folder.Path, null, "import --checkpoint FashionFlow_checkpoint.pth --vae vae --clip openai -o full".Split(' '));
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        long peak = 0;
        while (!process.WaitForExit(20))
        {
            process.Refresh();
            peak = Math.Max(peak, process.HasExited ? 0 : process.PeakWorkingSet64);
        }

        Assert.That(process.ExitCode, Is.Zero, errors.GetAwaiter().GetResult());
        TestContext.Out.WriteLine($"peak {peak / (1 << 20)} MiB");
        using (Assert.EnterMultipleScope())
        {
            Assert.That(errors.GetAwaiter().GetResult(), Does.Contain("71,671,548").And.Contain("986,558").And.Contain("83,653,863").And.Contain("87,456,000"));
            Assert.That(output.GetAwaiter().GetResult(), Does.StartWith("full: 243,767,969 parameters"));
            Assert.That(peak, Is.LessThan(new FileInfo(_folder["openai/pytorch_model.bin"]).Length / 2), "each tensor is let go of when it was written");
        }

        static IEnumerable<SafetensorsTensor> Zeros(Module module, string prefix) => module.Parameters.Select(p => SafetensorsTensor.Streamed(
            prefix + p.Name,
            DType.Float32,
            p.Parameter.TorchShape,
            stream =>
            {
                var zeros = new byte[1 << 16];
                for (var left = p.Parameter.TorchShape.Count * sizeof(float); left > 0; left -= zeros.Length)
                {
                    stream.Write(zeros.AsSpan(0, (int)Math.Min(left, zeros.Length)));
                }
            }));
    }

    private ProgramResult Run(string line) => BuiltProgram.RunIn(_folder.Path, null, line.Split(' '));
}
