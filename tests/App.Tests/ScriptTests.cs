// The two scripts at the root, in a tree of their own with a dotnet that only pretends: when they build, what they pass on,
// what they say where something is missing, and what publish leaves where it succeeds, fails or is stopped.
using System.Diagnostics;

namespace FashionFlow.App.Tests;

[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class ScriptTests
{
    // What the scripts may call. A machine without ffmpeg or dotnet is one that does not have them here.
    private static readonly string[] Tools =
        ["awk", "basename", "bash", "cat", "cksum", "cut", "dirname", "du", "env", "find", "flock", "grep", "head", "mkdir", "mktemp", "mv", "readlink", "rm", "sed", "sleep", "sort", "tail", "tee", "touch", "tr"];

    private const string Dotnet = """
        #!/usr/bin/env bash
        root=$FAKE_ROOT
        case $1 in
            --list-sdks) echo "10.0.100 [/fake]" ;;
            build)
                echo built >> "$root/builds"
                [ -e "$root/broken" ] && { echo "$root/src/App/Program.cs(1,1): error CS1002: ; expected"; exit 1; }
                mkdir -p "$root/src/App/bin/Release/net10.0"
                printf '#!/usr/bin/env bash\n[ "$1" = kernels ] && exit 0\nprintf "<%%s>" "$@"\nexit "${FAKE_EXIT:-0}"\n' > "$root/src/App/bin/Release/net10.0/FashionFlow.App"
                chmod +x "$root/src/App/bin/Release/net10.0/FashionFlow.App" ;;
            publish)
                printf '%s\n' "$@" > "$root/publish"
                while [ "$1" != -o ]; do shift; done
                mkdir -p "$2/licences"
                touch "$2/licences/a.txt"
                cp "$root/src/App/README.txt" "$2"
                [ -e "$root/broken" ] && { echo "x.csproj(1,1): error NETSDK1: broken"; exit 1; }
                [ -e "$root/slow" ] && { touch "$root/begun"; sleep 60; }
                printf '#!/usr/bin/env bash\n[ "$1" = kernels ] && exit "${FAKE_STALE:-0}"\n' > "$2/FashionFlow.App"
                chmod +x "$2/FashionFlow.App" ;;
            vstest) printf '%s\n' "$@" > "$root/vstest"; cat "$root/results"; exit "$(cat "$root/status")" ;;
        esac
        """;

    private string _root = "";

    [SetUp]
    public void Make_a_tree()
    {
        _root = Directory.CreateTempSubdirectory("fashionflow scripts ").FullName;
        foreach (var folder in new[] { "bin", "src/App", "kernels", "tools", "tests/A.Tests" })
        {
            Directory.CreateDirectory(Path.Combine(_root, folder));
        }

        var tree = BuiltProgram.SourceTree();
        foreach (var file in new[] { "fashionflow", "test", "tools/setup.sh" })
        {
            File.Copy(Path.Combine(tree, file), Path.Combine(_root, file));
        }

        File.WriteAllText(Path.Combine(_root, "src/App/README.txt"), "A published folder.\nIts text.\n");
        foreach (var file in new[] { "src/App/Program.cs", "kernels/a.cu", "Directory.Build.props", "global.json", "tests/A.Tests/A.Tests.csproj" })
        {
            File.WriteAllText(Path.Combine(_root, file), "");
        }

        foreach (var tool in Tools)
        {
            var path = new[] { "/usr/bin/", "/bin/" }.Select(p => p + tool).First(File.Exists);
            File.CreateSymbolicLink(Path.Combine(_root, "bin", tool), path);
        }

        Executable("dotnet", Dotnet.Replace("$FAKE_ROOT", $"'{_root}'"));
        Executable("cp", "#!/usr/bin/env bash\nexec /bin/cp \"$@\"\n");
        Executable("chmod", "#!/usr/bin/env bash\nexec /bin/chmod \"$@\"\n");
        Executable("ffmpeg", "#!/usr/bin/env bash\n");
        Executable("id", "#!/usr/bin/env bash\necho 1000\n");
        // NVRTC and the driver's library are there.
        Executable("ldconfig", "#!/usr/bin/env bash\necho 'libnvrtc.so.12 libcuda.so.1'\n");
    }

    [TearDown]
    public void Remove_the_tree() => Directory.Delete(_root, recursive: true);

    [Test]
    public async Task The_command_builds_once_and_passes_arguments_and_exit_code()
    {
        var first = await RunAsync("fashionflow", ["generate", "a b.jpg", "", "*"], exit: 3);
        Assert.That(first.Output, Is.EqualTo("<generate><a b.jpg><><*>"));
        Assert.That(first.Code, Is.EqualTo(3));
        Assert.That(first.Errors, Does.Contain("building"));
        var second = await RunAsync("fashionflow", ["doctor"]);
        Assert.That((second.Output, second.Errors, second.Code), Is.EqualTo(("<doctor>", "", 0)));
        Assert.That(Builds(), Is.EqualTo(1));
    }

    [Test]
    public async Task It_works_through_a_link_and_from_anywhere()
    {
        var link = Path.Combine(_root, "bin", "ff");
        File.CreateSymbolicLink(link, Path.Combine("..", "fashionflow"));
        var run = await RunAsync(link, ["--version"], directory: "/");
        Assert.That((run.Output, run.Code), Is.EqualTo(("<--version>", 0)), run.Errors);
    }

    [TestCase("src/App/Program.cs")]
    [TestCase("kernels/a.cu")]
    [TestCase("Directory.Build.props")]
    public async Task A_changed_source_builds_again_even_if_it_is_older(string file)
    {
        await RunAsync("fashionflow", []);
        File.SetLastWriteTimeUtc(Path.Combine(_root, file), DateTime.UtcNow.AddHours(-2));
        await RunAsync("fashionflow", []);
        Assert.That(Builds(), Is.EqualTo(2));
    }

    [Test]
    public async Task A_source_that_is_gone_builds_again()
    {
        await RunAsync("fashionflow", []);
        File.Delete(Path.Combine(_root, "kernels", "a.cu"));
        await RunAsync("fashionflow", []);
        Assert.That(Builds(), Is.EqualTo(2));
    }

    [Test]
    public async Task Two_first_uses_at_a_time_build_once()
    {
        var runs = await Task.WhenAll(RunAsync("fashionflow", ["a"]), RunAsync("fashionflow", ["b"]));
        Assert.That(runs.Select(r => r.Output), Is.EqualTo(["<a>", "<b>"]));
        Assert.That(Builds(), Is.EqualTo(1));
    }

    [Test]
    public async Task A_failed_build_shows_the_error_and_is_tried_again()
    {
        File.WriteAllText(Path.Combine(_root, "broken"), "");
        for (var i = 1; i <= 2; i++)
        {
            var run = await RunAsync("fashionflow", ["doctor"]);
            Assert.That((run.Output, run.Code), Is.EqualTo(("", 1)));
            Assert.That(run.Errors, Does.Contain("error CS1002: ; expected").And.Contain("the build failed"));
            Assert.That(Builds(), Is.EqualTo(i));
        }
    }

    [Test]
    public async Task Without_the_sdk_one_line_says_how_to_get_it()
    {
        File.Delete(Path.Combine(_root, "bin", "dotnet"));
        foreach (var script in new[] { "fashionflow", "test" })
        {
            var run = await RunAsync(script, []);
            Assert.That(run.Code, Is.EqualTo(1));
            Assert.That(run.Errors.Split('\n'), Has.Length.EqualTo(2), "one line");
            Assert.That(run.Errors, Does.Contain(".NET 10 SDK is missing").And.Contain("apt-get install -y dotnet-sdk-10.0"));
        }
    }

    [TestCase("generate", true)]
    [TestCase("demo", true)]
    [TestCase("verify a.mp4", true)]
    [TestCase("project videos -o latents", true)]
    [TestCase("train --data latents -o run", true)]
    [TestCase("evaluate --data videos", true)]
    [TestCase("render-garments -o a", true)]
    [TestCase("generate --help", false)]
    [TestCase("compare", false)]
    public async Task Without_ffmpeg_and_root_what_makes_videos_says_what_to_run(string arguments, bool needed)
    {
        File.Delete(Path.Combine(_root, "bin", "ffmpeg"));
        var run = await RunAsync("fashionflow", arguments.Split(' '));
        Assert.That(run.Code, Is.EqualTo(needed ? 1 : 0));
        Assert.That(run.Errors, needed ? Does.Contain("sudo apt-get install -y ffmpeg") : Does.Not.Contain("ffmpeg"));
    }

    [Test]
    public async Task With_root_ffmpeg_is_installed_without_a_question()
    {
        File.Delete(Path.Combine(_root, "bin", "ffmpeg"));
        Executable("id", "#!/usr/bin/env bash\necho 0\n");
        // More than a pipe holds: who reads the first line alone must not take the writer's end by SIGPIPE for a failure.
        Executable("apt-cache", "#!/usr/bin/env bash\necho '  Candidate: 7.1'\nfor i in {1..20000}; do echo '  7.1 500'; done\n");
        Executable("apt-get", $"#!/usr/bin/env bash\necho \"$DEBIAN_FRONTEND $*\" >> '{_root}/apt'\n");
        var run = await RunAsync("fashionflow", ["demo"]);
        Assert.That((run.Output, run.Code), Is.EqualTo(("<demo>", 0)), run.Errors);
        Assert.That(
            File.ReadAllText(Path.Combine(_root, "apt")),
            Is.EqualTo("noninteractive -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends ffmpeg\n"));
    }

    [Test]
    public async Task Publish_makes_a_folder_with_the_program_under_its_own_name()
    {
        var run = await RunAsync("fashionflow", ["publish", "-o", "new/a b"]);
        Assert.That(run.Code, Is.Zero, run.Errors);
        Assert.That(run.Output, Does.Match("^published  .*/new/a b, [0-9]+ MB, for linux-x64 without .NET\nto run it  .*/new/a b/fashionflow demo\n$"));
        Assert.That(Names("new/a b"), Is.EqualTo(["README.txt", "fashionflow", "licences"]));
        Assert.That(Names("new"), Is.EqualTo(["a b"]), "nothing else is left beside it");
        // The program that ./fashionflow runs, and tests that are running, use the ordinary outputs.
        Assert.That(File.ReadAllLines(Path.Combine(_root, "publish")), Does.Contain("--artifacts-path").And.Contain(Path.Combine(_root, "artifacts/publish")));
        Assert.That(File.Exists(Path.Combine(_root, "builds")), Is.False);
    }

    [TestCase("", 2, "error: -o DIR is missing; see: fashionflow publish --help")]
    [TestCase("-o", 2, "error: -o needs a folder; see: fashionflow publish --help")]
    [TestCase("-o x --trim", 2, "error: '--trim' is not an option of fashionflow publish; see: fashionflow publish --help")]
    [TestCase("x", 2, "error: 'x' is not an argument of fashionflow publish; a folder is named by -o DIR")]
    [TestCase("-o kernels", 5, "error: ROOT/kernels exists; name another folder, or replace an earlier publication with --overwrite")]
    [TestCase("-o kernels --overwrite", 5, "error: ROOT/kernels was not made by fashionflow publish, and is left as it is")]
    [TestCase("--output=global.json --overwrite", 5, "error: ROOT/global.json was not made by fashionflow publish, and is left as it is")]
    [TestCase("-o global.json/x", 5, "error: ROOT/global.json/x cannot be made: ")]
    public async Task Publish_refuses_with_one_line_before_any_work(string arguments, int code, string message)
    {
        var run = await RunAsync("fashionflow", ["publish", .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);
        Assert.That((run.Output, run.Code), Is.EqualTo(("", code)), run.Errors);
        Assert.That(run.Errors.TrimEnd('\n').Split('\n'), Has.Length.EqualTo(1));
        Assert.That(run.Errors, Does.StartWith(message.Replace("ROOT", _root)));
        Assert.That(File.Exists(Path.Combine(_root, "publish")), Is.False);
        Assert.That(File.Exists(Path.Combine(_root, "kernels", "a.cu")));
    }

    [Test]
    public async Task Publish_replaces_an_earlier_folder_when_asked_to()
    {
        await RunAsync("fashionflow", ["publish", "-o", "out/p"]);
        File.WriteAllText(Path.Combine(_root, "out/p/old"), "");
        var refused = await RunAsync("fashionflow", ["publish", "-o", "out/p"]);
        Assert.That(refused.Code, Is.EqualTo(5), refused.Errors);
        Assert.That(Names("out/p"), Does.Contain("old"));
        var replaced = await RunAsync("fashionflow", ["publish", "--overwrite", "-o", "out/p"]);
        Assert.That(replaced.Code, Is.Zero, replaced.Errors);
        Assert.That(Names("out/p"), Is.EqualTo(["README.txt", "fashionflow", "licences"]));
        Assert.That(Names("out"), Is.EqualTo(["p"]));
    }

    [Test]
    public async Task A_failed_publication_shows_the_error_and_leaves_what_was_there()
    {
        await RunAsync("fashionflow", ["publish", "-o", "out/p"]);
        File.WriteAllText(Path.Combine(_root, "broken"), "");
        var run = await RunAsync("fashionflow", ["publish", "-o", "out/p", "--overwrite"]);
        Assert.That((run.Output, run.Code), Is.EqualTo(("", 1)));
        Assert.That(run.Errors, Does.Contain("error NETSDK1: broken").And.Contain("artifacts/publish.log"));
        Assert.That(Names("out/p"), Is.EqualTo(["README.txt", "fashionflow", "licences"]));
        Assert.That(Names("out"), Is.EqualTo(["p"]));
    }

    [Test]
    public async Task A_stopped_publication_leaves_nothing()
    {
        File.WriteAllText(Path.Combine(_root, "slow"), "");
        // Like a terminal, timeout stops the script and all that it started.
        Executable("timeout", "#!/usr/bin/env bash\nexec /usr/bin/timeout \"$@\"\n");
        var run = await RunAsync("bin/timeout", ["--preserve-status", "-s", "TERM", "3", Path.Combine(_root, "fashionflow"), "publish", "-o", "out/p"]);
        Assert.That(run.Code, Is.EqualTo(143), run.Errors);
        Assert.That(File.Exists(Path.Combine(_root, "begun")), "it was at work");
        Assert.That(Names("out"), Is.Empty);
    }

    [Test]
    public async Task Publish_says_when_the_program_will_need_a_compiler()
    {
        var run = await RunAsync("fashionflow", ["publish", "-o", "p"], variables: ("FAKE_STALE", "1"));
        Assert.That(run.Code, Is.Zero);
        Assert.That(run.Errors, Does.Contain("needs NVRTC where it runs").And.Contain("fashionflow kernels build"));
    }

    [Test]
    public async Task The_help_tells_of_publish_in_a_source_tree()
    {
        var all = await RunAsync("fashionflow", ["--help"]);
        Assert.That(all.Output, Does.StartWith("<--help>").And.Contain("publish --help"));
        var own = await RunAsync("fashionflow", ["publish", "--help"]);
        Assert.That(own.Output, Does.Contain("fashionflow publish -o DIR").And.Contain("--overwrite"));
        Assert.That((all.Code, own.Code), Is.EqualTo((0, 0)));
    }

    [TestCase("Passed!  - Failed:     0, Passed:    51, Skipped:     0, Total:    51, Duration: 8 s - A.dll (net10.0)\nPassed!  - Failed:     0, Passed:     9, Skipped:     0, Total:     9, Duration: 8 ms - B.dll (net10.0)", 0, "60 passed, 0 failed, 0 skipped", 0)]
    [TestCase("  Failed A_test [1 s]\n  Error Message:\n   wrong\nFailed!  - Failed:     2, Passed:     3, Skipped:     1, Total:     6, Duration: 8 s - A.dll (net10.0)", 1, "3 passed, 2 failed, 1 skipped", 1)]
    [TestCase("Passed!  - Failed:     0, Passed:     5, Skipped:     0, Total:     5, Duration: 8 s - A.dll (net10.0)\nThe active test run was aborted. Reason: Test host process crashed", 1, "5 passed, 1 failed, 0 skipped", 1)]
    [TestCase("No test matches the given testcase filter", 0, "0 passed, 1 failed, 0 skipped", 1)]
    public async Task Test_ends_with_the_sums_and_the_exit_code_that_goes_with_them(string results, int status, string last, int code)
    {
        Prepare(results, status);
        var run = await RunAsync("test", []);
        Assert.That(run.Output.TrimEnd().Split('\n')[^1], Is.EqualTo(last), run.Errors);
        Assert.That(run.Code, Is.EqualTo(code));
        if (results.Contains("wrong", StringComparison.Ordinal))
        {
            Assert.That(run.Output, Does.Contain("Failed A_test").And.Contain("wrong"));
        }
    }

    [TestCase("", "--TestCaseFilter:TestCategory!=Long")]
    [TestCase("Gemm Conv", "--TestCaseFilter:TestCategory!=Long&(FullyQualifiedName~Gemm|FullyQualifiedName~Conv)")]
    [TestCase("--long Gemm", "--TestCaseFilter:(FullyQualifiedName~Gemm)")]
    public async Task Test_filters_by_name_and_leaves_the_long_corpora_to_long(string arguments, string filter)
    {
        Prepare("Passed!  - Failed:     0, Passed:     5, Skipped:     0, Total:     5", 0);
        await RunAsync("test", arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.That(
            File.ReadAllLines(Path.Combine(_root, "vstest")),
            Is.EqualTo(["vstest", "tests/A.Tests/bin/Release/net10.0/A.Tests.dll", filter, "--logger:console;verbosity=minimal"]));
    }

    // On each device that is there the tests that every device must pass run again, and count again.
    [TestCase(false, false, 1)]
    [TestCase(true, false, 2)]
    [TestCase(false, true, 2)]
    [TestCase(true, true, 3)]
    public async Task Test_runs_again_on_stand_ins_and_on_a_GPU(bool hasCompiler, bool hasGpu, int runs)
    {
        Prepare("Passed!  - Failed:     0, Passed:     5, Skipped:     0, Total:     5", 0);
        if (hasCompiler)
        {
            Executable("cc", "#!/bin/bash\n");
        }

        // The command is there without a GPU, too, and then says so.
        Executable("nvidia-smi", hasGpu ? "#!/bin/bash\necho 'GPU 0: a card'\n" : "#!/bin/bash\necho 'No devices were found'\nexit 6\n");
        var run = await RunAsync("test", []);
        Assert.That(run.Output, Does.EndWith($"{5 * runs} passed, 0 failed, 0 skipped\n"));
        Assert.That(run.Errors.Contains("on the CUDA device over stand-ins", StringComparison.Ordinal), Is.EqualTo(hasCompiler));
        Assert.That(run.Errors.Contains("on the GPU", StringComparison.Ordinal), Is.EqualTo(hasGpu));
        if (runs > 1)
        {
            Assert.That(File.ReadAllText(Path.Combine(_root, "vstest")), Does.Contain("--TestCaseFilter:TestCategory=EveryDevice&TestCategory!=Long"));
        }
    }

    [Test]
    public async Task A_test_build_that_fails_counts_as_a_failure()
    {
        Prepare("", 0);
        File.WriteAllText(Path.Combine(_root, "broken"), "");
        var run = await RunAsync("test", []);
        Assert.That(run.Output, Does.Contain("error CS1002").And.EndWith("0 passed, 1 failed, 0 skipped\n"));
        Assert.That(run.Code, Is.EqualTo(1));
    }

    [Test]
    public async Task An_unknown_option_of_test_is_named()
    {
        var run = await RunAsync("test", ["--quick"]);
        Assert.That(run.Errors, Does.Contain("unknown option --quick"));
        Assert.That(run.Code, Is.EqualTo(2));
    }

    private string[] Names(string folder) =>
        [.. Directory.EnumerateFileSystemEntries(Path.Combine(_root, folder)).Select(e => Path.GetFileName(e)).Order(StringComparer.Ordinal)];

    private int Builds() => File.ReadAllLines(Path.Combine(_root, "builds")).Length;

    private void Prepare(string results, int status)
    {
        File.WriteAllText(Path.Combine(_root, "results"), results + "\n");
        File.WriteAllText(Path.Combine(_root, "status"), $"{status}");
    }

    private void Executable(string name, string text)
    {
        var path = Path.Combine(_root, "bin", name);
        File.Delete(path);
        File.WriteAllText(path, text);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private async Task<(string Output, string Errors, int Code)> RunAsync(string script, string[] arguments, int exit = 0, string? directory = null, params (string Name, string Value)[] variables)
    {
        var start = new ProcessStartInfo(Path.Combine(_root, script), arguments)
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory ?? _root,
        };
        start.Environment["PATH"] = Path.Combine(_root, "bin");
        start.Environment["FAKE_EXIT"] = $"{exit}";
        start.Environment.Remove("DOTNET_ROOT");
        foreach (var (name, value) in variables)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (output, await errors, process.ExitCode);
    }
}
