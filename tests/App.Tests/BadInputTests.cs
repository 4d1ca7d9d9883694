// Everything that can be wrong with a command line, a file or a machine: the exit code, one clear line, and nothing on the disk
// that was not there before.
using FashionFlow.App.Generation;

namespace FashionFlow.App.Tests;

[Parallelizable(ParallelScope.All)]
[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class BadInputTests : IDisposable
{
    private const string Quick = "-m tiny --steps 1 -d virtual";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // What must be refused before any work is done.
    [TestCase("generate missing.jpg -o out.mp4", 3, "missing.jpg does not exist")]
    [TestCase("generate text.jpg -o out.mp4", 3, "text.jpg is not a picture but a text file")]
    [TestCase("generate page.png -o out.mp4", 3, "page.png is not a picture but a text file")]
    [TestCase("generate empty.png -o out.mp4", 3, "empty.png is empty")]
    [TestCase("generate half.jpg -o out.mp4", 3, "half.jpg is cut short")]
    [TestCase("generate dress.jpg/x.png -o out.mp4", 3, "dress.jpg/x.png")]
    [TestCase("generate nothing -o out/", 3, "nothing is a folder without pictures")]
    [TestCase("generate photos -o out.mp4", 2, "--output must be a folder for 2 videos, not 'out.mp4'")]
    [TestCase("generate dress.jpg --num-videos 3 -o out.mp4", 2, "--output must be a folder for 3 videos, not 'out.mp4'")]
    [TestCase("generate dress.jpg -o none/out.mp4", 5, "the folder of none/out.mp4 does not exist")]
    [TestCase("generate dress.jpg -o out.avi", 2, "--output must end in .mp4, .gif or .webm, or name a folder, not 'out.avi'")]
    [TestCase("generate dress.jpg -o out.mp4 --format gif", 2, "--output ends in .mp4, but --format is gif")]
    [TestCase("generate dress.jpg -o out.mp4 --format png", 2, "--output ends in .mp4, but --format is png")]
    [TestCase("generate dress.jpg -o out/ --format avi", 2, "--format must be mp4 or gif or webm or png, not 'avi'")]
    [TestCase("generate dress.jpg -o old.mp4", 5, "old.mp4 exists and is kept")]
    [TestCase("generate dress.jpg -o text.jpg/", 5, "the folder text.jpg/ cannot be made")]
    [TestCase("generate two.gif -o two.gif --overwrite", 5, "two.gif would replace the picture that it is made of")]
    [TestCase("generate two.gif -o out.mp4 --input-frame 2", 3, "two.gif has no frame 2: it has 2")]
    [TestCase("generate dress.jpg -o out.mp4 --input-frame 1", 3, "dress.jpg is a still picture and has no frame 1")]
    [TestCase("generate dress.jpg -o out.mp4 --input-frame -1", 2, "--input-frame must be a whole number from 0 to 2147483647, not '-1'")]
    [TestCase("generate dress.jpg", 2, "'--output' is required")]
    [TestCase("generate", 2, "PICTURE is missing")]
    [TestCase("generate --resume none.latents", 3, "none.latents does not exist")]
    [TestCase("generate --resume dress.jpg", 3, "dress.jpg")]
    [TestCase("generate --resume none.latents dress.jpg", 2, "--resume goes on with the picture that the video was begun with; leave out 'dress.jpg'")]
    [TestCase("generate --resume none.latents --seed 1", 2, "--resume goes on with the options that the video was begun with; leave out --seed")]
    [TestCase("generate dress.jpg -o out.mp4 --checkpoint-every 0", 2, "--checkpoint-every must be a whole number from 1 to 1000000, not '0'")]
    [TestCase("generate --resume none.latents --plan-only", 2, "--resume goes on with the options that the video was begun with; leave out --plan-only")]
    [TestCase("generate dress.jpg -o out.mp4 --memory-budget 4GiBB", 2, "--memory-budget must be a size such as 4GiB, 900MB or 2000000000, not '4GiBB'")]
    [TestCase("generate dress.jpg -o out.mp4 -m tiny --plan-only --memory-budget 1KiB", 4, "--memory-budget 0 MiB is too little: 2 MiB are needed at least")]
    [TestCase("decode", 2, "LATENTS is missing")]
    [TestCase("decode none.latents -o out.mp4", 3, "none.latents does not exist")]
    [TestCase("decode dress.jpg -o out.mp4", 3, "dress.jpg")]
    [TestCase("decode kept.mp4.latents -o old.mp4 -m tiny", 5, "old.mp4 exists and is kept")]
    [TestCase("decode kept.mp4.latents -o out -m tiny", 2, "--output must end in .mp4, .gif or .webm, not 'out'")]
    [TestCase("decode kept.mp4.latents -o out.mp4 -m tiny --format gif", 2, "--output ends in .mp4, but --format is gif")]
    [TestCase("decode kept.mp4.latents -o out.mp4", 3, "the model \"tiny\", which kept.mp4.latents was made with, is not there")]
    [TestCase("decode kept.mp4.latents -o out.gif -m tiny --fps 60", 2, "gif shows at most 50 frames a second, not 60")]
    [TestCase("generate dress.jpg -o out.mp4 --frames 3", 2, "3 frames do not fit this model")]
    [TestCase("generate dress.jpg -o out.mp4 --frames 0", 2, "--frames must be a whole number from 1 to 100000, not '0'")]
    [TestCase("generate dress.jpg -o out.mp4 --steps 1001", 2, "1001 steps are not possible")]
    [TestCase("generate dress.jpg -o out.mp4 --steps many", 2, "--steps must be a whole number from 1 to 1000000, not 'many'")]
    [TestCase("generate dress.jpg -o out.mp4 --steps", 2, "'--steps'")]
    [TestCase("generate dress.jpg -o out.mp4 --num-videos 0", 2, "--num-videos must be a whole number from 1 to 10000, not '0'")]
    [TestCase("generate dress.jpg -o out/ --seed 18446744073709551615 --num-videos 2", 2, "2 seeds from 18446744073709551615 on pass 18446744073709551615")]
    [TestCase("generate dress.jpg -o out.mp4 --sampler heun", 2, "--sampler must be ddpm or ddim or euler or dpmpp, not 'heun'")]
    [TestCase("generate dress.jpg -o out.mp4 --spacing even", 2, "--spacing must be uniform or trailing or karras, not 'even'")]
    [TestCase("generate dress.jpg -o out.mp4 --eta 2", 2, "--eta must be a number from 0 to 1, not '2'")]
    [TestCase("generate dress.jpg -o out.mp4 -m tiny --sampler euler --eta 0.5", 2, "eta is of ddim alone, and the sampler is euler")]
    [TestCase("generate dress.jpg -o out.mp4 -m tiny --sampler ddim --spacing karras", 2, "karras spacing has times between the schedule's, which ddim does not go to; take euler or dpmpp")]
    [TestCase("generate dress.jpg -o out.mp4 --fit fill", 2, "--fit must be crop or pad or stretch, not 'fill'")]
    [TestCase("generate dress.jpg -o out.mp4 --graph maybe", 2, "--graph must be on or off, not 'maybe'")]
    [TestCase("generate dress.jpg -o out.mp4 --graph on --memory-budget 3GiB", 2, "--graph on does not go with --memory-budget: a graph's memory is its own, beside what is planned")]
    [TestCase("generate dress.jpg -o out.mp4 --graph on --debug-finite", 2, "--graph on does not go with --debug-finite: a graph's values cannot be looked at one by one")]
    [TestCase("generate dress.jpg -o out.mp4 --compat mine", 2, "--compat: the mode must be fashionflow or fixed, not 'mine'")]
    [TestCase("generate dress.jpg -o out.mp4 --compat clip-rescaling=fixed", 2, "--compat: the switch clip-rescaling=fixed needs a mode before it: fashionflow,clip-rescaling=fixed or fixed,clip-rescaling=fixed")]
    [TestCase("generate dress.jpg -o out.mp4 --compat fixed,clip=fixed", 2, "--compat: there is no switch 'clip'; there are clip-rescaling, channel-norm-epsilon, schedule-precision, frame-losses, windows")]
    [TestCase("generate dress.jpg -o out.mp4 --compat fixed,clip-rescaling=twice", 2, "--compat: clip-rescaling must be faithful or fixed, not 'twice'")]
    [TestCase("generate dress.jpg -o out.mp4 --seed -1", 2, "--seed must be a whole number from 0 to 18446744073709551615, not '-1'")]
    [TestCase("generate dress.jpg -o out.mp4 --fps 0", 2, "--fps must be a number above 0 and at most 1000, not '0'")]
    [TestCase("generate dress.jpg -o out.mp4 --fps NaN", 2, "--fps must be a number above 0 and at most 1000, not 'NaN'")]
    [TestCase("generate dress.jpg -o out.gif --fps 60", 2, "gif shows at most 50 frames a second, not 60")]
    [TestCase("generate dress.jpg -o out.mp4 --threads 0", 2, "--threads must be a whole number from 1 to 1024, not '0'")]
    [TestCase("generate dress.jpg -o out.mp4 --device tpu", 2, "--device must be auto, cuda, cuda:N, virtual or virtual:sm_NN, not 'tpu'")]
    [TestCase("generate dress.jpg -o out.mp4 --device virtual:sm_12", 4, "sm_12")]
    [TestCase("generate dress.jpg -o out.mp4 --device cuda:99", 4, "CUDA_ERROR_")]
    [TestCase("generate dress.jpg -o out.mp4 --model none", 3, "none")]
    [TestCase("generate dress.jpg -o out.mp4 --model dress.jpg", 3, "dress.jpg")]
    [TestCase("generate dress.jpg -o out.mp4 --model damaged", 3, "unet.safetensors")]
    [TestCase("generate dress.jpg -o out.mp4 --model nothing", 3, "unet.safetensors is missing")]
    [TestCase("generate dress.jpg -o out.mp4 --model broken-config", 3, "config.json: not valid JSON at line 1")]
    [TestCase("generate dress.jpg -o out.mp4 --model unknown-key", 3, "config.json: unknown key \"frame\"")]
    [TestCase("generate dress.jpg -o out.mp4 --model odd-size", 3, "a picture of 100 x 640 does not fit")]
    [TestCase("generate dress.jpg -o out.mp4 --model odd-sampler", 3, "config.json: sampler is \"heun\"; possible are \"ddpm\", \"ddim\", \"euler\" and \"dpmpp\"")]
    [TestCase("generate dress.jpg -o out.mp4 --model odd-mode", 3, "config.json: compat: the mode must be fashionflow or fixed, not 'mine'")]
    [TestCase("generate dress.jpg -o out.mp4 --sede 1", 2, "'--sede' is not an option of fashionflow generate")]
    [TestCase("verify --jsno made.mp4", 2, "'--jsno' is not an option of fashionflow verify")]
    [TestCase("verify -- --jsno", 3, "--jsno does not exist")]
    [TestCase("generate clip.mp4 -o out.mp4 --input-frame 6", 3, "clip.mp4 has no frame 6: it has 6")]
    [TestCase("generate cut.mp4 -o out.mp4", 3, "cut.mp4 cannot be decoded")]
    [TestCase("generate clip.mp4 -o clip.mp4 --overwrite", 5, "clip.mp4 would replace the picture that it is made of")]
    [TestCase("demo -o dress.jpg", 5, "the folder dress.jpg cannot be made")]
    [TestCase("demo --steps 1001", 2, "1001 steps are not possible")]
    [TestCase("demo dress.jpg", 2, "'dress.jpg' is not an argument of fashionflow demo")]
    [TestCase("verify", 2, "VIDEO is missing")]
    [TestCase("verify none.mp4", 3, "none.mp4 does not exist")]
    [TestCase("verify foreign.mp4", 3, "foreign.mp4 carries no recipe")]
    [TestCase("verify photos", 3, "photos carries no recipe")]
    [TestCase("verify dress.jpg", 3, "dress.jpg carries no recipe")]
    [TestCase("verify made.mp4 --input photos/b.jpg", 3, "photos/b.jpg is not the picture that made.mp4 was made of")]
    [TestCase("verify made.mp4 --input none.jpg", 3, "none.jpg does not exist")]
    [TestCase("verify made.mp4 --model none", 3, "none: no such model directory")]
    [TestCase("verify made.mp4 --device tpu", 2, "--device must be auto")]
    [TestCase("completion tcsh", 2, "the shell must be bash, zsh or fish, not 'tcsh'")]
    [TestCase("completion", 2, "SHELL is missing")]
    [TestCase("inspect none.safetensors", 3, "none.safetensors: there is no such file")]
    [TestCase("inspect dress.jpg", 3, "dress.jpg: ")]
    [TestCase("render-garments", 2, "'--output' is required")]
    [TestCase("render-garments -o photos", 5, "photos holds more than drawn garments: ")]
    [TestCase("render-garments -o photos --overwrite", 5, "photos holds more than drawn garments: ")]
    [TestCase("render-garments -o dress.jpg", 5, "dress.jpg is a file; the output must be a folder")]
    [TestCase("render-garments -o set --train 0 --test 0", 2, "--train and --test are both 0: there is nothing to draw")]
    [TestCase("render-garments -o set --size 128", 2, "--size must be two whole numbers from 16 to 4096 as in 128x192, not '128'")]
    [TestCase("render-garments -o set --size 8x192", 2, "--size must be two whole numbers from 16 to 4096 as in 128x192, not '8x192'")]
    [TestCase("render-garments -o set --frames 0", 2, "--frames must be a whole number from 1 to 1000, not '0'")]
    [TestCase("render-garments set", 2, "'set' is not an argument of fashionflow render-garments")]
    [TestCase("project", 2, "VIDEOS_DIR is missing")]
    [TestCase("project clips", 2, "'--output' is required")]
    [TestCase("project clips photos -o out", 2, "'photos' is not an argument of fashionflow project")]
    [TestCase("project none -o out", 3, "none does not exist")]
    [TestCase("project clips/a.mp4 -o out", 3, "clips/a.mp4 is a file; give the folder that it is in")]
    [TestCase("project nothing -o out", 3, "nothing holds no videos, and no train or test that does")]
    [TestCase("project clips-cut -o out -m tiny", 3, "clips-cut/a.mp4 cannot be decoded: ")]
    [TestCase("project clips-text -o out -m tiny", 3, "clips-text/a.mp4 is not a video, whatever its name says")]
    [TestCase("project clips-empty -o out -m tiny", 3, "clips-empty/a.mp4 is empty")]
    [TestCase("project clips-short -o out -m tiny", 3, "clips-short/a.mp4 has 3 frames, fewer than 4")]
    [TestCase("project clips -o out -m tiny --min-frames 7", 3, "clips/a.mp4 has 6 frames, fewer than 7")]
    [TestCase("project clips -o text.jpg -m tiny", 5, "text.jpg is a file; the output must be a folder")]
    [TestCase("project clips -o text.jpg/out -m tiny", 5, "cannot be made")]
    [TestCase("project clips -o out -m none", 3, "none: no such model directory")]
    [TestCase("project clips -o out -m nothing", 3, "vae.safetensors is missing")]
    [TestCase("project clips -o out -m damaged", 3, "unet.safetensors")]
    [TestCase("project clips -o out -m odd-size", 3, "a picture of 100 x 640 does not fit")]
    [TestCase("project clips -o out -m tiny --device cuda:99", 4, "CUDA_ERROR_")]
    [TestCase("project clips -o out --min-frames 0", 2, "--min-frames must be a whole number from 1 to 1000000, not '0'")]
    [TestCase("project clips -o out --fit fill", 2, "--fit must be crop or pad or stretch, not 'fill'")]
    [TestCase("project clips -o out --compat mine", 2, "--compat: the mode must be fashionflow or fixed, not 'mine'")]
    [TestCase("project clips -o out --steps 3", 2, "'--steps' is not an option of fashionflow project")]
    [TestCase("train", 2, "'--output' is required")]
    [TestCase("train -o run", 2, "--data is missing")]
    [TestCase("train -o new/deep/run --part vae", 2, "--data is missing")]
    [TestCase("train latents -o run", 2, "'latents' is not an argument of fashionflow train")]
    [TestCase("train --data none -o run -m tiny", 3, "none holds no dataset.json; make it with: fashionflow project")]
    [TestCase("train --data nothing -o run -m tiny", 3, "nothing holds no dataset.json; make it with: fashionflow project")]
    [TestCase("train --data none -o run -m tiny --part encoder", 3, "none does not exist")]
    [TestCase("train --data nothing -o run -m tiny --part vae", 3, "nothing holds no videos")]
    [TestCase("train --data clips -o run -m tiny --part vae --crop 7 --quiet", 3, "crops of 7 do not fit: pictures are 16 x 24, and the autoencoder takes multiples of 2")]
    [TestCase("train --data clips -o run -m tiny --part encoder --quiet", 3, "a batch of 16 garments does not do")]
    [TestCase("train --data latents -o run -m none", 3, "none: no such model directory")]
    [TestCase("train --data latents -o run -m nothing", 3, "and the model takes")]
    [TestCase("train --data latents -o run -m damaged", 3, "unet.safetensors")]
    [TestCase("train --data latents -o run -m tiny --frames 3", 3, "3 frames do not fit this model")]
    [TestCase("train --data latents -o run -m tiny --frames 8", 3, "holds no clip of split \"train\" with the 8 frames that a window spans")]
    [TestCase("train --data latents -o run -m tiny -d cuda:99", 4, "CUDA_ERROR_")]
    [TestCase("train --data latents -o dress.jpg -m tiny", 5, "dress.jpg cannot be written: ")]
    [TestCase("train --data latents -o dress.jpg/run -m tiny", 5, "dress.jpg/run cannot be written: ")]
    [TestCase("train --data latents -o run -m tiny --crop 8", 2, "crop does nothing for part denoiser")]
    [TestCase("train --data clips -o run -m tiny --part vae --recompute", 2, "recompute does nothing for part vae")]
    [TestCase("train --data latents -o run --steps 0", 2, "--steps must be a whole number from 1 to 1000000000, not '0'")]
    [TestCase("train --data latents -o run --part clip", 2, "--part must be denoiser or vae or encoder, not 'clip'")]
    [TestCase("train --data latents -o run --clip-norm -1", 2, "--clip-norm must be a number from 0 to 1000000, not '-1'")]
    [TestCase("train --data latents -o run --average 1", 2, "--average must be a number from 0 to 0.999999, not '1'")]
    [TestCase("train --data latents -o run --decay cosine --warmup 9 --steps 5", 2, "warm")]
    [TestCase("train --data latents -o run --config none.json", 3, "none.json cannot be read: ")]
    [TestCase("train --data latents -o run --config text.jpg", 3, "text.jpg: not valid JSON at line 1")]
    [TestCase("train --data latents -o run --config unknown-key/config.json", 3, "unknown-key/config.json: unknown key \"frame\"")]
    [TestCase("evaluate", 2, "'--data' is required")]
    [TestCase("evaluate --data none", 3, "none does not exist")]
    [TestCase("evaluate --data clips/a.mp4", 3, "clips/a.mp4 is a file; give the folder that it is in")]
    [TestCase("evaluate --data nothing -o out", 3, "nothing holds no videos, and no train or test that does")]
    [TestCase("evaluate --data clips -m tiny -o out", 3, "clips holds no videos of split test")]
    [TestCase("evaluate --data clips-short -m tiny --split train -o out", 3, "clips-short/a.mp4 has 3 frames, fewer than the model's 4")]
    [TestCase("evaluate --data clips-text -m tiny --split train -o out", 3, "clips-text/a.mp4 is not a video, whatever its name says")]
    [TestCase("evaluate --data clips-cut -m tiny --split train -o out", 3, "clips-cut/a.mp4 cannot be decoded: ")]
    [TestCase("evaluate --data clips -m tiny --split train -o text.jpg", 5, "the folder text.jpg cannot be made")]
    [TestCase("evaluate --data clips -m none --split train", 3, "none: no such model directory")]
    [TestCase("evaluate --data clips -m tiny --split train --device cuda:99 -o out", 4, "CUDA_ERROR_")]
    [TestCase("evaluate --data clips -m tiny --steps 1001", 2, "1001 steps are not possible")]
    [TestCase("evaluate --data clips --clips 0", 2, "--clips must be a whole number from 1 to 1000000, not '0'")]
    [TestCase("evaluate --data clips --split both", 2, "--split must be test or train, not 'both'")]
    [TestCase("evaluate --data clips --sampler heun", 2, "--sampler must be ddpm or ddim or euler or dpmpp, not 'heun'")]
    [TestCase("evaluate --data clips --compat mine", 2, "--compat: the mode must be fashionflow or fixed, not 'mine'")]
    [TestCase("doctor now", 2, "'now' is not an argument of fashionflow doctor")]
    public void Bad_input_is_one_clear_line(string line, int exitCode, string message)
    {
        WorkFolder.Prepare(_folder, withVideo: line.Contains("clip", StringComparison.Ordinal) || line.Contains("kept", StringComparison.Ordinal) || line.Contains("cut", StringComparison.Ordinal) || line.StartsWith("verify", StringComparison.Ordinal));
        if (line.StartsWith("train", StringComparison.Ordinal))
        {
            WorkFolder.AddLatents(_folder);
        }

        Leaves_nothing(() => BuiltProgram.RunIn(_folder.Path, null, line.Split(' ')).MustFail(exitCode, message));
    }

    [TestCase("{ \"steps\": \"many\" }", 3, "c.json: \"steps\" has a value of another kind than the option --steps takes")]
    [TestCase("{ \"learning_rte\": 1 }", 3, "c.json: unknown key \"learning_rte\"")]
    [TestCase("[]", 3, "c.json must hold a JSON object of settings")]
    [TestCase("{ \"batch\": 0 }", 2, "batch must be from 1 to 65536, not 0")]
    [TestCase("{ \"temperature\": 0 }", 2, "temperature must be above 0 and at most 1000000, not 0")]
    [TestCase("{ \"keep\": -1 }", 2, "keep must be from 1 to 2147483647, not -1")]
    [TestCase("{ \"decay\": \"linear\" }", 2, "the rate's decay must be constant or cosine, not \"linear\"")]
    [TestCase("{ \"compat\": \"mine\" }", 2, "compat: the mode must be fashionflow or fixed, not 'mine'")]
    [TestCase("{ \"dtype\": \"f8\" }", 2, "dtype must be f32 or f16, not \"f8\"")]
    public void A_configuration_that_is_wrong_is_one_clear_line(string json, int exitCode, string message)
    {
        WorkFolder.Prepare(_folder);
        WorkFolder.AddLatents(_folder);
        File.WriteAllText(_folder["c.json"], json);
        Leaves_nothing(() => BuiltProgram.RunIn(_folder.Path, null, "train --data latents -o run -m tiny --config c.json".Split(' ')).MustFail(exitCode, message));
    }

    // What a script of bash arranges around the program. As root, permissions count once the capabilities that pass them are dropped.
    [TestCase("unreadable", "chmod 000 dress.jpg; $AS_USER fashionflow generate dress.jpg -o out.mp4; code=$?; chmod 600 dress.jpg; exit $code", 3, "dress.jpg cannot be read: permission denied")]
    [TestCase("unreadable folder", "chmod 000 photos; $AS_USER fashionflow generate photos -o out/; code=$?; chmod 700 photos; exit $code", 3, "photos cannot be read")]
    [TestCase("unreadable model", "chmod 000 tiny/config.json; $AS_USER fashionflow generate dress.jpg -o out.mp4 -m tiny; code=$?; chmod 600 tiny/config.json; exit $code", 3, "config.json")]
    [TestCase("unwritable folder", "chmod 500 nothing; $AS_USER fashionflow generate dress.jpg -o nothing/out.mp4; code=$?; chmod 700 nothing; exit $code", 5, "nothing/out.mp4 cannot be written: permission denied in its folder")]
    [TestCase("unwritable parent", "chmod 500 nothing; $AS_USER fashionflow generate dress.jpg -o nothing/new/; code=$?; chmod 700 nothing; exit $code", 5, "the folder nothing/new/ cannot be made")]
    [TestCase("unwritable demo", "chmod 500 nothing; $AS_USER fashionflow demo -o nothing; code=$?; chmod 700 nothing; exit $code", 5, "nothing/demo.png cannot be written: permission denied in its folder")]
    [TestCase("unwritable latents", "chmod 500 nothing; $AS_USER fashionflow project clips -o nothing -m tiny; code=$?; chmod 700 nothing; exit $code", 5, "nothing/a.safetensors cannot be written: permission denied in its folder")]
    [TestCase("unwritable parent of latents", "chmod 500 nothing; $AS_USER fashionflow project clips -o nothing/new -m tiny; code=$?; chmod 700 nothing; exit $code", 5, "/nothing/new cannot be made")]
    [TestCase("unreadable clip", "chmod 000 clips/a.mp4; $AS_USER fashionflow project clips -o out -m tiny; code=$?; chmod 600 clips/a.mp4; exit $code", 3, "clips/a.mp4 cannot be read: permission denied")]
    [TestCase("unreadable clips", "chmod 000 clips; $AS_USER fashionflow project clips -o out -m tiny; code=$?; chmod 700 clips; exit $code", 3, "clips cannot be read")]
    [TestCase("ffmpeg missing for clips", "PATH=$PWD fashionflow project clips -o out", 5, "ffmpeg was not found; it reads the videos")]
    [TestCase("ffmpeg gives no frames of a clip", "fake 'echo frames'; PATH=$PWD:$PATH fashionflow project clips -o out -m tiny; code=$?; rm ffmpeg; exit $code", 3, "clips/a.mp4 cannot be decoded: ffmpeg gave something else than frames")]
    [TestCase("ffmpeg is killed over a clip", "fake 'printf \"P6\\n2 2\\n255\\nabc\"; kill -9 $$'; PATH=$PWD:$PATH fashionflow project clips -o out -m tiny; code=$?; rm ffmpeg; exit $code", 3, "clips/a.mp4 cannot be decoded: it was ended by signal 9")]
    [TestCase("ffmpeg missing for samples", "PATH=$PWD fashionflow train --data clips -o run -m tiny --part vae", 5, "ffmpeg was not found; it reads the videos")]
    [TestCase("unwritable run", "chmod 500 nothing; $AS_USER fashionflow train --data clips -o nothing/run -m tiny --part vae; code=$?; chmod 700 nothing; exit $code", 5, "nothing/run cannot be written: ")]
    [TestCase("unwritable evaluation", "chmod 500 nothing; $AS_USER fashionflow evaluate --data clips -m tiny --split train -o nothing; code=$?; chmod 700 nothing; exit $code", 5, "nothing/evaluation.json cannot be written: permission denied in its folder")]
    [TestCase("ffmpeg missing for an evaluation", "PATH=$PWD fashionflow evaluate --data clips -m tiny --split train", 5, "ffmpeg was not found; it reads the videos")]
    [TestCase("a link to itself", "ln -s a.jpg a.jpg; fashionflow generate a.jpg -o out.mp4; code=$?; rm a.jpg; exit $code", 3, "a.jpg")]
    [TestCase("no end", "fashionflow generate /dev/zero -o out.mp4", 3, "/dev/zero has more than 512 MiB")]
    [TestCase("nothing in the pipe", "fashionflow generate /dev/stdin -o out.mp4 </dev/null", 3, "/dev/stdin is empty")]
    [TestCase("a name of two lines", "fashionflow generate $'two\\nlines.jpg' -o out.mp4", 3, "two lines.jpg does not exist")]
    [TestCase("a name that steers terminals", "fashionflow generate $'\\x1b[31mred.jpg' -o out.mp4", 3, "\\u001b[31mred.jpg does not exist")]
    [TestCase("ffmpeg missing", "PATH=$PWD fashionflow generate dress.jpg -o out.mp4", 5, "ffmpeg was not found")]
    [TestCase("ffmpeg missing for a gif", "PATH=$PWD fashionflow generate dress.jpg -o out.gif", 5, "ffmpeg was not found")]
    [TestCase("ffmpeg missing for a demo", "PATH=$PWD fashionflow demo -o new", 5, "ffmpeg was not found")]
    [TestCase("ffmpeg missing for garments", "PATH=$PWD fashionflow render-garments -o set", 5, "ffmpeg was not found")]
    [TestCase("an ffmpeg without RGB", "fake true; PATH=$PWD:$PATH fashionflow render-garments -o set; code=$?; rm ffmpeg; exit $code", 5, "has no encoder libx264rgb, which mp4 needs")]
    [TestCase("unwritable garments", "chmod 500 nothing; $AS_USER fashionflow render-garments -o nothing; code=$?; chmod 700 nothing; exit $code", 5, "the folder nothing/train cannot be made: permission denied in its folder")]
    [TestCase("an ffmpeg without WebM", "fake true; PATH=$PWD:$PATH fashionflow generate dress.jpg -o out.webm; code=$?; rm ffmpeg; exit $code", 5, "has no encoder libvpx-vp9, which webm needs")]
    [TestCase("standard output full", "fashionflow version >/dev/full", 5, "standard output cannot be written: No space left on device")]
    [TestCase("a sidecar of another kind", "cp made.mp4 b.mp4; echo '{\"recipe\":1}' > b.mp4.json; fashionflow verify b.mp4; code=$?; rm b.mp4 b.mp4.json; exit $code", 3, "b.mp4.json is no sidecar of a video")]
    [TestCase("a sidecar that is not JSON", "cp made.mp4 b.mp4; echo hello > b.mp4.json; fashionflow verify b.mp4; code=$?; rm b.mp4 b.mp4.json; exit $code", 3, "b.mp4.json is no sidecar of a video")]
    [TestCase("the picture gone", "mkdir e; cp made.mp4 e; mv dress.jpg x; cd e; fashionflow verify made.mp4 --model ../tiny; code=$?; cd ..; rm -r e; mv x dress.jpg; exit $code", 3, "dress.jpg, the picture that made.mp4 was made of, is not there")]
    [TestCase("the model gone", "mkdir e; cp made.mp4 e; fashionflow verify e/made.mp4; code=$?; rm -r e; exit $code", 3, "the model \"tiny\", which e/made.mp4 was made with, is not there")]
    public void A_machine_that_does_not_help_is_one_clear_line(string name, string script, int exitCode, string message)
    {
        _ = name;
        WorkFolder.Prepare(_folder, withVideo: script.Contains("made", StringComparison.Ordinal) || script.Contains("clip", StringComparison.Ordinal));
        Leaves_nothing(() => BuiltProgram.Shell(_folder.Path, Prelude + script).MustFail(exitCode, message));
    }

    // What fails in the middle of the work: notes and progress may stand before the line.
    [TestCase("ffmpeg fails", "fake 'echo Unknown encoder libx264 >&2; exit 1'; PATH=$PWD:$PATH fashionflow generate dress.jpg -o out.mp4 {0}; code=$?; rm ffmpeg; exit $code", "ffmpeg could not write out.mp4: Unknown encoder libx264")]
    [TestCase("ffmpeg says nothing", "fake 'exit 3'; PATH=$PWD:$PATH fashionflow generate dress.jpg -o out.mp4 {0}; code=$?; rm ffmpeg; exit $code", "ffmpeg could not write out.mp4: it ended with code 3 and said nothing")]
    [TestCase("ffmpeg is killed midway", "fake 'head -c 1000 >/dev/null; kill -9 $$'; PATH=$PWD:$PATH fashionflow generate dress.jpg -o out.mp4 {0}; code=$?; rm ffmpeg; exit $code", "ffmpeg could not write out.mp4: it was ended by signal 9")]
    [TestCase("ffmpeg is killed at the end", "fake 'cat >/dev/null; kill -9 $$'; PATH=$PWD:$PATH fashionflow generate dress.jpg -o out.gif {0}; code=$?; rm ffmpeg; exit $code", "it was ended by signal 9")]
    [TestCase("no space for an mp4", "full 8k fashionflow generate dress.jpg -o full/out.mp4 --frames 32 {0}", "full/out.mp4")]
    [TestCase("no space for a gif", "full 8k fashionflow generate dress.jpg -o full/out.gif --frames 32 {0}", "full/out.gif")]
    [TestCase("no space for frames", "full 8k fashionflow generate dress.jpg -o full --format png --frames 32 {0}", "full/dress cannot be written: ")]
    [TestCase("no space for the sidecar", "full 8k fashionflow generate dress.jpg -o full/out.mp4 --contact-sheet {0}", "full/out.")]
    [TestCase("no space for latents", "full 8k fashionflow project clips -o full -m tiny -d virtual", "full/a.safetensors cannot be written: ")]
    [TestCase("somebody made it meanwhile", "fake 'cat >/dev/null; echo theirs > out.mp4'; PATH=$PWD:$PATH fashionflow generate dress.jpg -o out.mp4 {0}; code=$?; rm ffmpeg; cat out.mp4 >&2; rm out.mp4; exit $code", "out.mp4 exists and is kept")]
    public void What_fails_midway_leaves_nothing_but_whole_latents(string name, string script, string message)
    {
        _ = name;
        WorkFolder.Prepare(_folder, withVideo: script.Contains("clip", StringComparison.Ordinal));
        Leaves_nothing(() =>
        {
            var result = BuiltProgram.Shell(_folder.Path, Prelude + script.Replace("{0}", Quick, StringComparison.Ordinal));
            Assert.That(result.ExitCode, Is.EqualTo(5), result.Error);
            result.MustHaveSaid(message);
            Assert.That(result.Output, Is.Empty);

            // What lay on the full disk is gone with it.
            var latents = Directory.GetFiles(_folder.Path, "out.*.latents");
            Assert.That(latents, Has.Length.EqualTo(script.Contains("full ", StringComparison.Ordinal) ? 0 : 1));
            foreach (var path in latents)
            {
                Assert.That(SavedLatents.Open(path).IsSampled, Is.True);
                File.Delete(path);
            }
        });
    }

    [Test]
    public void A_reader_that_goes_away_is_no_error()
    {
        WorkFolder.Prepare(_folder);
        var result = BuiltProgram.Shell(
            _folder.Path, $"fashionflow generate photos dress.jpg -o out {Quick} --json 2>err | true; echo ${{PIPESTATUS[0]}}; ls out; grep -c error: err");
        Assert.That(result.Output, Is.EqualTo("0\na.mp4\na.mp4.json\nb.mp4\nb.mp4.json\ndress.mp4\ndress.mp4.json\n0\n"), result.Error);
    }

    [Test]
    public void One_failure_is_reported_and_the_others_are_made()
    {
        WorkFolder.Prepare(_folder);
        File.Copy(_folder["photos/b.jpg"], _folder["b.jpg"]);
        var result = BuiltProgram.RunIn(_folder.Path, null, $"generate dress.jpg half.jpg photos b.jpg missing.jpg -o out {Quick} --json".Split(' '));
        var lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(result.ExitCode, Is.EqualTo(3), result.Error);
            Assert.That(lines, Has.Length.EqualTo(6));
            Assert.That(lines[0], Does.StartWith("{\"status\":\"made\",\"picture\":\"dress.jpg\""));
            Assert.That(lines[1], Does.StartWith("{\"status\":\"failed\",\"picture\":\"half.jpg\",\"output\":\"out/half.mp4\",\"seed\":0,\"exit_code\":3,\"error\":\"half.jpg is cut short"));
            Assert.That(lines[2], Does.StartWith("{\"status\":\"made\",\"picture\":\"photos/a.PNG\""));
            Assert.That(lines[3], Does.StartWith("{\"status\":\"made\",\"picture\":\"photos/b.jpg\""));
            Assert.That(lines[4], Does.Contain("b.jpg would become out/b.mp4, as photos/b.jpg does"));
            Assert.That(lines[5], Does.Contain("missing.jpg does not exist"));
            Assert.That(result.Error, Does.EndWith("3 of 6 videos were made\n"));
            Assert.That(Directory.GetFiles(_folder["out"]).Select(Path.GetFileName).Order(StringComparer.Ordinal), Is.EqualTo(new[] { "a.mp4", "a.mp4.json", "b.mp4", "b.mp4.json", "dress.mp4", "dress.mp4.json" }));
        }
    }

    // fake BODY: an ffmpeg here that does that, once asked for anything but its version. full SIZE COMMAND: with a file system of
    // that size at full/, in a namespace of its own; where the system allows none, a limit on the size of files does as well (the
    // runtime's second view of its code is a file too, hence the variable).
    private const string Prelude = """
        AS_USER=as_user
        as_user() {
            if [ "$(id -u)" != 0 ]; then "$@"; return; fi
            setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search bash -c '"$@"' _ "$@"
        }
        fake() {
            printf '#!/bin/bash\ncase "$*" in *-version) echo "ffmpeg version 0"; exit 0;; *-encoders) echo " V..... libx264 x\n V..... gif x"; exit 0;; esac\n%s\n' "$1" > ffmpeg
            chmod +x ffmpeg
        }
        full() {
            local size=$1; shift
            mkdir full
            if unshare -rm mount -t tmpfs none full 2>/dev/null; then
                unshare -rm bash -c 'mount -t tmpfs -o size="$1" none full && shift && "$@"' _ "$size" "$@"
            else
                (trap '' XFSZ; export DOTNET_EnableWriteXorExecute=0; ulimit -f 1; "$@")
            fi
            local code=$?
            rm -rf full
            return $code
        }

        """;

    private void Leaves_nothing(Action run)
    {
        var before = WorkFolder.List(_folder);
        run();
        Assert.That(WorkFolder.List(_folder), Is.EqualTo(before));
    }
}
