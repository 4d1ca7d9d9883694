// Runs kernels for tests: under the general method, the fast one, and seeded orders, on several worker threads. All must agree bit for bit.
using System.Runtime.InteropServices;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Jit;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu.Tests.Jit;

/// <summary>A way to run a kernel.</summary>
internal sealed record Way(string Name, ExecutionMethod Method, ulong? Seed, int Threads)
{
    public static IReadOnlyList<Way> All { get; } =
    [
        new("general", ExecutionMethod.General, null, 1),
        new("fast", ExecutionMethod.Auto, null, 1),
        new("fast, two threads", ExecutionMethod.Auto, null, 2),
        new("general, seed 1", ExecutionMethod.General, 1, 1),
        new("fast, seed 2, two threads", ExecutionMethod.Auto, 2, 2),
    ];

    public override string ToString() => Name;
}

/// <summary>Device memory of one run: host memory whose every buffer is an allocation.</summary>
internal sealed unsafe class HarnessMemory : IDeviceMemory, IDisposable
{
    private readonly List<(ulong Start, ulong End, nint Memory)> _buffers = [];

    public int Generation => _buffers.Count;

    public ulong Allocate(long bytes)
    {
        var memory = (nint)NativeMemory.AlignedAlloc((nuint)bytes + 8192, 4096);
        new Span<byte>((void*)memory, (int)bytes + 8192).Fill(0xA7);
        var start = (ulong)memory + 4096;
        new Span<byte>((void*)start, (int)bytes).Clear();
        _buffers.Add((start, start + (ulong)bytes, memory));
        return start;
    }

    public ulong Allocate<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        var address = Allocate((long)values.Length * sizeof(T));
        values.CopyTo(new Span<T>((void*)address, values.Length));
        return address;
    }

    public static T[] Read<T>(ulong address, int count)
        where T : unmanaged
        => new ReadOnlySpan<T>((void*)address, count).ToArray();

    public bool TryFind(ulong address, out ulong start, out ulong end)
    {
        foreach (var buffer in _buffers)
        {
            if (address >= buffer.Start && address < buffer.End)
            {
                (start, end) = (buffer.Start, buffer.End);
                return true;
            }
        }

        (start, end) = (0, 0);
        return false;
    }

    public string Describe(ulong address) => "outside of every allocation";

    public void Dispose()
    {
        foreach (var buffer in _buffers)
        {
            NativeMemory.AlignedFree((void*)buffer.Memory);
        }

        _buffers.Clear();
    }
}

/// <summary>Runs kernels of a module.</summary>
internal sealed class Harness(PtxModule module)
{
    private static readonly DeviceProperties Properties = new()
    {
        Name = "harness",
        ComputeCapability = new ComputeCapability(8, 0),
        MultiprocessorCount = 4,
        TotalMemory = 1L << 30,
        MaxSharedMemoryPerBlockOptin = 160 << 10,
        MaxSharedMemoryPerMultiprocessor = 160 << 10,
        MaxThreadsPerMultiprocessor = 2048,
    };

    private static readonly WorkerPool Two = new(2);

    private readonly Dictionary<string, KernelProgram> _programs = new(StringComparer.Ordinal);

    public static Harness Corpus { get; } = new(PtxModule.Parse(CorpusText));

    public static Harness Breadth { get; } = new(PtxModule.Parse(File.ReadAllText(Path.Combine(TestContext.CurrentContext.TestDirectory, "Jit", "Corpus", "breadth.ptx"))));

    public static string CorpusText => File.ReadAllText(Path.Combine(TestContext.CurrentContext.TestDirectory, "Jit", "Corpus", "corpus.ptx"));

    public KernelProgram Program(string kernel)
    {
        lock (_programs)
        {
            if (!_programs.TryGetValue(kernel, out var program))
            {
                program = KernelProgram.Create(module, kernel);
                _programs.Add(kernel, program);
            }

            return program;
        }
    }

    /// <summary>Launches once. Arguments are ulong addresses, int, uint, long, float, double, or a structure's bytes.</summary>
    public string Launch(Way way, HarnessMemory memory, string kernel, Dim3 grid, Dim3 block, int dynamicShared, params object[] arguments)
    {
        var variables = new Dictionary<string, ulong>(StringComparer.Ordinal);
        foreach (var variable in module.Variables)
        {
            variables[variable.Name] = memory.Allocate(Math.Max(1, variable.Bytes));
        }

        foreach (var variable in module.Variables)
        {
            unsafe
            {
                variable.WriteInitialValue(new Span<byte>((void*)variables[variable.Name], (int)variable.Bytes), variables);
            }
        }

        var buffer = new List<byte>();
        foreach (var argument in arguments)
        {
            var bytes = argument switch
            {
                ulong value => BitConverter.GetBytes(value),
                int value => BitConverter.GetBytes(value),
                uint value => BitConverter.GetBytes(value),
                long value => BitConverter.GetBytes(value),
                float value => BitConverter.GetBytes(value),
                double value => BitConverter.GetBytes(value),
                byte[] value => value,
                _ => throw new ArgumentException($"{argument.GetType().Name} is no kernel argument", nameof(arguments)),
            };
            while (buffer.Count % Math.Min(8, bytes.Length) != 0)
            {
                buffer.Add(0);
            }

            buffer.AddRange(bytes);
        }

        var printed = new System.Text.StringBuilder();
        Program(kernel).Run(new KernelLaunch
        {
            Grid = grid,
            Block = block,
            DynamicSharedMemory = dynamicShared,
            Parameters = buffer.ToArray(),
            Memory = memory,
            Variables = variables,
            Method = way.Method,
            OrderSeed = way.Seed,
            Workers = way.Threads > 1 ? Two : null,
            Properties = Properties,
            Print = text =>
            {
                lock (printed)
                {
                    printed.Append(text);
                }
            },
        });
        return printed.ToString();
    }

    /// <summary>Runs in all ways with the same inputs; the outputs must be the same bits and are given back once.</summary>
    public byte[] RunAllWays(string kernel, Dim3 grid, Dim3 block, int outputBytes, Func<HarnessMemory, ulong, object[]> arguments, int dynamicShared = 0)
    {
        byte[]? first = null;
        foreach (var way in Way.All)
        {
            using var memory = new HarnessMemory();
            var output = memory.Allocate(outputBytes);
            Launch(way, memory, kernel, grid, block, dynamicShared, arguments(memory, output));
            var bytes = HarnessMemory.Read<byte>(output, outputBytes);
            first ??= bytes;
            Assert.That(bytes.AsSpan().SequenceEqual(first), Is.True, () => $"{kernel}, {way}: differs from the general method at byte {bytes.AsSpan().CommonPrefixLength(first)}");
        }

        return first!;
    }

    public T[] RunAllWays<T>(string kernel, Dim3 grid, Dim3 block, int outputs, Func<HarnessMemory, ulong, object[]> arguments, int dynamicShared = 0)
        where T : unmanaged
        => MemoryMarshal.Cast<byte, T>(RunAllWays(kernel, grid, block, outputs * Marshal.SizeOf<T>(), arguments, dynamicShared)).ToArray();
}

/// <summary>Repeatable test inputs without a random generator.</summary>
internal static class Inputs
{
    public static ulong Bits(ulong index) => BlockQueue.Mix(index * 0x9E3779B97F4A7C15UL);

    public static int[] Integers(int count, int bound) => [.. Enumerable.Range(0, count).Select(i => (int)(Bits((ulong)i) % (ulong)bound))];

    public static int[] AnyIntegers(int count, ulong start) => [.. Enumerable.Range(0, count).Select(i => (int)Bits((ulong)i + start))];

    public static float[] Floats(int count, double low, double high)
        => [.. Enumerable.Range(0, count).Select(i => (float)(low + ((high - low) * (Bits((ulong)i) >> 11) / 9007199254740992.0)))];
}
