// Options that several commands share, with errors in plain words.
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using FashionFlow.Diffusion;

namespace FashionFlow.App.Commands;

/// <summary>Makes options. Every error names the option, what it takes and what was given.</summary>
internal static class CommonOptions
{
    /// <summary><c>--device</c>.</summary>
    public static Option<string> Device()
    {
        var option = new Option<string>("--device", "-d")
        {
            Description = "Where to compute: auto (a GPU if there is one, else the virtual one), cuda[:N] or virtual[:sm_NN].",
            DefaultValueFactory = _ => "auto",
            HelpName = "DEVICE",
        };
        option.Validators.Add(CheckDevice);
        option.CompletionSources.Add("auto", "cuda", "virtual");
        return option;
    }

    /// <summary>Refuses what names no device.</summary>
    public static void CheckDevice(OptionResult result)
    {
        if (result.Tokens is [var token] && !IsDevice(token.Value))
        {
            result.AddError($"--device must be auto, cuda, cuda:N, virtual or virtual:sm_NN, not '{token.Value}'");
        }
    }

    /// <summary><c>--device</c> of what goes on with something recorded; null for the recorded kind.</summary>
    public static Option<string?> RecordedDevice()
    {
        var option = new Option<string?>("--device", "-d")
        {
            Description = "Where to compute. Default: the kind of device that made it; another kind may give other bits.",
            HelpName = "DEVICE",
        };
        option.Validators.Add(CheckDevice);
        return option;
    }

    /// <summary><c>--debug-finite</c>.</summary>
    public static Option<bool> DebugFinite() => new("--debug-finite")
    {
        Description = "Look at every module's output, and stop at the first value that is infinite or no number with its step, module, operator and kernel. Slow.",
    };

    /// <summary><c>--seed</c>.</summary>
    public static Option<ulong> Seed(string description = "Seed of all noise: the same seed on the same kind of device gives the same frames.") => new("--seed")
    {
        Description = description,
        DefaultValueFactory = _ => 0,
        HelpName = "S",
        CustomParser = result =>
        {
            if (ulong.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var value))
            {
                return value;
            }

            result.AddError($"--seed must be a whole number from 0 to {ulong.MaxValue}, not '{result.Tokens[0].Value}'");
            return 0;
        },
    };

    /// <summary><c>--json</c>: results for programs on standard output, all else on standard error.</summary>
    public static Option<bool> Json() => new("--json") { Description = "Print one line of JSON a result on standard output; everything else goes to standard error." };

    /// <summary><c>--quiet</c>: errors alone.</summary>
    public static Option<bool> Quiet() => new("--quiet", "-q") { Description = "Say nothing but errors (and the results that --json asks for)." };

    /// <summary><c>--threads</c>: of the virtual GPU.</summary>
    public static Option<int?> Threads() => Count("--threads", "T", "Host threads of the virtual GPU; the result does not depend on it. Default: one a core.", 1, 1024);

    /// <summary><c>--model</c>.</summary>
    public static Option<string?> Model() => new("--model", "-m") { Description = "The model's folder: config.json and safetensors files. Default: the demo model.", HelpName = "DIR" };

    /// <summary><c>--steps</c>: of denoising.</summary>
    public static Option<int?> Steps() =>
        Count("--steps", "N", "Denoising steps. Default: the model's for its sampler, else 1000 for ddpm, 50 for ddim and euler, 20 for dpmpp.", 1, 1_000_000);

    /// <summary><c>--sampler</c>; what was chosen is read by <see cref="Chosen"/>.</summary>
    public static Option<string?> Sampler() => Choice(
        "--sampler",
        "How videos are denoised. ddpm: the reference's; ddim: in fewer steps; euler, and dpmpp (DPM-Solver++(2M)), in fewer still. Default: the model's, else ddpm.",
        "ddpm",
        "ddim",
        "euler",
        "dpmpp");

    /// <summary><c>--spacing</c>; what was chosen is read by <see cref="Chosen"/>.</summary>
    public static Option<string?> Spacing() => Choice(
        "--spacing",
        "Which of the schedule's times are visited: evenly from the noisiest to the cleanest; every T/N-th from the noisiest; or more where there is little noise (euler and dpmpp). Default: the model's, else uniform.",
        "uniform",
        "trailing",
        "karras");

    /// <summary><c>--eta</c>.</summary>
    public static Option<double?> Eta() => Number("--eta", "E", "Noise that each step of ddim adds: 0 for none, 1 for as much as ddpm. Default: 0.", 1);

    /// <summary><c>--compat</c> of what makes videos; null leaves it to the model.</summary>
    public static Option<CompatibilityOptions?> Compatibility() => Compatibility(
        "fashionflow: as the reference does it, oddities included, for its released weights; fixed: without them, for newly trained ones. Default: the model's, else fashionflow.");

    /// <summary><c>--compat</c>: a mode, and the switches that differ from it.</summary>
    /// <param name="description">What the modes mean to the command, and which is the default.</param>
    public static Option<CompatibilityOptions?> Compatibility(string description)
    {
        var option = new Option<CompatibilityOptions?>("--compat")
        {
            Description = $"{description} After a comma each oddity has its own switch: {string.Join(", ", CompatibilityOptions.Switches)}.",
            HelpName = string.Join('|', CompatibilityOptions.Modes) + "[,SWITCH=VALUE]",
            CustomParser = result =>
            {
                try
                {
                    return CompatibilityOptions.Parse(result.Tokens[0].Value);
                }
                catch (ModelException e)
                {
                    result.AddError("--" + e.Message);
                    return null;
                }
            },
        };
        option.CompletionSources.Add([.. CompatibilityOptions.Modes]);
        return option;
    }

    /// <summary>A whole number within bounds; null when not given.</summary>
    public static Option<int?> Count(string name, string helpName, string description, int least, int most) => new(name)
    {
        Description = description,
        HelpName = helpName,
        CustomParser = result =>
        {
            if (int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most)
            {
                return value;
            }

            result.AddError($"{name} must be a whole number from {least} to {most}, not '{result.Tokens[0].Value}'");
            return null;
        },
    };

    /// <summary>A number above zero; null when not given.</summary>
    public static Option<double?> Positive(string name, string helpName, string description, double most) => new(name)
    {
        Description = description,
        HelpName = helpName,
        CustomParser = result =>
        {
            if (double.TryParse(result.Tokens[0].Value, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value > 0 && value <= most)
            {
                return value;
            }

            result.AddError(string.Create(CultureInfo.InvariantCulture, $"{name} must be a number above 0 and at most {most}, not '{result.Tokens[0].Value}'"));
            return null;
        },
    };

    /// <summary>A number from 0; null when not given.</summary>
    public static Option<double?> Number(string name, string helpName, string description, double most)
    {
        var option = new Option<double?>(name) { Description = description, HelpName = helpName };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !(double.TryParse(token.Value, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value >= 0 && value <= most))
            {
                result.AddError(FormattableString.Invariant($"{name} must be a number from 0 to {most}, not '{token.Value}'"));
            }
        });
        return option;
    }

    /// <summary>One word of a few; null when not given.</summary>
    public static Option<string?> Choice(string name, string description, params string[] words)
    {
        var option = new Option<string?>(name) { Description = description, HelpName = string.Join('|', words) };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && !words.Contains(token.Value, StringComparer.Ordinal))
            {
                result.AddError($"{name} must be {string.Join(" or ", words)}, not '{token.Value}'");
            }
        });
        option.CompletionSources.Add(words);
        return option;
    }

    /// <summary>The value of a word that <see cref="Choice"/> let through; null where there was none.</summary>
    public static T? Chosen<T>(string? word)
        where T : struct, Enum => word is null ? null : Enum.Parse<T>(word, ignoreCase: true);

    private static bool IsDevice(string text) =>
        text is "auto" or "cuda" or "virtual"
        || (text.StartsWith("cuda:", StringComparison.Ordinal) && int.TryParse(text.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out _))
        || (text.StartsWith("virtual:sm_", StringComparison.Ordinal) && int.TryParse(text.AsSpan(11), NumberStyles.None, CultureInfo.InvariantCulture, out _));
}
