// completion: what a shell must know to complete the program's words; the words themselves come from the parser.
using System.CommandLine;
using FashionFlow.App.Terminal;

namespace FashionFlow.App.Commands;

/// <summary>Prints a shell's script, and answers what such a script asks.</summary>
internal static class CompletionCommand
{
    // Each script hands the words up to the cursor to "complete"; with no answer the shell completes file names.
    private const string Bash =
        """
        _fashionflow() {
            local IFS=$'\n'
            COMPREPLY=($("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
            [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default
        }
        complete -F _fashionflow fashionflow ./fashionflow
        """;

    private const string Zsh =
        """
        #compdef fashionflow
        _fashionflow() {
            local -a answers
            answers=("${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
            if [[ -n "${answers[1]}" ]]; then compadd -a answers; else _files; fi
        }
        compdef _fashionflow fashionflow ./fashionflow
        """;

    private const string Fish =
        """
        function __fashionflow_complete
            set -l words (commandline --tokenize --cut-at-cursor) (commandline --current-token)
            set -l answers ($words[1] complete -- $words[2..-1] 2>/dev/null)
            if test (count $answers) -gt 0
                printf '%s\n' $answers
            else
                __fish_complete_path (commandline --current-token)
            end
        end
        complete --command fashionflow --no-files --arguments '(__fashionflow_complete)'
        """;

    /// <summary>The command.</summary>
    public static Command Create(Screen screen)
    {
        var shell = new Argument<string>("SHELL") { Description = "The shell.", HelpName = "bash|zsh|fish" };
        shell.Validators.Add(result =>
        {
            if (result.Tokens is [var token] && Script(token.Value) is null)
            {
                result.AddError($"the shell must be bash, zsh or fish, not '{token.Value}'");
            }
        });
        shell.CompletionSources.Add("bash", "zsh", "fish");
        var command = new WithExamples(
            "completion",
            "Print a script that makes a shell complete commands, options and their values.",
            "completion bash >> ~/.bash_completion",
            "completion zsh > \"${fpath[1]}/_fashionflow\"",
            "completion fish > ~/.config/fish/completions/fashionflow.fish")
        {
            shell,
        };
        command.SetAction(parsed =>
        {
            screen.WriteLine(Script(parsed.GetRequiredValue(shell))!);
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>The command that scripts call: prints the words that may stand where the last one is.</summary>
    public static Command CreateAnswer(Screen screen, Command root)
    {
        var words = new Argument<string[]>("WORD") { Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("complete", "Print the words that may stand in the last one's place.") { words };
        command.Hidden = true;
        command.SetAction(parsed =>
        {
            var typed = parsed.GetValue(words) ?? [];
            var last = typed.LastOrDefault() ?? string.Empty;
            // As a line, since only there a blank at the end says that a new word begins.
            var line = string.Join(' ', typed.Select(Quoted));
            foreach (var word in root.Parse(line).GetCompletions(line.Length).Select(c => c.Label).Where(w => Fits(w, last)).Distinct(StringComparer.Ordinal))
            {
                screen.WriteLine(word);
            }

            return ExitCode.Success;
        });
        return command;
    }

    private static string Quoted(string word) => word.Any(char.IsWhiteSpace) ? $"\"{word}\"" : word;

    // An option is offered once a dash is typed: before that a file may be meant, which the shell knows best.
    private static bool Fits(string word, string typed) =>
        word.StartsWith(typed, StringComparison.Ordinal) && (word[0] == '-') == typed.StartsWith('-') && word is not ("-?" or "/?" or "/h");

    private static string? Script(string shell) => shell switch
    {
        "bash" => Bash,
        "zsh" => Zsh,
        "fish" => Fish,
        _ => null,
    };
}
