// Where tests find the reference's stored tensors, and how ours are held against them.
using FashionFlow.Gpu;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Tests;

/// <summary>Golden files: small ones in tests/data, larger ones beside the repository where they exist.</summary>
internal static class GoldenFiles
{
    /// <summary>The tolerance of outputs relative to the largest stored value: ten times the reference's own distance from float64.</summary>
    public const double Tolerance = 1e-5;

    /// <summary>The repository's root.</summary>
    public static string RepositoryRoot => SourceTree.Root;

    /// <summary>A file of tests/data.</summary>
    public static string Data(string name) => Path.Combine(RepositoryRoot, "tests", "data", name);

    /// <summary>A file of the golden folder beside the repository; null where that is absent.</summary>
    public static string? Shared(string name)
    {
        var path = Path.Combine(RepositoryRoot, "..", "shared", "golden", name);
        return File.Exists(path) ? Path.GetFullPath(path) : null;
    }

    /// <summary>A context with every check on (poisoned memory, isolated allocations, leaks named) on the shared device.</summary>
    public static DeviceContext OpenChecked(MatmulBackend backend = MatmulBackend.Library)
        => new(SharedDevice.Get(), ownsDevice: false, DeviceContextOptions.Checked) { Backend = backend };

    /// <summary>A stored tensor, channels last if it is a picture or video.</summary>
    public static Tensor Load(DeviceContext context, SafetensorsFile file, string name)
    {
        var shape = file.Tensors[name].Shape;
        return Tensor.FromArray<float>(context, ToLast(file.ReadFloat32(name), shape), LastShape(shape));
    }

    /// <summary>Fails unless ours is the stored tensor within a tolerance relative to its largest value.</summary>
    public static void AssertClose(Tensor ours, SafetensorsFile file, string name, double tolerance = Tolerance)
    {
        var shape = file.Tensors[name].Shape;
        Assert.That(ours.Count, Is.EqualTo(shape.Count), $"{name}: {ours.Shape} against the stored {shape}");
        var wanted = ToLast(file.ReadFloat32(name), shape);
        var values = ours.ToArray<float>();
        var (largest, difference, at) = (0.0, 0.0, 0);
        for (var i = 0; i < wanted.Length; i++)
        {
            largest = Math.Max(largest, Math.Abs(wanted[i]));
            var d = double.IsNaN(values[i]) ? double.PositiveInfinity : Math.Abs((double)values[i] - wanted[i]);
            (difference, at) = d > difference ? (d, i) : (difference, at);
        }

        var error = difference == 0 ? 0 : difference / largest;
        TestContext.Out.WriteLine($"{name}: {error:e2}");
        Assert.That(error, Is.LessThanOrEqualTo(tolerance), $"{name}: element {at} (channels last) is {values[at]}, stored {wanted[at]}");
    }

    /// <summary>[b, c, ..] as [b, .., c] for pictures and videos.</summary>
    public static Shape LastShape(Shape stored) => stored.Rank is 4 or 5 ? new Shape([stored[0], .. stored.Lengths[2..], stored[1]]) : stored;

    /// <inheritdoc cref="LastShape"/>
    public static float[] ToLast(float[] values, Shape stored)
    {
        if (stored.Rank is not (4 or 5))
        {
            return values;
        }

        var (batch, channels) = (stored[0], stored[1]);
        var inner = values.Length / batch / channels;
        var last = new float[values.Length];
        for (var i = 0; i < values.Length; i++)
        {
            var (b, c, p) = (i / inner / channels, i / inner % channels, i % inner);
            last[(((b * inner) + p) * channels) + c] = values[i];
        }

        return last;
    }
}

/// <summary>
/// The device of all tests, made once, since compiling kernels for it costs time: the virtual one, or what
/// FASHIONFLOW_TEST_DEVICE names. A device that a kernel has failed on is lost, as a GPU's context is, and replaced.
/// </summary>
[SetUpFixture]
public sealed class SharedDevice
{
    private static GpuDevice? s_device;

    /// <summary>The device.</summary>
    public static GpuDevice Get()
    {
        if (s_device is not null)
        {
            try
            {
                s_device.Synchronize();
                return s_device;
            }
            catch (GpuException)
            {
                s_device.Dispose();
            }
        }

        return s_device = NamedDevice.Open();
    }

    /// <summary>Gives the device back after the last test.</summary>
    [OneTimeTearDown]
    public static void Release()
    {
        s_device?.Dispose();
        s_device = null;
        Assert.That(NamedDevice.StandIn?.Live ?? 0, Is.Zero, "contexts, handles, descriptors and allocations that were left alive");
    }
}
