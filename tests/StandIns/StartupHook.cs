// Puts a virtual GPU behind the stand-in driver of any .NET program that is started with DOTNET_STARTUP_HOOKS naming this assembly:
// ./fashionflow --device cuda then runs its whole CUDA path on a machine without a GPU.
using System.Diagnostics.CodeAnalysis;
using FashionFlow.StandIns;

/// <summary>What the runtime calls before the program; its name and place are the runtime's choice.</summary>
[SuppressMessage("Design", "CA1050", Justification = "the runtime looks for this name outside any namespace")]
[SuppressMessage("Design", "MA0047", Justification = "the runtime looks for this name outside any namespace")]
internal static class StartupHook
{
    // Lives as long as the process: the driver may be asked until its end.
    private static StandInDevice? s_device;

    /// <summary>Connects the stand-ins, and says at the end what was misused.</summary>
    public static void Initialize()
    {
        s_device = StandInLibrary.Connect();
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            foreach (var misuse in s_device.Misuses)
            {
                Console.Error.WriteLine($"stand-in: {misuse}");
            }
        };
    }
}
