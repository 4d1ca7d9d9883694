// kernels build: compiles the CUDA sources into the PTX that the program carries. For people who change kernels.
using System.CommandLine;
using FashionFlow.App.Terminal;
using FashionFlow.Gpu;

namespace FashionFlow.App.Commands;

/// <summary>Builds the shipped PTX. Hidden: a user never needs it.</summary>
internal static class KernelsCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Screen screen)
    {
        var build = new Command("build", "Compile kernels/*.cu with NVRTC into src/Gpu/ShippedPtx.");
        build.SetAction(_ => Build(screen));
        var command = new Command("kernels", "Work on the kernels of a source tree.") { Hidden = true };
        command.Subcommands.Add(build);
        var check = new Command("check", "Name the kernels that differ from the shipped PTX, and so must be compiled where they run.");
        check.SetAction(_ => Check(screen));
        command.Subcommands.Add(check);
        return command;
    }

    private static int Check(Screen screen)
    {
        var files = ShippedKernels.Embedded.MustBeCompiled(KernelSourceSet.Embedded);
        foreach (var file in files)
        {
            screen.WriteLine($"kernels/{file}");
        }

        return files.Count == 0 ? ExitCode.Success : ExitCode.Negative;
    }

    private static int Build(Screen screen)
    {
        var tree = Places.WorkingTree() ?? throw new UserError(ExitCode.Input, "there is no source tree here", "change into a clone of the repository");
        if (!Nvrtc.IsAvailable)
        {
            throw new UserError(ExitCode.Device, $"NVRTC, which compiles kernels, is missing: {Nvrtc.MissingReason}", $"install it: {Nvrtc.InstallHint}");
        }

        try
        {
            var changes = ShippedKernels.Build(tree, screen.WriteLine);
            screen.WriteLine(changes == 0 ? "All shipped PTX matches its source." : $"{changes} files changed; build the program again.");
            return ExitCode.Success;
        }
        catch (KernelCompilationException e)
        {
            screen.Note(e.Log);
            throw new UserError(ExitCode.Input, $"{e.File} does not compile", cause: e);
        }
    }
}
