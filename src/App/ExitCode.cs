// What a script learns from the program's end. The help of the program lists the same numbers.
namespace FashionFlow.App;

/// <summary>The program's exit codes.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Success = 0;

    /// <summary>The program ran and the answer is no: <c>compare</c> found a difference, <c>gradcheck</c> a wrong gradient,
    /// <c>train</c> a loss and <c>--debug-finite</c> a value that is no number, <c>doctor</c> something missing.</summary>
    public const int Negative = 1;

    /// <summary>The command line is not understood, or its values do not fit together.</summary>
    public const int Usage = 2;

    /// <summary>An input (picture, model, reference) is missing, damaged or of the wrong kind.</summary>
    public const int Input = 3;

    /// <summary>The device is not there, or failed.</summary>
    public const int Device = 4;

    /// <summary>The output could not be written, by us or by ffmpeg.</summary>
    public const int Output = 5;

    /// <summary>An error of the program itself (EX_SOFTWARE of sysexits.h).</summary>
    public const int Internal = 70;

    /// <summary>Stopped because its terminal was closed: 128 + SIGHUP.</summary>
    public const int HungUp = 129;

    /// <summary>Stopped by Ctrl-C: 128 + SIGINT, as shells count.</summary>
    public const int Interrupted = 130;

    /// <summary>Stopped by SIGTERM: 128 + 15.</summary>
    public const int Terminated = 143;
}
