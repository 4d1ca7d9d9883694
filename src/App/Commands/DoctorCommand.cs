// doctor: what the program needs, what of it is there, and what to do about the rest.
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using FashionFlow.App.Generation;
using FashionFlow.App.Media;
using FashionFlow.App.Terminal;
using FashionFlow.Diffusion;
using FashionFlow.Gpu;
using FashionFlow.Gpu.Cuda;
using FashionFlow.Gpu.Cuda.Libraries;
using FashionFlow.Tensors;
using Spectre.Console;

namespace FashionFlow.App.Commands;

/// <summary>Looks at devices, compiler, libraries and tools.</summary>
internal static class DoctorCommand
{
    private enum State
    {
        Ok,

        // Not there, and not needed.
        Absent,

        // Needed, and not there or not working.
        Broken,
    }

    /// <summary>The command.</summary>
    public static Command Create(Screen screen)
    {
        var json = CommonOptions.Json();
        var command = new WithExamples("doctor", "Say what is there, what is not, and what to do about it.", "doctor", "doctor --json") { json };
        command.SetAction(parsed => Run(screen, parsed.GetValue(json)));
        return command;
    }

    private static int Run(Screen screen, bool asJson)
    {
        List<Finding> findings = [.. Devices(), .. Kernels(), .. Libraries(), Encoder(), Model()];
        var broken = findings.Count(f => f.State == State.Broken);
        if (asJson)
        {
            screen.WriteJson(json => Write(json, findings, isReady: broken == 0));
        }
        else
        {
            Print(screen, findings, broken);
        }

        return broken == 0 ? ExitCode.Success : ExitCode.Negative;
    }

    private static void Print(Screen screen, List<Finding> findings, int broken)
    {
        var table = screen.Table(string.Empty, "part", "found");
        foreach (var finding in findings)
        {
            var (word, color) = finding.State switch
            {
                State.Ok => ("ok", Color.Green),
                State.Absent => ("-", Color.Default),
                _ => ("NO", Color.Red),
            };
            table.AddRow(new Text(word, new Style(color)), new Text(finding.Part), new Text(finding.Found));
        }

        screen.Write(table);
        foreach (var finding in findings.Where(f => f.Advice is not null))
        {
            screen.WriteLine($"{finding.Part}: {finding.Advice}");
        }

        screen.WriteLine(broken == 0 ? "Ready." : $"{broken} of {findings.Count} parts are missing that the program needs.");
    }

    private static void Write(Utf8JsonWriter json, List<Finding> findings, bool isReady)
    {
        json.WriteBoolean("ready", isReady);
        json.WriteStartArray("parts");
        foreach (var finding in findings)
        {
            json.WriteStartObject();
            json.WriteString("part", finding.Part);
            json.WriteString("state", finding.State switch
            {
                State.Ok => "ok",
                State.Absent => "absent",
                _ => "broken",
            });
            json.WriteString("found", finding.Found);
            json.WriteString("advice", finding.Advice);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static IEnumerable<Finding> Devices()
    {
        var driver = CudaDriver.TryInitialize();
        yield return new Finding(
            driver.State == CudaDriverState.Ready ? State.Ok : State.Absent,
            "NVIDIA driver",
            driver.Message,
            driver.Advice.Length > 0 ? driver.Advice : null);
        for (var i = 0; i < driver.DeviceCount; i++)
        {
            yield return Device($"cuda:{i}");
        }

        yield return Device("virtual");
    }

    // A device counts as there when a kernel has run on it.
    private static Finding Device(string name)
    {
        try
        {
            using var context = DeviceContext.Open(name);
            var properties = context.Device.Properties;
            using (TensorScope.Begin())
            {
                var values = Ops.Randn(context, [1024], seed: 1, "doctor").ToArray<float>();
                if (!values.All(float.IsFinite) || values.All(v => v == 0))
                {
                    return new Finding(State.Broken, name, $"{properties.Name}: a kernel gives wrong results", "please report it");
                }
            }

            var memory = string.Create(CultureInfo.InvariantCulture, $"{properties.TotalMemory / (double)(1L << 30):0.0} GiB");
            return new Finding(State.Ok, name, $"{VideoMaker.DeviceName(properties)}, {memory}; a kernel ran on it; {Workers(context.Device)}", Advice: null);
        }
        catch (Exception e) when (e is GpuException or InvalidOperationException or KernelCompilationException)
        {
            return new Finding(State.Broken, name, e.Message.Split('\n')[0], "see the parts below");
        }
    }

    // Who does what on a device.
    private static string Workers(GpuDevice device)
    {
        var cuda = device as CudaDevice;
        return $"matrix products by {device.Blas?.Name ?? $"own kernels ({cuda?.BlasProblem})"}, convolutions by {device.Dnn?.Name ?? $"own kernels ({cuda?.DnnProblem})"}";
    }

    private static IEnumerable<Finding> Kernels()
    {
        var shipped = ShippedKernels.Embedded;
        var files = KernelSourceSet.Embedded.Files;
        var changed = shipped.MustBeCompiled(KernelSourceSet.Embedded);
        if (changed.Count == 0)
        {
            yield return new Finding(State.Ok, "kernels", $"{files.Count} files, all shipped as PTX (compiled by NVRTC {shipped.CompilerVersion})", Advice: null);
        }
        else
        {
            var which = changed.Count == files.Count ? string.Empty : $" ({string.Join(", ", changed)})";
            yield return new Finding(
                Nvrtc.IsAvailable ? State.Ok : State.Broken,
                "kernels",
                $"{changed.Count} of {files.Count} files differ from the shipped PTX{which}; NVRTC compiles them at first use",
                Nvrtc.IsAvailable ? "to ship them compiled: fashionflow kernels build" : null);
        }

        yield return Nvrtc.IsAvailable
            ? new Finding(State.Ok, "NVRTC", $"{Nvrtc.Version} ({Nvrtc.LibraryName})", Advice: null)
            : changed.Count > 0
                ? new Finding(State.Broken, "NVRTC", Nvrtc.MissingReason!, $"install it: {Nvrtc.InstallHint}")
                : new Finding(State.Absent, "NVRTC", $"{Nvrtc.MissingReason}; needed only to change kernels", $"to change kernels: {Nvrtc.InstallHint}");
    }

    private static IEnumerable<Finding> Libraries()
    {
        yield return Library("cuBLAS", "matrix products", CudaLibraries.Cublas);
        yield return Library("cuDNN", "convolutions", CudaLibraries.Cudnn);
    }

    private static Finding Library(string part, string work, CudaLibraryStatus library) => library.Problem is { } problem
        ? new Finding(State.Absent, part, $"{problem}; {work} on a GPU are done by the program's own kernels", Advice: null)
        : new Finding(State.Ok, part, $"{library.Version} ({library.FileName}): {work} on a GPU", Advice: null);

    private static Finding Encoder()
    {
        if (Ffmpeg.Find() is not { } path)
        {
            return new Finding(State.Broken, "ffmpeg", "not on PATH; generate and demo need it", Ffmpeg.InstallAdvice);
        }

        return Ffmpeg.Version(path) is not { } version
            ? new Finding(State.Broken, "ffmpeg", $"{path} does not run", Ffmpeg.InstallAdvice)
            : Ffmpeg.HasEncoder(path, "libx264")
                ? new Finding(State.Ok, "ffmpeg", $"{version} ({path}), with libx264", Advice: null)
                : new Finding(State.Broken, "ffmpeg", $"{version} ({path}) has no H.264 encoder libx264", "install a full build of ffmpeg");
    }

    private static Finding Model()
    {
        try
        {
            var configuration = ModelConfiguration.ForDirectory(Places.DemoModel());
            var kind = configuration.IsTrained ? "trained" : "untrained";
            return new Finding(State.Ok, "demo model", $"{Places.DemoModel()}, {configuration.PictureWidth} x {configuration.PictureHeight}, {kind}", Advice: null);
        }
        catch (Exception e) when (e is UserError or ModelException)
        {
            return new Finding(State.Broken, "demo model", e.Message, "get the program's folder models/demo again");
        }
    }

    private sealed record Finding(State State, string Part, string Found, string? Advice);
}
