// The tree of commands, and how parsing errors and exceptions become a line on standard error and an exit code.
using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Autograd;
using FashionFlow.Diffusion;
using FashionFlow.Diffusion.Training;
using FashionFlow.Gpu;
using FashionFlow.Layers;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.App.Commands;

/// <summary>Parses and runs.</summary>
internal static class CommandLine
{
    /// <summary>The name that people type.</summary>
    public const string ProgramName = "fashionflow";

    private const string ExitCodes =
        """
        Exit codes:
          0    done
          1    done, and the answer is no: compare or verify found a difference, gradcheck a wrong
               gradient, train or --debug-finite a value that is no number, doctor something missing
          2    the command line is wrong
          3    an input (picture, model, reference) is missing or damaged
          4    the device is not there, or failed
          5    an output could not be written, or exists and is kept
               several pictures or videos: the code of the first that failed; the others are made
          70   an error of the program itself
          130  stopped by Ctrl-C (129: terminal closed, 143: SIGTERM); no unfinished file is left behind,
               but OUT.latents where generate had begun: generate --resume goes on with it
        """;

    /// <summary>Runs one command line.</summary>
    /// <returns>The exit code.</returns>
    public static int Run(string[] arguments, Screen screen, Interruption interruption)
    {
        var root = Build(screen, interruption);
        var parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0 || NotUnderstood(parsed) is not null)
        {
            return Refuse(parsed, screen);
        }

        try
        {
            return parsed.Invoke(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
            });
        }
        catch (OperationCanceledException) when (interruption.Token.IsCancellationRequested)
        {
            screen.WriteError($"stopped; {WhatIsThere(PendingOutput.Committed)}", HowToGoOn());
            return interruption.ExitCode;
        }
        catch (Exception e)
        {
            return Report(e, screen);
        }
    }

    /// <summary>The tree of commands.</summary>
    internal static Command Build(Screen screen, Interruption interruption)
    {
        var root = new Command(ProgramName, "Turns a still picture of a garment into a video of it moving, on NVIDIA GPUs or the built-in virtual one.");
        var version = new Option<bool>("--version") { Description = "Print the version." };
        version.Action = new RunAction(() => VersionCommand.PrintOwn(screen));
        root.Options.Add(version);
        var help = new HelpOption("--help", "-h", "-?") { Recursive = true };
        help.Action = new HelpWithExamples((HelpAction)help.Action!, screen);
        root.Options.Add(help);
        root.Subcommands.Add(GenerateCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(DemoCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(DecodeCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(VerifyCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(ProjectCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(TrainCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(EvaluateCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(CompareCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(ImportCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(ConvertCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(InspectCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(GradcheckCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(RenderGarmentsCommand.Create(screen, interruption.Token));
        root.Subcommands.Add(DoctorCommand.Create(screen));
        root.Subcommands.Add(VersionCommand.Create(screen));
        root.Subcommands.Add(CompletionCommand.Create(screen));
        root.Subcommands.Add(CompletionCommand.CreateAnswer(screen, root));
        root.Subcommands.Add(KernelsCommand.Create(screen));
        root.SetAction(parsed =>
        {
            new HelpAction().Invoke(parsed);
            return ExitCode.Usage;
        });
        return root;
    }

    // The first error alone: the others are usually its consequences.
    private static int Refuse(ParseResult parsed, Screen screen)
    {
        var path = new List<string>();
        for (var result = parsed.CommandResult; result is not null; result = result.Parent as System.CommandLine.Parsing.CommandResult)
        {
            path.Insert(0, result.Command.Name);
        }

        var advice = $"see: {string.Join(' ', path)} --help";
        var message = parsed.Errors.Count > 0 ? Decapitalise(parsed.Errors[0].Message) : string.Empty;
        if (NotUnderstood(parsed) is { } word)
        {
            var isOption = word.StartsWith('-');
            message = $"'{word}' is not {(isOption ? "an option" : path.Count == 1 ? "a command" : "an argument")} of {string.Join(' ', path)}";
            var command = parsed.CommandResult.Command;
            var known = isOption ? command.Options.Where(o => !o.Hidden).Select(o => o.Name) : command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name);
            if (Spelling.Nearest(word, known) is { } nearest)
            {
                advice = $"did you mean {nearest}? {advice}";
            }
        }
        else if (Missing(parsed) is { } argument)
        {
            message = $"{argument} is missing";
        }

        screen.WriteError(message, advice);
        return ExitCode.Usage;
    }

    // A mistyped option is a further argument to the parser where a command takes several; after "--" it is meant as one.
    private static string? NotUnderstood(ParseResult parsed)
    {
        if (parsed.UnmatchedTokens.Count > 0)
        {
            return parsed.UnmatchedTokens[0];
        }

        var options = parsed.Tokens.TakeWhile(t => t.Type != TokenType.DoubleDash).Where(t => t.Type == TokenType.Argument && t.Value is ['-', _, ..]).ToHashSet();
        return parsed.CommandResult.Command.Arguments.SelectMany(a => parsed.GetResult(a)?.Tokens ?? []).FirstOrDefault(options.Contains)?.Value;
    }

    // Each file is whole or not there at all.
    private static string WhatIsThere(IReadOnlyList<string> files) => files.Count switch
    {
        0 => "no file was written",
        <= 4 => $"written before that: {string.Join(", ", files)}",
        _ => $"{files.Count} files were written before that, the last is {files[^1]}",
    };

    // A video that was stopped in the making is not lost.
    private static string? HowToGoOn() => PendingOutput.Committed.LastOrDefault(file => file.EndsWith(SavedLatents.Extension, StringComparison.Ordinal)) is { } latents
        ? SavedLatents.HowToGoOn(latents)
        : null;

    // What a command is about comes before its options.
    private static string? Missing(ParseResult parsed) => parsed.CommandResult.Command.Arguments
        .Where(a => a.Arity.MinimumNumberOfValues > 0 && (parsed.GetResult(a)?.Tokens.Count ?? 0) == 0)
        .Select(a => a.Name)
        .FirstOrDefault();

    private static int Report(Exception e, Screen screen)
    {
        var (code, message, advice) = e switch
        {
            UserError user => (user.ExitCode, user.Message, user.Advice),
            GpuException gpu => (ExitCode.Device, gpu.Message, HowToGoOn() ?? "see what there is: fashionflow doctor"),
            KernelCompilationException => (ExitCode.Device, e.Message, null),
            NonFiniteException => (ExitCode.Negative, e.Message, null),
            TrainingException => (ExitCode.Negative, e.Message, "its last checkpoint is as it was: try a lower --learning-rate or --clip-norm in another run"),
            ModelException or DatasetException or WeightLoadException or WeightFileException => (ExitCode.Input, e.Message, null),
            _ => (ExitCode.Internal, $"an error of the program itself: {e.GetType().Name}: {e.Message}", "FASHIONFLOW_DEBUG=1 shows where; please report it"),
        };

        // Lower layers put their advice on a line of its own.
        if (e is not UserError && advice is null && message.IndexOf('\n', StringComparison.Ordinal) is > 0 and var end)
        {
            (message, advice) = (message[..end], message[end..]);
        }

        // What a compiler says keeps its lines.
        var lines = e is KernelCompilationException ? advice : null;
        screen.WriteError(message, lines is null ? advice : null);
        if (lines is not null)
        {
            screen.Explain(lines.Trim('\r', '\n'));
        }

        if (Environment.GetEnvironmentVariable("FASHIONFLOW_DEBUG") == "1")
        {
            screen.Explain(e.ToString());
        }

        return code;
    }

    // System.CommandLine's sentences in the style of ours.
    private static string Decapitalise(string text) =>
        text.Length > 1 && char.IsUpper(text[0]) && char.IsLower(text[1]) ? char.ToLowerInvariant(text[0]) + text[1..].TrimEnd('.') : text;

    private sealed class RunAction(Func<int> run) : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult) => run();
    }

    private sealed class HelpWithExamples(HelpAction help, Screen screen) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            // Whoever asks about a hidden command knows it.
            parseResult.CommandResult.Command.Hidden = false;
            help.Invoke(parseResult);
            if (parseResult.CommandResult.Command is WithExamples command)
            {
                screen.WriteLine("Examples:");
                foreach (var example in command.Examples)
                {
                    screen.WriteLine($"  {ProgramName} {example}");
                }

                screen.WriteLine(string.Empty);
            }
            else if (parseResult.CommandResult.Parent is null)
            {
                screen.WriteLine(ExitCodes);
                screen.WriteLine(string.Empty);
            }

            return ExitCode.Success;
        }
    }
}

/// <summary>A command whose help ends with examples.</summary>
internal sealed class WithExamples(string name, string description, params string[] examples) : Command(name, description)
{
    /// <summary>Command lines without the program's name.</summary>
    public IReadOnlyList<string> Examples { get; } = examples;
}
