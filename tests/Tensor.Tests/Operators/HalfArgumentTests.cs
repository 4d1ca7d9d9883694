// What operators say to half types: those without kernels for them refuse with one line, those with kernels mix none.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests.Operators;

public class HalfArgumentTests
{
    private delegate Tensor Zeros(params int[] lengths);

    private static IEnumerable<TestCaseData> WithoutHalfKernels =>
    [
        Refusal("SiluBackward", Z => Ops.SiluBackward(Z(4), Z(4))),
        Refusal("ClampBackward", Z => Ops.ClampBackward(Z(4), Z(4), 0, 1)),
        Refusal("Accumulate", Z => Ops.Accumulate(Z(4), Z(4))),
        Refusal("MeanTokensBackward", Z => Ops.MeanTokensBackward(Z(1, 4), 2)),
        Refusal("NormalizeRowsBackward", Z => Ops.NormalizeRowsBackward(Z(1, 4), Z(1, 4))),
        Refusal("GegluBackward", Z => Ops.GegluBackward(Z(2, 4), Z(2, 2))),
        Refusal("GroupNormBackward", Z => Ops.GroupNormBackward(Z(1, 2, 4), 1, Z(4), Z(4), null, false, Z(1, 1, 2), Z(1, 2, 4))),
        Refusal("LayerNormBackward", Z => Ops.LayerNormBackward(Z(2, 4), Z(4), 1e-5, Z(2, 4))),
        Refusal("ChanLayerNormBackward", Z => Ops.ChanLayerNormBackward(Z(1, 1, 1, 1, 4), Z(4), 1e-3, true, Z(1, 1, 1, 1, 4))),
        Refusal("TokenShiftBackward", Z => Ops.TokenShiftBackward(Z(1, 1, 1, 1, 4))),
        Refusal("LinearBackwardInput", Z => Ops.LinearBackwardInput(Z(2, 4), Z(4, 3))),
        Refusal("LinearBackwardWeight", Z => Ops.LinearBackwardWeight(Z(2, 3), Z(2, 4))),
        Refusal("MatMulBackwardA", Z => Ops.MatMulBackwardA(Z(2, 3), Z(4, 3), [2, 4])),
        Refusal("MatMulBackwardB", Z => Ops.MatMulBackwardB(Z(2, 4), Z(2, 3), [4, 3])),
        Refusal("Conv2dBackwardInput", Z => Ops.Conv2dBackwardInput(Z(1, 2, 2, 3), Z(3, 1, 1, 4), [1, 2, 2, 4])),
        Refusal("Conv2dBackwardWeight", Z => Ops.Conv2dBackwardWeight(Z(1, 2, 2, 4), Z(1, 2, 2, 3), [3, 1, 1, 4])),
        Refusal("AttentionBackward", Z => Ops.AttentionBackward(Z(1, 2, 4), Z(1, 3, 4), Z(1, 3, 4), Z(1, 2, 4), 1, 1)),
        Refusal("AttentionKvBackward", Z => Ops.AttentionKvBackward(Z(1, 2, 4), Z(1, 3, 8), Z(1, 2, 4), 1, 1)),
        Refusal("PositionBiasBackward", Z => Ops.PositionBiasBackward(Z(1, 2, 2), 2)),
        Refusal("PadChannels", Z => Ops.PadChannels(Z(1, 4), 0, 8)),
        Refusal("UpsampleNearest2xBackward", Z => Ops.UpsampleNearest2xBackward(Z(1, 2, 2, 4))),
        Refusal("MaxPool2x2Backward", Z => Ops.MaxPool2x2Backward(Z(1, 2, 2, 4), Z(1, 1, 1, 4))),
        Refusal("PosteriorSampleBackward", Z => Ops.PosteriorSampleBackward(Z(1, 4), Z(1, 2), Z(1, 2), 1)),
        Refusal("SumRows", Z => Ops.SumRows(Z(2, 4), [4])),
        Refusal("Sum", Z => Ops.Sum(Z(4))),
        Refusal("MeanSquaredError", Z => Ops.MeanSquaredError(Z(4), Z(4))),
        Refusal("KlDivergence", Z => Ops.KlDivergence(Z(1, 4))),
        Refusal("SumOfSquares", Z => Ops.SumOfSquares(Z(4), Z(1))),
        Refusal("Randn", Z => Ops.Randn(Z(1).Context, [4], 0, "test", type: Z(1).DType)),
        Refusal("TimestepEmbedding", Z => Ops.TimestepEmbedding(Z(2), 4)),
        Refusal("PutFirstFrame", Z => Ops.PutFirstFrame(Z(1, 2, 1, 1, 4), Z(1, 1, 1, 4))),
        Refusal("DdpmStep", Z => Ops.DdpmStep(Z(1, 2, 1, 1, 4), Z(1, 2, 1, 1, 4), Z(1, 2, 1, 1, 4), Z(1), new(Z(3), Z(3), Z(3), Z(3)))),
        Refusal("DdimStep", Z => Ops.DdimStep(Z(1, 2, 1, 1, 4), Z(1, 2, 1, 1, 4), null, Z(1), Z(1), Z(3), 0)),
        Refusal("AddNoise", Z => Ops.AddNoise(Z(1, 2, 1, 1, 4), Z(1, 2, 1, 1, 4), Z(1), new(Z(3), Z(3)))),
    ];

    [TestCaseSource(nameof(WithoutHalfKernels))]
    public void Operators_without_kernels_of_half_types_refuse_them(string operation, Action<Func<int[], Tensor>> run)
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            foreach (var type in (DType[])[DType.Float16, DType.BFloat16])
            {
                var error = Assert.Throws<ArgumentException>(() => run(lengths => Tensor.Zeros(context, lengths, type)));
                Assert.That(error!.Message, Is.EqualTo($"{operation}: no kernel for elements of type {type}; Float32 and Float64 are supported"));
            }
        });

    [Test]
    public void Operators_with_kernels_of_half_types_say_which_types_they_take_and_mix_none()
        => TestDevices.Run(context =>
        {
            using var scope = TensorScope.Begin();
            Tensor Z(DType type, params int[] lengths) => Tensor.Zeros(context, lengths, type);
            const string Takes = "Float32, Float64, Float16 and BFloat16 are supported";
            using (Assert.EnterMultipleScope())
            {
                Assert.That(() => Ops.Geglu(Z(DType.Int32, 2, 4)), Refused($"Geglu: no kernel for elements of type Int32; {Takes}"));
                Assert.That(() => Ops.ToRgb8(Z(DType.UInt8, 4)), Refused($"ToRgb8: no kernel for elements of type UInt8; {Takes}"));
                Assert.That(() => Ops.TokenShift(Z(DType.Int64, 1, 1, 1, 1, 4)), Refused($"TokenShift: no kernel for elements of type Int64; {Takes}"));
                Assert.That(
                    () => Ops.Add(Z(DType.Float16, 4), Z(DType.BFloat16, 4)), Refused("Add: operands of different element types, Float16 [4] and BFloat16 [4]"));
                Assert.That(
                    () => Ops.Linear(Z(DType.Float16, 2, 4), Z(DType.Float16, 3, 4), Z(DType.Float32, 3)),
                    Refused("Linear: operands of different element types, Float16 [2, 4] and Float32 [3]"));
                Assert.That(
                    () => Ops.GroupNormApply(Z(DType.Float16, 1, 2, 4), 1, Z(DType.Float16, 1, 2, 4)),
                    Refused("GroupNormApply: coefficients of Float16 are Float32, not Float16"));
                Assert.That(
                    () => Ops.Cast(Z(DType.Float64, 4), DType.Float16),
                    Refused("Cast: no kernel from Float64 to Float16; a cast to Float32 before it would round a second time"));
            }
        });

    private static NUnit.Framework.Constraints.IResolveConstraint Refused(string message)
        => Throws.TypeOf<ArgumentException>().With.Message.EqualTo(message);

    private static TestCaseData Refusal(string operation, Action<Zeros> run)
        => new TestCaseData(operation, (Action<Func<int[], Tensor>>)(zeros => run(lengths => zeros(lengths)))).SetArgDisplayNames(operation);
}
