// Every option of every command, by its use: a command line, and what it leaves on the disk and on standard output.
using System.CommandLine;
using FashionFlow.App.Commands;
using FashionFlow.App.Terminal;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class OptionTableTests : IDisposable
{
    private const string Quick = "-m tiny --steps 1 -d virtual";
    private const string Encode = "-m tiny -d virtual";
    private const string Learn = "-m tiny -d virtual --steps 1";

    // Command line; the files that are new after it, in order; a pattern of standard output.
    private static readonly (string Line, string[] Files, string Output)[] Rows =
    [
        ($"generate dress.jpg -o a.mp4 {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: 4 frames of 16 x 24 at 25 fps, made in .*\n$"),
        ($"generate dress.jpg --output a.gif --model tiny --steps 1 --device virtual", ["a.gif", "a.gif.json"], "^a.gif: 4 frames"),
        ($"generate dress.jpg -o a.webm {Quick}", ["a.webm", "a.webm.json"], "^a.webm: 4 frames"),
        ($"generate dress.jpg -o A.MP4 {Quick}", ["A.MP4", "A.MP4.json"], "^A.MP4: 4 frames"),
        ($"generate dress.jpg -o out/ {Quick}", ["out/dress.mp4", "out/dress.mp4.json"], "^out/dress.mp4: 4 frames"),
        ($"generate dress.jpg -o new/deep {Quick}", ["new/deep/dress.mp4", "new/deep/dress.mp4.json"], "^new/deep/dress.mp4: 4 frames"),
        ($"generate dress.jpg -o . {Quick}", ["dress.mp4", "dress.mp4.json"], "^./dress.mp4: 4 frames"),
        ($"generate dress.jpg -o out --format mp4 {Quick}", ["out/dress.mp4", "out/dress.mp4.json"], "^out/dress.mp4: "),
        ($"generate dress.jpg -o out --format gif {Quick}", ["out/dress.gif", "out/dress.gif.json"], "^out/dress.gif: "),
        ($"generate dress.jpg -o out --format webm {Quick}", ["out/dress.webm", "out/dress.webm.json"], "^out/dress.webm: "),
        (
            $"generate dress.jpg -o out --format png {Quick}",
            ["out/dress/frame_00000.png", "out/dress/frame_00001.png", "out/dress/frame_00002.png", "out/dress/frame_00003.png", "out/dress/recipe.json"],
            "^out/dress: "),
        (
            $"generate dress.jpg -o out --format png --contact-sheet --frames 2 {Quick}",
            ["out/dress.sheet.png", "out/dress/frame_00000.png", "out/dress/frame_00001.png", "out/dress/recipe.json"],
            "^out/dress: 2 frames"),
        ($"generate dress.jpg -o a.mp4 --contact-sheet {Quick}", ["a.mp4", "a.mp4.json", "a.sheet.png"], "^a.mp4: "),
        ($"generate dress.jpg -o old.mp4 --overwrite {Quick}", ["old.mp4", "old.mp4.json"], "^old.mp4: 4 frames"),
        ($"generate dress.jpg -o a.mp4 --fit crop {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --fit pad {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --fit stretch {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate two.gif -o a.mp4 --input-frame 1 {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate clip.mp4 -o a.mp4 --input-frame 3 {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate clip.mp4 -o a.mp4 {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --sampler ddpm {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --sampler ddim --eta 0.5 --spacing trailing {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --sampler euler --spacing uniform {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --sampler dpmpp --spacing karras -m tiny --steps 3 -d virtual", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --sampler ddim {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --seed 18446744073709551615 {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        (
            $"generate dress.jpg -o out --num-videos 2 --seed 7 {Quick}",
            ["out/dress-seed7.mp4", "out/dress-seed7.mp4.json", "out/dress-seed8.mp4", "out/dress-seed8.mp4.json"],
            "^out/dress-seed7.mp4: .*\nout/dress-seed8.mp4: .*\n$"),
        ($"generate dress.jpg -o a.mp4 --frames 6 {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: 6 frames"),
        ($"generate dress.jpg -o a.mp4 --fps 12.5 {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: 4 frames of 16 x 24 at 12.5 fps"),
        ("generate dress.jpg -o a.mp4 -m tiny --steps 1 -d auto", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ("generate dress.jpg -o a.mp4 -m tiny --steps 1 -d virtual:sm_70", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --threads 1 {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --compat fashionflow {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --compat fixed {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --quiet {Quick}", ["a.mp4", "a.mp4.json"], "^$"),
        ($"generate dress.jpg -o a.mp4 --json {Quick}", ["a.mp4", "a.mp4.json"], "^{\"status\":\"made\",\"picture\":\"dress.jpg\",\"output\":\"a.mp4\".*}\n$"),
        (
            $"generate photos dress.jpg -o out {Quick}",
            ["out/a.mp4", "out/a.mp4.json", "out/b.mp4", "out/b.mp4.json", "out/dress.mp4", "out/dress.mp4.json"],
            "^out/a.mp4: .*\nout/b.mp4: .*\nout/dress.mp4: .*\n$"),
        ($"generate dress.jpg -o a.mp4 --checkpoint-every 1 --keep-latents --debug-finite {Quick}", ["a.mp4", "a.mp4.json", "a.mp4.latents"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --memory-budget 64MiB {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --graph on {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --graph off {Quick}", ["a.mp4", "a.mp4.json"], "^a.mp4: "),
        ($"generate dress.jpg -o a.mp4 --plan-only {Quick}", [], "^stage .*\n(?s:.*)\nsampling and decoding: about "),
        ("decode kept.mp4.latents -o a.webm -m tiny --memory-budget 1GB", ["a.webm", "a.webm.json"], "^a.webm: 4 frames"),
        ($"generate dress.jpg -o a.mp4 --preview 1 {Quick}", ["a.mp4", "a.mp4.json", "a.preview.png"], "^a.mp4: "),
        ("generate --resume kept.mp4.latents -o kept.mp4 --model tiny --preview 1 --threads 1 --keep-latents --quiet", ["kept.mp4", "kept.mp4.json"], "^$"),
        ("generate --resume kept.mp4.latents -o kept.mp4 -m tiny -d virtual --json", ["kept.mp4", "kept.mp4.json"], "^{\"status\":\"made\",.*\"output\":\"kept.mp4\",.*}\n$"),
        ("decode kept.mp4.latents -o a.gif --model tiny --device virtual --threads 1 --fps 5 --debug-finite --json", ["a.gif", "a.gif.json"], "^{\"status\":\"made\",.*}\n$"),
        ("decode kept.mp4.latents --output old.mp4 --overwrite --contact-sheet -m tiny", ["old.mp4.json", "old.sheet.png"], "^old.mp4: 4 frames"),
        ("decode kept.mp4.latents -o out --format png -m tiny --quiet", ["out/frame_00000.png", "out/frame_00001.png", "out/frame_00002.png", "out/frame_00003.png", "out/recipe.json"], "^$"),
        ("demo --output out --steps 1 --seed 3 --device virtual --threads 2", ["out/demo.mp4", "out/demo.mp4.json", "out/demo.png", "out/demo.sheet.png"], "sampler  ddim, 1 steps, seed 3"),
        ("demo -o out --steps 1 --quiet", ["out/demo.mp4", "out/demo.mp4.json", "out/demo.png", "out/demo.sheet.png"], "^$"),
        ("verify made.mp4 --device virtual --threads 1", [], "^made.mp4: the same: 4 frames, to the byte\n$"),
        ("verify made.mp4 --input dress.jpg --model tiny --quiet", [], "^$"),
        ("verify made.mp4 --json", [], "^{\"status\":\"same\",\"video\":\"made.mp4\",\"frames\":4,\"different_frames\":0,\"same_bytes\":true,.*}\n$"),
        ("gradcheck --op Silu --seed 3 --device virtual:sm_70", [], "^operator .*worst error.*\n *Silu .*\n1 operator, \\d+ cases?: all gradients are right; \\d+\\.\\d s on .*sm_70.*\n$"),
        ("gradcheck --all --fast -d virtual --quiet", [], "^$"),
        ("gradcheck --op Silu --fast --json", [], "^{\"status\":\"right\",\"operator\":\"Silu\",\"variant\":\".*\",\"mode\":\"fast\",\"seed\":0,.*}\n"),
        (
            "render-garments -o set --train 2 --test 1 --frames 2 --size 16x24 --seed 3 --threads 2",
            ["set/garments.json", "set/test/garment_0001.mp4", "set/train/garment_0001.mp4", "set/train/garment_0002.mp4"],
            "^set: 2 clips to train on, 1 held out, each 2 frames of 16 x 24 at 8 fps; 0.0 MB, made in .*\n$"),
        ("render-garments --output new/set --train 1 --test 0 --frames 1 --overwrite --quiet", ["new/set/garments.json", "new/set/train/garment_0001.mp4"], "^$"),
        ($"project clips -o out {Encode}", ["out/a.safetensors", "out/dataset.json"], "^out/a.safetensors: 6 frames, made in .*\nout/dataset.json: 1 clips to train on, 0 to test on, 6 frames\n$"),
        ("project clips --output new/deep --model tiny --device virtual", ["new/deep/a.safetensors", "new/deep/dataset.json"], "^new/deep/a.safetensors: 6 frames"),
        ($"project clips-odd -o clips-odd {Encode}", ["clips-odd/a.safetensors", "clips-odd/dataset.json"], "^clips-odd/a.safetensors: 5 frames"),
        ($"project clips-short -o out --min-frames 3 {Encode}", ["out/a.safetensors", "out/dataset.json"], "^out/a.safetensors: 3 frames"),
        ($"project clips -o out --compat fixed --fit crop {Encode}", ["out/a.safetensors", "out/dataset.json"], "^out/a.safetensors: "),
        ($"project clips -o out --compat fashionflow --fit stretch {Encode}", ["out/a.safetensors", "out/dataset.json"], "^out/a.safetensors: "),
        ($"project clips -o out --fit pad --overwrite {Encode}", ["out/a.safetensors", "out/dataset.json"], "^out/a.safetensors: "),
        ($"project clips -o out --threads 1 --quiet {Encode}", ["out/a.safetensors", "out/dataset.json"], "^$"),
        (
            $"project clips -o out --json {Encode}",
            ["out/a.safetensors", "out/dataset.json"],
            "^{\"status\":\"made\",\"video\":\"clips/a.mp4\",\"output\":\"out/a.safetensors\",\"split\":\"train\",\"frames\":6,\"fps\":10,.*}\n{\"status\":\"indexed\",.*}\n$"),
        ($"train --data latents -o run {Learn}", [.. Run("run", 1, "unet", "adapter"), .. Samples("run", 1)], "^run/model: finished after 1 steps\n$"),
        (
            "train --data latents --output new/run --model tiny --device virtual --threads 1 --steps 2 --batch 1 --seed 7 --learning-rate 1e-3 --warmup 1 --decay cosine --weight-decay 0 --clip-norm 0.5 --sample-every 0 --quiet",
            [.. Run("new/run", 2, "unet", "adapter")],
            "^$"),
        ($"train --data latents -o run --part denoiser --frames 2 --average 0.9 --recompute --dtype f16 --sample-steps 1 --keep 1 --checkpoint-every 5 {Learn}", [.. Run("run", 1, "unet", "adapter"), .. Samples("run", 1)], "^run/model: "),
        ($"train --data latents -o run --compat fashionflow --resume --log-every 1 --sample-every 0 --json {Learn}", [.. Run("run", 1, false, "unet", "adapter")], "^{\"step\":1,\"loss\":.*}\n{\"status\":\"finished\",\"model\":\"run/model\",\"curves\":\"run/curves.png\",\"step\":1}\n$"),
        ($"train --config train.json --data latents -o run --sample-every 0 {Learn}", [.. Run("run", 1, "unet", "adapter")], "^run/model: "),
        ($"train --part vae --data clips -o run --crop 8 {Learn}", [.. Run("run", 1, "vae")], "^run/model: "),
        ($"train --part vae --data clips -o run --average 0 {Learn}", [.. Run("run", 1, false, "vae")], "^run/model: "),
        (
            $"evaluate --data clips -m tiny -d virtual --split train --clips 1 --steps 1 --sampler ddim --eta 1 --spacing trailing --seed 3 --compat fashionflow --threads 1 -o out --overwrite",
            ["out/contact_sheet.png", "out/evaluation.json", "out/gain_by_clip.png", "out/identity.png", "out/psnr_by_frame.png"],
            "^frames +PSNR dB .*\ngenerated .*\nrepeated picture .*\nautoencoder .*\n1 clip in .*: gain over repeating the picture .* dB, above zero in [01]; found by chance 100.0 %\nout/evaluation.json: all figures"),
        ("evaluate --data clips --model tiny --device virtual --split train --steps 1 --json --quiet", [], "^{\"status\":\"evaluated\",\"skipped\":0,\"summary\":{\"clips\":1,.*}\n$"),
        ("completion bash", [], "complete -F _fashionflow fashionflow"),
        ("completion zsh", [], "compdef _fashionflow fashionflow"),
        ("completion fish", [], "complete --command fashionflow"),
        ("complete -- generate --samp", [], "^--sampler\n$"),
        ("doctor --json", [], "^{.*}\n$"),
        ("version --json", [], "^{.*}\n$"),
        ("--version", [], "^fashionflow "),
        ("--help", [], "Exit codes:"),
        ("kernels check", [], "^$"),
    ];

    // Options that other suites use: CompareTests, InspectTests, KernelLibraryTests.
    private static readonly string[] TestedElsewhere = ["compare", "convert", "import", "inspect", "kernels build", "kernels first"];

    private readonly TemporaryFolder _folder = new();

    /// <summary>What a run leaves; the name of its curves ends in a time, which <see cref="A_command_line_does_what_it_says"/> takes out.</summary>
    private static string[] Run(string run, int steps, params string[] modules) => Run(run, steps, averages: true, modules);

    private static string[] Run(string run, int steps, bool averages, params string[] modules) =>
    [
        .. modules.Concat(["optimizer"]).Concat(averages ? ["average"] : []).Select(file => $"{run}/checkpoints/step-{steps:00000000}/{file}.safetensors"),
        $"{run}/checkpoints/step-{steps:00000000}/manifest.json", $"{run}/checkpoints/step-{steps:00000000}/state.json",
        .. modules.Select(file => $"{run}/model/{file}.safetensors"),
        $"{run}/model/config.json", $"{run}/events/curves", $"{run}/curves.png", $"{run}/run.lock", $"{run}/run.pid", $"{run}/training.json",
    ];

    private static string[] Samples(string run, int step) => [$"{run}/samples/step-{step:00000000}.mp4", $"{run}/samples/step-{step:00000000}.gif"];

    private static IEnumerable<TestCaseData> Cases => Rows.Select(row => new TestCaseData(row.Line, row.Files, row.Output).SetArgDisplayNames(row.Line));

    public void Dispose() => _folder.Dispose();

    [TestCaseSource(nameof(Cases))]
    public void A_command_line_does_what_it_says(string line, string[] files, string output)
    {
        WorkFolder.Prepare(_folder, withVideo: line.Contains("clip", StringComparison.Ordinal) || line.Contains("made", StringComparison.Ordinal) || line.Contains("kept", StringComparison.Ordinal));
        if (line.StartsWith("train", StringComparison.Ordinal))
        {
            WorkFolder.AddLatents(_folder);
            File.WriteAllText(_folder["train.json"], "{ \"batch\": 1 }");
        }

        var before = WorkFolder.List(_folder);
        var result = BuiltProgram.RunIn(_folder.Path, null, line.Split(' '));
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.Zero, result.Error);
            Assert.That(result.Output, Does.Match(output));
            Assert.That(WorkFolder.List(_folder).Except(before).Select(f => f.Contains("/events/events.out.tfevents.", StringComparison.Ordinal) ? $"{Path.GetDirectoryName(f)}/curves" : f), Is.EquivalentTo(files.Where(f => !before.Contains(f))));
        }

        if (line.Contains("old.mp4 --overwrite", StringComparison.Ordinal))
        {
            Assert.That(File.ReadAllText(_folder["old.mp4"]), Does.Not.StartWith("old"));
        }

        if (line.Contains("--quiet", StringComparison.Ordinal))
        {
            Assert.That(result.Error, Is.Empty);
        }
    }

    [Test]
    public void Every_option_is_in_the_table()
    {
        using var interruption = new Interruption();
        var root = CommandLine.Build(new Screen(), interruption);
        var missing = new List<string>();
        Visit(root, string.Empty);
        Assert.That(missing, Is.Empty);

        void Visit(Command command, string path)
        {
            foreach (var option in command.Options.Where(o => o.Name is not ("--help" or "--version")))
            {
                var names = option.Aliases.Append(option.Name).ToArray();
                if (!TestedElsewhere.Any(t => path.StartsWith(t, StringComparison.Ordinal))
                    && !Rows.Any(r => r.Line.StartsWith(path, StringComparison.Ordinal) && r.Line.Split(' ').Intersect(names).Any()))
                {
                    missing.Add($"{path} {option.Name}");
                }
            }

            foreach (var child in command.Subcommands)
            {
                Visit(child, path.Length == 0 ? child.Name : $"{path} {child.Name}");
            }
        }
    }
}
