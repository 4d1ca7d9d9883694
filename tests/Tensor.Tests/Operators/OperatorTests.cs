// The driver of the operator table: what every operator must satisfy, checked for each case, element type and capability.
using FashionFlow.Gpu;
using FashionFlow.Gpu.Kernels;
using FashionFlow.Tests;
using FashionFlow.VirtualGpu;

namespace FashionFlow.Tensors.Tests.Operators;

public class OperatorTests
{
    private static (OperatorCase? Case, DType Rounding, HostTensor[] Inputs, HostTensor? Result) s_lastOracle = (null, default, [], null);

    private static IEnumerable<TestCaseData> Table =>
        from @case in OperatorTable.Cases
        from type in @case.Types
        from device in TestDevice.AtHand
        where IsFor(device, type)
        select Sorted(new TestCaseData(@case, type, device).SetArgDisplayNames(@case.Name, $"{type}", $"{device}"), @case);

    private static IEnumerable<TestCaseData> LongTable =>
        from @case in OperatorTable.Cases
        from type in @case.Types
        select new TestCaseData(@case, type).SetArgDisplayNames(@case.Name, $"{type}");

    [TestCaseSource(nameof(Table))]
    public void Operator_holds_to_its_oracle_and_gives_the_same_bits_however_it_is_run(OperatorCase @case, DType type, TestDevice device)
    {
        var (inputs, oracle) = OracleOf(@case, type);
        var reference = RunOn(device, @case, inputs, type);
        @case.Tolerance.Check(inputs, oracle, reference, @case.ResultType ?? type);

        using (Assert.EnterMultipleScope())
        {
            // A GPU's library chooses its algorithm by the alignment too, and may sum in another order.
            if (device.Capability is not null || @case.Backend != MatmulBackend.Library || NamedDevice.IsStandIn)
            {
                AssertSameBits(reference, RunOn(device, @case, inputs, type, misaligned: true), "on inputs not aligned to 16 bytes");
            }

            if (device.Capability is not null)
            {
                AssertSameBits(reference, RunOn(device with { Method = ExecutionMethod.General }, @case, inputs, type), "by the general method");
                AssertSameBits(reference, RunOn(device with { OrderSeed = 1 }, @case, inputs, type), "with blocks and warps in another order");
            }
        }
    }

    // The rest of what ./test samples: every other capability that the virtual device knows, and more orders of blocks and warps.
    [Category("Long")]
    [TestCaseSource(nameof(LongTable))]
    public void Operator_gives_the_same_bits_on_every_capability_and_in_many_orders(OperatorCase @case, DType type)
    {
        var (inputs, _) = OracleOf(@case, type);
        var device = new TestDevice(80);
        var reference = RunOn(device, @case, inputs, type);
        using (Assert.EnterMultipleScope())
        {
            foreach (var capability in new[] { 75, 86, 89, 90 })
            {
                AssertSameBits(reference, RunOn(new TestDevice(capability), @case, inputs, type), $"as sm_{capability}");
            }

            for (ulong seed = 2; seed < 10; seed++)
            {
                AssertSameBits(reference, RunOn(device with { OrderSeed = seed }, @case, inputs, type), $"in the order of seed {seed}");
                AssertSameBits(
                    reference,
                    RunOn(device with { OrderSeed = seed, Method = ExecutionMethod.General }, @case, inputs, type),
                    $"by the general method in the order of seed {seed}");
            }
        }
    }

    [Test]
    public void Every_kernel_is_covered_by_a_case()
    {
        var covered = OperatorTable.Cases.SelectMany(@case => @case.Types.SelectMany(type => KernelNames(@case, type))).ToHashSet(StringComparer.Ordinal);
        var missing = KernelCatalog.Entries.Where(entry => !covered.Contains(entry.Name));
        Assert.That(missing, Is.Empty, "kernels that no case of the operator table names");
    }

    [Test]
    public void Names_of_cases_are_unique()
        => Assert.That(OperatorTable.Cases.Select(@case => @case.Name), Is.Unique);

    // A half instance is a float instance with other loads and stores, and bfloat16 takes no instruction that only some capabilities have:
    // the float instances stand for the other capability.
    private static bool IsFor(TestDevice device, DType type) => (device.Capability, type) is not ((70, DType.Float16) or (80, DType.BFloat16));

    // What a device's library does is for each device to show; kernels are the same PTX on all of them, and a few stand for the rest.
    private static TestCaseData Sorted(TestCaseData data, OperatorCase @case)
        => @case.Kernels.Length == 0 || @case.Kernels is ["finish_rows"] ? data.SetCategory("EveryDevice") : data;

    /// <summary>Inputs and oracle of a case. The cases' runs follow one another, so remembering the last one saves nearly all the work.</summary>
    private static (HostTensor[] Inputs, HostTensor Oracle) OracleOf(OperatorCase @case, DType type)
    {
        var rounding = type.IsHalf() ? type : DType.Float32;
        if (!ReferenceEquals(s_lastOracle.Case, @case) || s_lastOracle.Rounding != rounding)
        {
            HostTensor[] inputs = [.. @case.Inputs.Select((operand, i) => operand.Draw(@case.Name, i, @case.TypeOf(i, rounding)))];
            s_lastOracle = (@case, rounding, inputs, @case.Oracle(inputs));
        }

        return (s_lastOracle.Inputs, s_lastOracle.Result!);
    }

    private static HostTensor RunOn(TestDevice device, OperatorCase @case, HostTensor[] inputs, DType type, bool misaligned = false)
    {
        HostTensor? result = null;
        TestDevices.Run(device, (context, launched) =>
        {
            context.Backend = @case.Backend;
            Tensor[] tensors = [.. inputs.Select((input, i) => Upload(context, input, @case.TypeOf(i, type), misaligned))];
            var before = tensors.Length;
            Assert.That(context.LiveTensors, Is.EqualTo(before));

            using (var output = Run(@case, new OperatorArguments(context, type, tensors)))
            {
                Assert.That(output.DType, Is.EqualTo(@case.ResultType ?? type), "the result's element type");
                Assert.That(context.LiveTensors, Is.EqualTo(before + 1), "tensors alive besides inputs and result");
                result = Download(output);
            }

            Assert.That(KernelNames(@case, type), Is.SubsetOf(launched), "kernels that the case names and did not launch");
            for (var i = 0; i < tensors.Length; i++)
            {
                if (!@case.WritesInputs)
                {
                    AssertSameBits(inputs[i], Download(tensors[i]), $"in input {i}, which the operator must not write,");
                }

                tensors[i].Dispose();
            }
        });
        return result!;
    }

    private static Tensor Run(OperatorCase @case, OperatorArguments arguments)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(@case.Run(arguments));
    }

    /// <summary>The entries that a case names, for an element type.</summary>
    private static IEnumerable<string> KernelNames(OperatorCase @case, DType type)
    {
        string[] suffixes = type switch
        {
            DType.Float64 => ["", "_f64"],
            DType.Float16 => ["", "_f16", "_u16"],
            DType.BFloat16 => ["", "_bf16", "_u16"],
            _ => ["", "_f32"],
        };
        return @case.Kernels.Select(name => suffixes
            .Select(suffix => name + suffix)
            .FirstOrDefault(full => KernelCatalog.Entries.Any(entry => entry.Name == full), name + suffixes[1]));
    }

    /// <summary>An input on the device; one element into its memory if it is to be misaligned. Its values are numbers of the type.</summary>
    private static Tensor Upload(DeviceContext context, HostTensor input, DType type, bool misaligned)
    {
        double[] data = misaligned ? [double.NaN, .. input.Data] : input.Data;
        using var scope = TensorScope.Begin();
        Shape shape = [data.Length];
        var tensor = type switch
        {
            DType.Float32 => Tensor.FromArray<float>(context, Array.ConvertAll(data, value => (float)value), shape),
            DType.Float64 => Tensor.FromArray<double>(context, data, shape),
            DType.Float16 => Tensor.FromArray<Half>(context, Array.ConvertAll(data, value => (Half)value), shape),
            DType.BFloat16 => Tensor.FromArray<BFloat16>(context, Array.ConvertAll(data, value => (BFloat16)(float)value), shape),
            DType.Int32 => Tensor.FromArray<int>(context, Array.ConvertAll(data, value => double.IsNaN(value) ? 0 : (int)value), shape),
            DType.Int64 => Tensor.FromArray<long>(context, Array.ConvertAll(data, value => double.IsNaN(value) ? 0 : (long)value), shape),
            DType.UInt8 => Tensor.FromArray<byte>(context, Array.ConvertAll(data, value => double.IsNaN(value) ? (byte)0 : (byte)value), shape),
            _ => throw new NotSupportedException($"inputs of type {type}"),
        };
        var offset = misaligned ? 1 : 0;
        return TensorScope.Detach(tensor.Narrow(offset, data.Length - offset).Reshape(input.Shape));
    }

    private static HostTensor Download(Tensor tensor) => new(tensor.Shape, tensor.DType switch
    {
        DType.Float32 => Array.ConvertAll(tensor.ToArray<float>(), value => (double)value),
        DType.Float64 => tensor.ToArray<double>(),
        DType.Float16 => Array.ConvertAll(tensor.ToArray<Half>(), value => (double)value),
        DType.BFloat16 => Array.ConvertAll(tensor.ToArray<BFloat16>(), value => (double)(float)value),
        DType.Int32 => Array.ConvertAll(tensor.ToArray<int>(), value => (double)value),
        DType.UInt32 => Array.ConvertAll(tensor.ToArray<uint>(), value => (double)value),
        DType.Int64 => Array.ConvertAll(tensor.ToArray<long>(), value => (double)value),
        DType.UInt8 => Array.ConvertAll(tensor.ToArray<byte>(), value => (double)value),
        _ => throw new NotSupportedException($"results of type {tensor.DType}"),
    });

    /// <summary>Compares bits, so that -0 differs from 0; all NaNs count as one.</summary>
    private static void AssertSameBits(HostTensor expected, HostTensor actual, string how)
    {
        Assert.That(actual.Shape, Is.EqualTo(expected.Shape), how);
        for (var i = 0; i < expected.Data.Length; i++)
        {
            var (a, b) = (expected.Data[i], actual.Data[i]);
            if (BitConverter.DoubleToInt64Bits(a) != BitConverter.DoubleToInt64Bits(b) && !(double.IsNaN(a) && double.IsNaN(b)))
            {
                Assert.Fail($"element {i} of {expected.Shape} {how} is {b:R}, not {a:R}");
            }
        }
    }
}
