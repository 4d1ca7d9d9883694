// What kernels ask of the system: printf, failed assertions, clocks.
using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Jit;

internal static unsafe class SystemCalls
{
    private const int MaxText = 4096;

    public static void Execute(WarpContext* warp, BlockWorker worker, in WarpLanes lanes, WarpOp operation)
    {
        var call = (SystemCall)operation.Instruction.Opcode.Variant;
        if (call is SystemCall.Clock or SystemCall.ClockHigh)
        {
            // Ticks of about a nanosecond, as %globaltimer has and %clock of a GPU of 1 GHz would.
            var now = (long)(Stopwatch.GetTimestamp() * (1e9 / Stopwatch.Frequency));
            if (operation.Instruction.Results[0].Register!.IsWide)
            {
                lanes.Broadcast64(operation.Results[0], warp->Mask, now);
            }
            else
            {
                lanes.Broadcast32(operation.Results[0], warp->Mask, unchecked((int)(call == SystemCall.ClockHigh ? now >> 32 : now)));
            }

            return;
        }

        for (var bits = warp->Mask; bits != 0; bits &= bits - 1)
        {
            var lane = BitOperations.TrailingZeroCount(bits);
            if (call == SystemCall.Print)
            {
                var format = ReadText(warp, worker, lane, lanes.Get64(operation.Sources[0], lane));
                worker.Print(Format(warp, worker, lane, format, lanes.Get64(operation.Sources[1], lane)));
                if (operation.Results is [>= 0])
                {
                    lanes.Set32(operation.Results[0], lane, 0);
                }

                continue;
            }

            var message = ReadText(warp, worker, lane, lanes.Get64(operation.Sources[0], lane));
            var file = ReadText(warp, worker, lane, lanes.Get64(operation.Sources[1], lane));
            var function = ReadText(warp, worker, lane, lanes.Get64(operation.Sources[3], lane));
            throw new GpuException(
                CudaResult.CUDA_ERROR_ASSERT,
                $"{worker.DescribeThread(lane)} failed the assertion `{message}` in {file}:{lanes.Get32(operation.Sources[2], lane)}, function {function}");
        }
    }

    private static byte* Readable(WarpContext* warp, BlockWorker worker, int lane, long address, int size)
    {
        if ((worker.Memory.TryFind((ulong)address, out _, out var end) && (ulong)(address + size) <= end)
            || (address >= warp->SharedLow && address + size <= warp->SharedHigh)
            || (address >= warp->LocalLow && address + size <= warp->LocalHigh))
        {
            return (byte*)address;
        }

        throw new GpuException(
            CudaResult.CUDA_ERROR_ILLEGAL_ADDRESS,
            $"{worker.DescribeThread(lane)} gave the system {size} bytes at 0x{address:x}: {worker.Memory.Describe((ulong)address)}");
    }

    private static string ReadText(WarpContext* warp, BlockWorker worker, int lane, long address)
    {
        var bytes = new List<byte>();
        while (bytes.Count < MaxText)
        {
            var next = *Readable(warp, worker, lane, address + bytes.Count, 1);
            if (next == 0)
            {
                break;
            }

            bytes.Add(next);
        }

        return Encoding.UTF8.GetString(CollectionsMarshal.AsSpan(bytes));
    }

    // printf's conversions on the argument buffer that NVRTC lays out: each argument at its natural alignment, floats as double.
    private static string Format(WarpContext* warp, BlockWorker worker, int lane, string format, long arguments)
    {
        var text = new StringBuilder();
        long offset = 0;
        for (var i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                text.Append(format[i]);
                continue;
            }

            var start = i++;
            while (i < format.Length && format[i] is '-' or '+' or ' ' or '#' or '.' or '*' or >= '0' and <= '9')
            {
                i++;
            }

            var flags = format[(start + 1)..Math.Min(i, format.Length)];
            var isLong = false;
            while (i < format.Length && format[i] is 'l' or 'h' or 'z' or 'j' or 't')
            {
                isLong |= format[i] is 'l' or 'z' or 'j' or 't';
                i++;
            }

            if (i >= format.Length)
            {
                break;
            }

            var conversion = format[i];
            if (conversion == '%')
            {
                text.Append('%');
                continue;
            }

            var isWide = isLong || conversion is 'f' or 'F' or 'e' or 'E' or 'g' or 'G' or 'a' or 's' or 'p';
            var size = isWide ? 8 : 4;
            offset = (offset + size - 1) & -size;
            var place = Readable(warp, worker, lane, arguments + offset, size);
            offset += size;
            var bits = isWide ? *(long*)place : *(int*)place;
            var shown = conversion switch
            {
                'd' or 'i' => bits.ToString(CultureInfo.InvariantCulture),
                'u' => (isWide ? (ulong)bits : (uint)bits).ToString(CultureInfo.InvariantCulture),
                'x' => (isWide ? (ulong)bits : (uint)bits).ToString("x", CultureInfo.InvariantCulture),
                'X' => (isWide ? (ulong)bits : (uint)bits).ToString("X", CultureInfo.InvariantCulture),
                'o' => Convert.ToString(isWide ? bits : (uint)bits, 8),
                'c' => ((char)(bits & 0xFF)).ToString(),
                's' => ReadText(warp, worker, lane, bits),
                'p' => $"0x{bits:x}",
                _ => FormatDouble(BitConverter.Int64BitsToDouble(bits), conversion, flags),
            };
            text.Append(Pad(shown, flags));
        }

        return text.ToString();
    }

    private static string FormatDouble(double value, char conversion, string flags)
    {
        if (!double.IsFinite(value))
        {
            return double.IsNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
        }

        var dot = flags.IndexOf('.', StringComparison.Ordinal);
        var precision = dot >= 0 && int.TryParse(flags.AsSpan(dot + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var given) ? given : dot >= 0 ? 0 : 6;
        return conversion switch
        {
            'f' or 'F' => value.ToString($"F{precision}", CultureInfo.InvariantCulture),
            'e' or 'E' => value.ToString((precision == 0 ? "0" : "0." + new string('0', precision)) + conversion + "+00", CultureInfo.InvariantCulture),
            _ => value.ToString($"G{Math.Max(1, precision)}", CultureInfo.InvariantCulture),
        };
    }

    private static string Pad(string text, string flags)
    {
        var dot = flags.IndexOf('.', StringComparison.Ordinal);
        var head = dot >= 0 ? flags[..dot] : flags;
        if (head.Contains('+', StringComparison.Ordinal) && text.Length > 0 && text[0] is >= '0' and <= '9')
        {
            text = "+" + text;
        }

        var digits = head.TrimStart('-', '+', ' ', '#', '0');
        if (!int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var width))
        {
            return text;
        }

        return head.StartsWith('-') ? text.PadRight(width)
            : head.StartsWith('0') && text.Length > 0 && text[0] is '-' ? "-" + text[1..].PadLeft(width - 1, '0')
            : text.PadLeft(width, head.StartsWith('0') ? '0' : ' ');
    }
}
