// An error that a person can act on: one line that says what and where, at most one more that says what to do.
namespace FashionFlow.App;

/// <summary>Ends the program with an <see cref="ExitCode"/>, a line on standard error and no stack trace.</summary>
internal sealed class UserError(int exitCode, string message, string? advice = null, Exception? cause = null) : Exception(message, cause)
{
    /// <summary>The program's exit code.</summary>
    public int ExitCode { get; } = exitCode;

    /// <summary>What to do about it, or null.</summary>
    public string? Advice { get; } = advice;
}
