// What the process holds in memory, as Linux counts it: for a library that does not say itself.
using System.Globalization;
using System.Runtime.InteropServices;

namespace FashionFlow.Bench;

internal static partial class ProcessMemory
{
    /// <summary>Bytes resident now (VmRSS).</summary>
    public static long ResidentBytes => Read("VmRSS:");

    /// <summary>The most since <see cref="Reset"/> (VmHWM).</summary>
    public static long PeakBytes => Read("VmHWM:");

    /// <summary>Gives freed memory back to the system, so that what is taken next is seen, and starts a new measurement of the peak (proc(5), clear_refs).</summary>
    public static void Reset()
    {
        GC.Collect();
        _ = Trim(0);
        File.WriteAllText("/proc/self/clear_refs", "5");
    }

    private static long Read(string field)
    {
        var line = File.ReadLines("/proc/self/status").First(l => l.StartsWith(field, StringComparison.Ordinal));
        return long.Parse(line[field.Length..].Replace("kB", string.Empty, StringComparison.Ordinal), NumberStyles.Integer, CultureInfo.InvariantCulture) * 1024;
    }

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int Trim(nint pad);
}
