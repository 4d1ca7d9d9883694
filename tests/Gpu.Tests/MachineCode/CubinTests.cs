// The reader of machine code: what it reads is what the assembler says, and what is damaged is refused in one way.
using System.Buffers.Binary;
using System.Text;

namespace FashionFlow.Gpu.Tests.MachineCode;

public sealed class CubinTests
{
    // One entry of each kind: shared memory and a barrier, a local array, registers that do not fit, and nothing special. The array
    // must be local, since it is indexed by what the thread reads.
    private const string Kernels = """
        extern "C" __global__ void __launch_bounds__(96, 2) shared_f32(float* x, int n)
        {
            __shared__ float values[96];
            values[threadIdx.x] = x[threadIdx.x];
            __syncthreads();
            x[threadIdx.x] = values[95 - threadIdx.x];
        }
        extern "C" __global__ void __launch_bounds__(64) local_f32(float* x, const int* at)
        {
            float values[20];
            for (int i = 0; i < 20; ++i) values[i] = x[i];
            for (int i = 0; i < 20; ++i) values[at[i]] += x[at[i] + i];
            x[threadIdx.x] = values[at[threadIdx.x]];
        }
        extern "C" __global__ void __launch_bounds__(1024) spilled_f64(const double* x, double* y)
        {
            double values[48];
            #pragma unroll
            for (int i = 0; i < 48; ++i) values[i] = x[i * 1024 + threadIdx.x];
            __syncthreads();
            #pragma unroll
            for (int i = 0; i < 48; ++i) y[i * 1024 + threadIdx.x] = values[i] * values[47 - i] + values[(i + 7) % 48];
        }
        extern "C" __global__ void plain_u32(unsigned char a, double b, unsigned* x) { *x = (unsigned)b + a; }
        """;

    private static readonly Lazy<(byte[] Cubin, string Log)> s_compiled = new(() => Compile(80));

    [OneTimeSetUp]
    public static void Needs_nvrtc() => Assert.That(Nvrtc.IsAvailable, Is.True, $"./test installs NVRTC: {Nvrtc.MissingReason}");

    [TestCase(70)]
    [TestCase(75)]
    [TestCase(80)]
    [TestCase(86)]
    [TestCase(89)]
    [TestCase(90)]
    public void What_is_read_is_what_the_assembler_says(int architecture)
    {
        var (image, log) = Compile(architecture);
        var cubin = Cubin.Read(image);
        var said = AssemblerLog.Read(log);
        Assert.That(cubin.Architecture, Is.EqualTo(architecture));
        Assert.That(cubin.Entries.Select(e => e.Name), Is.EquivalentTo(new[] { "shared_f32", "local_f32", "spilled_f64", "plain_u32" }));
        Assert.That(said.Keys, Is.EquivalentTo(cubin.Entries.Select(e => e.Name)), "NVRTC honours the option");
        foreach (var entry in cubin.Entries)
        {
            AssertAgree(entry, said[entry.Name]);
        }

        var entries = cubin.Entries.ToDictionary(e => e.Name, StringComparer.Ordinal);
        using (Assert.EnterMultipleScope())
        {
            Assert.That(entries["shared_f32"].SharedMemory, Is.EqualTo(96 * sizeof(float)));
            Assert.That(entries.Values.Select(e => (e.Name, e.Barriers)).Where(e => e.Barriers > 0), Is.EquivalentTo(new[] { ("shared_f32", 1), ("spilled_f64", 1) }));
            Assert.That(entries["local_f32"].LocalMemory, Is.EqualTo(20 * sizeof(float)));
            Assert.That(said["local_f32"].SpillStores, Is.Zero, "an array is no spill");
            Assert.That(entries["spilled_f64"].Registers, Is.LessThanOrEqualTo(64), "65536 registers over 1024 threads");
            Assert.That(said["spilled_f64"].SpillStores, Is.Positive);
            Assert.That(entries["spilled_f64"].LocalMemory, Is.Positive);
            Assert.That(entries["plain_u32"].ParameterBytes, Is.EqualTo(24), "1, 8 and 8 bytes, aligned");
            Assert.That(entries["shared_f32"].MaxThreads, Is.EqualTo(new Dim3(96)));
            Assert.That(entries["plain_u32"].MaxThreads, Is.Null);
        }
    }

    [Test]
    public void What_is_no_cubin_is_refused_by_what_it_is()
    {
        var cubin = s_compiled.Value.Cubin;
        using (Assert.EnterMultipleScope())
        {
            Assert.That(Problem([]), Is.EqualTo("this is no ELF file"));
            Assert.That(Problem(Encoding.ASCII.GetBytes(".version 7.8\n.target sm_80\n")), Is.EqualTo("this is no ELF file"));
            Assert.That(Problem(cubin[..40]), Is.EqualTo("the file ends within its header, after 40 bytes"));
            Assert.That(Problem(With(cubin, 4, 1)), Does.Contain("64-bit"));
            Assert.That(Problem(With(cubin, 5, 2)), Does.Contain("little-endian"));
            Assert.That(Problem(With(cubin, 18, 62)), Is.EqualTo("the file is for machine 62, not for CUDA (190)"));
            Assert.That(Problem(With(cubin, 8, 8)), Does.Contain("version 8 of CUDA's ABI"));
            Assert.That(Problem(File.ReadAllBytes("/proc/self/exe")), Does.Contain("machine"), "this process's own program");
        }
    }

    [Test]
    public void A_cubin_that_contradicts_itself_is_refused()
    {
        var cubin = (byte[])s_compiled.Value.Cubin.Clone();
        // EIATTR_REGCOUNT of the first entry: form 4, code 0x2f, 8 bytes: symbol, registers.
        var at = cubin.AsSpan().IndexOf((ReadOnlySpan<byte>)[0x04, 0x2f, 0x08, 0x00]);
        cubin[at + 8]++;
        Assert.That(Problem(cubin), Does.Match(@"^entry \w+ takes \d+ registers by section .nv.info, \d+ by .text.\w+$"));
    }

    [Test]
    public void A_truncated_cubin_is_refused_at_every_length()
    {
        var cubin = s_compiled.Value.Cubin;
        // The section headers are near the end, so nearly every cut loses some of them.
        for (var length = 0; length < cubin.Length; length += 1 + (length / 512))
        {
            var sectionsEnd = BinaryPrimitives.ReadInt64LittleEndian(cubin.AsSpan(40)) + (64 * cubin[60]);
            Assert.That(() => Cubin.Read(cubin.AsMemory(0, length)), length < sectionsEnd ? Throws.InstanceOf<CubinException>() : Throws.Nothing, $"{length} bytes");
        }
    }

    [Test]
    public void A_damaged_cubin_is_read_or_refused_but_never_anything_else()
    {
        var cubin = s_compiled.Value.Cubin;
        var refused = 0;
        for (var i = 0; i < 3000; i++)
        {
            // Positions and values from a multiplicative generator: the same in every run.
            var damaged = (byte[])cubin.Clone();
            var state = (ulong)(i + 1) * 0x9E3779B97F4A7C15;
            for (var change = 0; change <= i % 3; change++)
            {
                state = (state ^ (state >> 29)) * 0xBF58476D1CE4E5B9;
                // Half of the changes go where structure is: the header, and the table of sections.
                var sections = (int)BinaryPrimitives.ReadInt64LittleEndian(cubin.AsSpan(40));
                var where = (state & 3) switch { 0 => (0, 64), 1 => (sections, 64 * cubin[60]), _ => (0, cubin.Length) };
                damaged[where.Item1 + (int)((state >> 8) % (ulong)where.Item2)] = (byte)(state >> 48);
            }

            try
            {
                _ = Cubin.Read(damaged);
            }
            catch (CubinException)
            {
                refused++;
            }
        }

        Assert.That(refused, Is.GreaterThan(500), "the damage reaches what is read");
    }

    [Test]
    public void The_assemblers_log_is_read_with_calls_and_without_banks()
    {
        const string Log = """
            ptxas info    : 316 bytes gmem
            ptxas info    : Compiling entry function 'b_f64' for 'sm_80'
            ptxas info    : Function properties for b_f64
            ptxas         .     48 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
            ptxas info    : Used 32 registers, 384 bytes smem, 376 bytes cmem[0], 144 bytes cmem[2]
            ptxas info    : Function properties for __internal_trig_reduction_slowpathd
            ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
            ptxas info    : Compiling entry function 'a_f32' for 'sm_90'
            ptxas info    : Function properties for helper
            ptxas         .     8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
            ptxas info    : Function properties for a_f32
            ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
            ptxas info    : Used 10 registers, used 1 barriers
            ptxas info    : Compiling entry function 'c_f32' for 'sm_90'
            ptxas info    : Used 10 registers
            """;
        var reports = AssemblerLog.Read(Log);
        Assert.That(reports.Keys, Is.EquivalentTo(new[] { "b_f64", "a_f32" }), "an entry without its frame is left out");
        using (Assert.EnterMultipleScope())
        {
            var b = reports["b_f64"];
            Assert.That((b.Registers, b.SharedMemory, b.StackFrame, b.SpillStores, b.SpillLoads), Is.EqualTo((32, 384, 48, 4, 8)));
            Assert.That(b.ConstantBanks, Is.EquivalentTo(new Dictionary<int, int> { [0] = 376, [2] = 144 }));
            var a = reports["a_f32"];
            Assert.That((a.Registers, a.SharedMemory, a.StackFrame, a.ConstantBanks.Count), Is.EqualTo((10, 0, 0, 0)));
        }
    }

    /// <summary>Holds an entry to what the assembler says about it. On sm_90 that no longer mentions constant memory.</summary>
    internal static void AssertAgree(MachineCodeEntry entry, AssemblerReport said)
    {
        Assert.That(
            (entry.Registers, entry.SharedMemory, entry.LocalMemory), Is.EqualTo((said.Registers, said.SharedMemory, said.StackFrame)),
            $"{entry.Name}: registers, shared and local memory");
        Assert.That(said.ConstantBanks.Where(bank => entry.ConstantBanks.GetValueOrDefault(bank.Key) != bank.Value), Is.Empty, $"{entry.Name}: banks of constant memory");
    }

    private static (byte[] Cubin, string Log) Compile(int architecture)
    {
        var cubin = Nvrtc.Compile(new("kinds.cu", Kernels), [], [.. KernelSource.OptionsFor($"sm_{architecture}"), AssemblerLog.Option], out var log);
        return (cubin, log);
    }

    private static byte[] With(byte[] image, int at, byte value)
    {
        var changed = (byte[])image.Clone();
        changed[at] = value;
        return changed;
    }

    private static string Problem(byte[] image) => Assert.Throws<CubinException>(() => Cubin.Read(image))!.Message;
}
