// The libraries as packages: each describes itself, and a project of somebody else's that knows only the packages runs a kernel.
using System.Diagnostics;
using System.IO.Compression;
using System.Xml.Linq;

namespace FashionFlow.App.Tests;

public sealed class PackTests
{
    private static readonly string[] Libraries = ["Autograd", "Diffusion", "Gpu", "Layers", "Tensor", "VirtualGpu"];

    [Test]
    public void The_libraries_are_packages_and_describe_themselves()
    {
        var projects = Directory.EnumerateFiles(Path.Combine(BuiltProgram.SourceTree(), "src"), "*.csproj", SearchOption.AllDirectories)
            .Select(p => XDocument.Load(p).Root!)
            .Where(p => Property(p, "IsPackable") == "true")
            .ToDictionary(p => Property(p, "AssemblyName")!, p => Property(p, "Description"), StringComparer.Ordinal);
        Assert.That(projects.Keys, Is.EquivalentTo(Libraries.Select(l => "FashionFlow." + l)));
        Assert.That(projects.Values, Has.All.Not.Null.And.All.Not.Empty);
    }

    // Long: all libraries are built once more, to leave the outputs of the running tests alone.
    [Test]
    [Category("Long")]
    public void A_project_that_knows_only_the_packages_runs_a_kernel()
    {
        using var folder = new TemporaryFolder();
        Dotnet(
            BuiltProgram.SourceTree(), "pack", "-c", "Release", "-nologo", "-v", "q", "--artifacts-path", folder["artifacts"],
            "-p:PackageOutputPath=" + folder["packages"], "-p:RunAnalyzersDuringBuild=false");
        var names = Directory.EnumerateFiles(folder["packages"]).Select(p => Path.GetFileName(p));
        var version = typeof(App.ExitCode).Assembly.GetName().Version!.ToString(3);
        Assert.That(names, Is.EquivalentTo(Libraries.SelectMany(l => new[] { $"FashionFlow.{l}.{version}.nupkg", $"FashionFlow.{l}.{version}.snupkg" })));
        foreach (var library in Libraries)
        {
            using var package = ZipFile.OpenRead(folder[$"packages/FashionFlow.{library}.{version}.nupkg"]);
            var entries = package.Entries.Select(e => e.FullName).ToArray();
            Assert.That(entries, Does.Contain($"lib/net10.0/FashionFlow.{library}.dll").And.Contain($"lib/net10.0/FashionFlow.{library}.xml").And.Contain("packages.md"));
        }

        // What they depend on comes from where this build has it: a user's restore would fetch it.
        foreach (var dependency in Dependencies(folder, version))
        {
            File.Copy(dependency, folder[$"packages/{Path.GetFileName(dependency)}"]);
        }

        Directory.CreateDirectory(folder["user"]);
        File.WriteAllText(folder["user/nuget.config"], $"""
            <configuration>
              <packageSources><clear /><add key="local" value="{folder["packages"]}" /></packageSources>
              <config><add key="globalPackagesFolder" value="{folder["cache"]}" /></config>
            </configuration>
            """);
        File.WriteAllText(folder["user/user.csproj"], $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <UseAppHost>false</UseAppHost>
                <NuGetAudit>false</NuGetAudit>
              </PropertyGroup>
              <ItemGroup><PackageReference Include="FashionFlow.Diffusion" Version="{version}" /></ItemGroup>
            </Project>
            """);
        // The readme's example, on the device that every machine has.
        var readme = File.ReadAllText(Path.Combine(BuiltProgram.SourceTree(), "docs", "packages.md"));
        var example = readme.Split("```csharp\n")[1].Split("```")[0];
        File.WriteAllText(folder["user/Program.cs"], example.Replace("\"auto\"", "\"virtual\""));
        Dotnet(folder["user"], "build", "-c", "Release", "-nologo", "-v", "q", "-o", folder["out"]);
        var numbers = Dotnet(folder["user"], folder["out/user.dll"]).Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        Assert.That(numbers, Has.Length.EqualTo(16));
        // Box and Muller's method reaches 5.8 at most with 24 bits; a kernel that did not run leaves zeros.
        Assert.That(numbers.Select(n => double.Parse(n, System.Globalization.CultureInfo.InvariantCulture)), Is.All.InRange(-6.0, 6.0));
        Assert.That(numbers, Is.Unique);
    }

    // Of others: ours are there.
    private static string[] Dependencies(TemporaryFolder folder, string version)
    {
        var cache = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        return
        [
            .. Libraries.SelectMany(library =>
                {
                    using var package = ZipFile.OpenRead(folder[$"packages/FashionFlow.{library}.{version}.nupkg"]);
                    using var stream = package.GetEntry($"FashionFlow.{library}.nuspec")!.Open();
                    return XDocument.Load(stream).Descendants().Where(e => e.Name.LocalName == "dependency").Select(e => (Id: e.Attribute("id")!.Value.ToLowerInvariant(), Version: e.Attribute("version")!.Value)).ToList();
                })
                .Distinct()
                .Where(d => !d.Id.StartsWith("fashionflow.", StringComparison.Ordinal))
                .Select(d => Path.Combine(cache, d.Id, d.Version, $"{d.Id}.{d.Version}.nupkg")),
        ];
    }

    private static string? Property(XElement project, string name) => project.Elements("PropertyGroup").Elements(name).FirstOrDefault()?.Value;

    private static string Dotnet(string directory, params string[] arguments)
    {
        var start = new ProcessStartInfo(BuiltProgram.Host, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory,
        };
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment["DOTNET_NOLOGO"] = "1";
        using var process = Process.Start(start)!;
        var result = BuiltProgram.Wait(process);
        Assert.That(result.ExitCode, Is.Zero, result.Output + result.Error);
        return result.Output;
    }
}
