// The table of gradients, checked; and that the table is complete.
using System.Reflection;
using FashionFlow.Autograd.Checking;

namespace FashionFlow.Autograd.Tests;

public sealed class GradCheckTests
{
    // Cases of what is no method of Functional.
    private static readonly string[] s_notFunctional = ["Narrow", "Reshape"];

    private static IEnumerable<TestCaseData> Table => GradCheckTable.Cases.Select(Named);

    private static IEnumerable<TestCaseData> LongTable =>
        from capability in (int[])[70, 90]
        from @case in GradCheckTable.Cases
        select new TestCaseData(@case, capability).SetArgDisplayNames($"{@case}", $"sm_{capability}");

    [TestCaseSource(nameof(Table))]
    public void Gradients_are_the_derivatives(GradCheckCase @case) => CheckDevices.Run(80, context =>
    {
        GradCheck.Assert(context, @case);
        GradCheck.Assert(context, @case, new() { Mode = GradCheckMode.Fast, Seed = 1 });
    });

    [Category("Long")]
    [TestCaseSource(nameof(LongTable))]
    public void Gradients_are_the_derivatives_on_every_architecture(GradCheckCase @case, int capability) => CheckDevices.Run(capability, context =>
    {
        GradCheck.Assert(context, @case);
        for (ulong seed = 1; seed <= 4; seed++)
        {
            GradCheck.Assert(context, @case, new() { Mode = GradCheckMode.Fast, Seed = seed });
        }
    });

    [Test]
    public void Every_operator_has_a_case()
    {
        var operators = typeof(Functional).GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly).Select(method => method.Name).Distinct();
        Assert.That(operators.Except(GradCheckTable.Cases.Select(@case => @case.Operator)), Is.Empty, "operators of Functional without a case in GradCheckTable");
    }

    [Test]
    public void Every_case_is_of_an_operator()
    {
        var operators = typeof(Functional).GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly).Select(method => method.Name);
        Assert.That(GradCheckTable.Cases.Select(@case => @case.Operator).Except(operators).Except(s_notFunctional), Is.Empty, "cases of no operator of Functional");
    }

    [Test]
    public void Names_of_cases_are_unique() => Assert.That(GradCheckTable.Cases.Select(@case => $"{@case}"), Is.Unique);

    private static TestCaseData Named(GradCheckCase @case) => new TestCaseData(@case).SetArgDisplayNames($"{@case}");
}
