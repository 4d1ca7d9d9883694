// A loaded module: PTX text parsed for this device, its variables in device memory, its entries prepared when asked for.
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Jit;
using FashionFlow.VirtualGpu.Ptx;

namespace FashionFlow.VirtualGpu;

/// <summary>A module of PTX text on a <see cref="VirtualDevice"/>.</summary>
public sealed partial class VirtualModule : GpuModule
{
    private readonly VirtualDevice _device;
    private readonly PtxModule _ptx;
    private readonly Dictionary<string, ulong> _addresses = new(StringComparer.Ordinal);
    private readonly Dictionary<string, VirtualFunction> _functions = new(StringComparer.Ordinal);
    private bool _disposed;

    internal VirtualModule(VirtualDevice device, ReadOnlySpan<byte> image)
    {
        _device = device;
        var text = ReadText(image);
        CheckTarget(text, device.Properties.ComputeCapability);
        _ptx = PtxModule.Parse(text);
        try
        {
            foreach (var variable in _ptx.Variables)
            {
                var label = $"variable '{variable.Name}'";
                _addresses.Add(variable.Name, device.Memory.Allocate(Math.Max(1, variable.Bytes), label, variable.Alignment));
            }

            unsafe
            {
                foreach (var variable in _ptx.Variables)
                {
                    variable.WriteInitialValue(new Span<byte>((void*)_addresses[variable.Name], checked((int)variable.Bytes)), _addresses);
                }
            }
        }
        catch
        {
            FreeVariables();
            throw;
        }
    }

    /// <inheritdoc/>
    public override GpuDevice Device => _device;

    internal VirtualDevice Owner => _device;

    internal IReadOnlyDictionary<string, ulong> Addresses => _addresses;

    /// <inheritdoc/>
    public override GpuFunction GetFunction(string name)
    {
        ThrowIfUnusable();
        lock (_functions)
        {
            if (!_functions.TryGetValue(name, out var function))
            {
                if (!_ptx.Entries.Contains(name, StringComparer.Ordinal))
                {
                    var entries = _ptx.Entries.Count == 0 ? "none" : string.Join(", ", _ptx.Entries.Take(8)) + (_ptx.Entries.Count > 8 ? ", ..." : string.Empty);
                    throw new GpuException(CudaResult.CUDA_ERROR_NOT_FOUND, $"the module has no entry named '{name}'; its entries: {entries}");
                }

                function = new VirtualFunction(this, KernelProgram.Create(_ptx, name));
                _functions.Add(name, function);
            }

            return function;
        }
    }

    /// <inheritdoc/>
    public override DevicePointer<byte> GetGlobal(string name, out long bytes)
    {
        ThrowIfUnusable();
        foreach (var variable in _ptx.Variables)
        {
            if (string.Equals(variable.Name, name, StringComparison.Ordinal))
            {
                bytes = variable.Bytes;
                return new DevicePointer<byte>(_addresses[name]);
            }
        }

        throw new GpuException(CudaResult.CUDA_ERROR_NOT_FOUND, $"the module has no variable named '{name}'");
    }

    internal void ThrowIfUnusable()
    {
        _device.ThrowIfFailed();
        if (_disposed)
        {
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_HANDLE, "the module has been unloaded");
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (!_disposed)
        {
            _disposed = true;
            if (!_device.IsDisposed)
            {
                lock (_device.ExecutionLock)
                {
                    FreeVariables();
                }
            }
        }
    }

    // Text may end in a null byte, as C strings do. Machine code and fat binaries start with these numbers.
    private static string ReadText(ReadOnlySpan<byte> image)
    {
        if (image.StartsWith("\u007fELF"u8) || image.StartsWith((ReadOnlySpan<byte>)[0x50, 0xed, 0x55, 0xba]))
        {
            throw new GpuException(CudaResult.CUDA_ERROR_NO_BINARY_FOR_GPU, "the image is machine code; the virtual GPU runs PTX text alone");
        }

        var end = image.IndexOf((byte)0);
        var text = Encoding.UTF8.GetString(end < 0 ? image : image[..end]);
        return text.Contains(".version", StringComparison.Ordinal)
            ? text
            : throw new GpuException(CudaResult.CUDA_ERROR_INVALID_IMAGE, "the image is neither PTX text (it has no .version line) nor machine code");
    }

    // PTX for a lower capability runs on a higher one, except the architecture-specific targets (sm_90a).
    private static void CheckTarget(string text, ComputeCapability device)
    {
        var match = TargetLine().Match(text);
        if (!match.Success)
        {
            throw new GpuException(CudaResult.CUDA_ERROR_INVALID_PTX, "the PTX has no .target line");
        }

        var target = int.Parse(match.Groups["number"].ValueSpan, CultureInfo.InvariantCulture);
        if (target > device.Number || (match.Groups["specific"].Length > 0 && target != device.Number))
        {
            throw new GpuException(
                CudaResult.CUDA_ERROR_NO_BINARY_FOR_GPU,
                $"the PTX is for {match.Groups["name"].Value} and cannot run on {device}; compile it for compute_{device.Number} or lower");
        }
    }

    [GeneratedRegex(@"^\s*\.target\s+(?<name>sm_(?<number>\d+)(?<specific>[a-z]?))", RegexOptions.Multiline | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 10_000)]
    private static partial Regex TargetLine();

    private void FreeVariables()
    {
        foreach (var address in _addresses.Values)
        {
            _device.Memory.Free(address);
        }

        _addresses.Clear();
    }
}
