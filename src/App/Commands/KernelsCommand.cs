// kernels build: compiles the CUDA sources into the PTX that the program carries. For people who change kernels, as are its
// sisters: what their machine code takes of a GPU, which PTX is stale, and how long a kernel's first launch takes.
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using FashionFlow.App.Generation;
using FashionFlow.App.Terminal;
using FashionFlow.Gpu;
using FashionFlow.Tensors;

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
        var report = new Command("report", "Compile kernels/*.cu to machine code, and write docs/kernels.tsv and docs/kernels.md: registers, memory, occupancy.");
        report.SetAction(_ => Report(screen));
        command.Subcommands.Add(report);
        var check = new Command("check", "Name the kernels that differ from the shipped PTX, and so must be compiled where they run.");
        check.SetAction(_ => Check(screen));
        command.Subcommands.Add(check);
        var device = CommonOptions.Device();
        var first = new Command("first", "Launch a kernel twice, and say how long after the process's start each launch was done.") { device };
        first.SetAction(parsed => First(screen, parsed.GetRequiredValue(device)));
        command.Subcommands.Add(first);
        return command;
    }

    private static int First(Screen screen, string specification)
    {
        var entered = DateTime.Now;
        using var context = DeviceContext.Open(specification);
        var opened = DateTime.Now;
        var launched = new DateTime[2];
        for (var i = 0; i < launched.Length; i++)
        {
            using (TensorScope.Begin())
            {
                _ = Ops.Randn(context, [1024], seed: 1, "kernels first").ToArray<float>();
                launched[i] = DateTime.Now;
            }
        }

        // Asked for last, since asking takes time of its own. Linux counts it in hundredths of a second.
        var started = Process.GetCurrentProcess().StartTime;
        var points = new (string What, DateTime At)[]
        {
            ("command entered", entered), ($"{VideoMaker.DeviceName(context.Device.Properties)} opened", opened), ("first launch done", launched[0]), ("second launch done", launched[1]),
        };
        var before = started;
        foreach (var (what, at) in points)
        {
            screen.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{(at - started).TotalMilliseconds,7:0} ms  {what} (+{(at - before).TotalMilliseconds:0.0} ms)"));
            before = at;
        }

        return ExitCode.Success;
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

    private static int Build(Screen screen) => Compile(screen, tree =>
    {
        var changes = ShippedKernels.Build(tree, screen.WriteLine);
        screen.WriteLine(changes == 0 ? "All shipped PTX matches its source." : $"{changes} files changed; build the program again.");
    });

    private static int Report(Screen screen) => Compile(screen, tree =>
    {
        var changes = KernelReport.Build(tree, screen.WriteLine);
        screen.WriteLine(changes == 0 ? "The report on the kernels' machine code is up to date." : $"Written: {KernelReport.TablePath}, {KernelReport.DocumentPath}.");
    });

    /// <summary>What needs a source tree and the compiler.</summary>
    private static int Compile(Screen screen, Action<string> work)
    {
        var tree = Places.WorkingTree() ?? throw new UserError(ExitCode.Input, "there is no source tree here", "change into a clone of the repository");
        if (!Nvrtc.IsAvailable)
        {
            throw new UserError(ExitCode.Device, $"NVRTC, which compiles kernels, is missing: {Nvrtc.MissingReason}", $"install it: {Nvrtc.InstallHint}");
        }

        try
        {
            work(tree);
            return ExitCode.Success;
        }
        catch (KernelCompilationException e)
        {
            screen.Note(e.Log);
            throw new UserError(ExitCode.Input, $"{e.File} does not compile", cause: e);
        }
        catch (Exception e) when (e is CubinException or InvalidDataException or InvalidOperationException)
        {
            throw new UserError(ExitCode.Input, e.Message, cause: e);
        }
    }
}
