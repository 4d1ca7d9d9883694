// The table: every case of every family in this assembly.
using System.Reflection;

namespace FashionFlow.Tensors.Tests.Operators;

/// <summary>All cases.</summary>
public static class OperatorTable
{
    /// <summary>The cases, in the order of the families' names.</summary>
    public static IReadOnlyList<OperatorCase> Cases { get; } =
    [
        .. typeof(OperatorTable).Assembly.GetTypes()
            .Where(type => type is { IsInterface: false } && type.IsAssignableTo(typeof(IOperatorCases)))
            .OrderBy(type => type.Name, StringComparer.Ordinal)
            .SelectMany(type => (IEnumerable<OperatorCase>)type
                .GetProperty(nameof(IOperatorCases.Cases), BindingFlags.Public | BindingFlags.Static)!.GetValue(null)!),
    ];
}
