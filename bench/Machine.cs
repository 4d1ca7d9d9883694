// What the numbers were taken on, without naming the host.
namespace FashionFlow.Bench;

internal static class Machine
{
    public static string Processor
    {
        get
        {
            var lines = File.ReadAllLines("/proc/cpuinfo");
            var name = lines.FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim() ?? "unknown";
            var flags = lines.FirstOrDefault(l => l.StartsWith("flags", StringComparison.Ordinal)) ?? string.Empty;
            var vectors = flags.Contains(" avx512f", StringComparison.Ordinal) ? "AVX-512" : flags.Contains(" avx2", StringComparison.Ordinal) ? "AVX2" : "no AVX2";
            return $"{name} ({Environment.ProcessorCount} cores, {vectors})";
        }
    }
}
