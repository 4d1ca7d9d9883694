// What the generator knows of a kernel file: its entries, their parameters and what could not be bound. Values compare by
// content, so that Roslyn reuses the output of a file that did not change.
using System.Collections;
using System.Collections.Immutable;

namespace FashionFlow.Gpu.Generator;

/// <summary>An immutable list that compares by content.</summary>
/// <typeparam name="T">The element's type.</typeparam>
public readonly struct EquatableList<T>(ImmutableArray<T> items) : IEquatable<EquatableList<T>>, IReadOnlyList<T>
    where T : IEquatable<T>
{
    private ImmutableArray<T> Items => items.IsDefault ? ImmutableArray<T>.Empty : items;

    /// <inheritdoc/>
    public int Count => Items.Length;

    /// <inheritdoc/>
    public T this[int index] => Items[index];

    /// <inheritdoc/>
    public bool Equals(EquatableList<T> other) => Items.SequenceEqual(other.Items);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is EquatableList<T> other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => Items.Aggregate(17, (hash, item) => unchecked((hash * 31) + item.GetHashCode()));

    /// <summary>Whether two lists hold equal elements.</summary>
    public static bool operator ==(EquatableList<T> left, EquatableList<T> right) => left.Equals(right);

    /// <summary>Whether two lists differ.</summary>
    public static bool operator !=(EquatableList<T> left, EquatableList<T> right) => !left.Equals(right);

    /// <inheritdoc/>
    public IEnumerator<T> GetEnumerator() => ((IEnumerable<T>)Items).GetEnumerator();

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>One parameter of an entry.</summary>
/// <param name="Name">Its name in C#.</param>
/// <param name="KernelType">Its type in CUDA C++, without <c>__restrict__</c>.</param>
/// <param name="ManagedType">Its type in C#; for a pointer, the type of what it points at.</param>
/// <param name="IsPointer">Whether it is a pointer.</param>
/// <param name="Offset">Where it lies in the parameter buffer.</param>
/// <param name="Size">How many bytes it takes there; also its alignment.</param>
public sealed record KernelParameterModel(string Name, string KernelType, string ManagedType, bool IsPointer, int Offset, int Size);

/// <summary>One <c>extern "C" __global__</c> entry.</summary>
/// <param name="Name">Its name in CUDA C++.</param>
/// <param name="MethodName">The name of the launch method.</param>
/// <param name="Line">Its line in the file, from 1.</param>
/// <param name="Comment">The lines of the comment above it.</param>
/// <param name="Parameters">Its parameters.</param>
public sealed record KernelEntryModel(
    string Name,
    string MethodName,
    int Line,
    EquatableList<string> Comment,
    EquatableList<KernelParameterModel> Parameters)
{
    /// <summary>The size of the parameter buffer.</summary>
    public int ParameterBytes => Parameters.Count == 0 ? 0 : Parameters[Parameters.Count - 1].Offset + Parameters[Parameters.Count - 1].Size;
}

/// <summary>Something that cannot be bound.</summary>
/// <param name="Line">The line in the file, from 1.</param>
/// <param name="Message">What is wrong and what to write instead.</param>
public sealed record KernelProblem(int Line, string Message);

/// <summary>One kernel file.</summary>
/// <param name="Path">Its path on disk, for diagnostics.</param>
/// <param name="Name">Its path below <c>kernels/</c>.</param>
/// <param name="ClassName">The name of the class with its launch methods.</param>
/// <param name="Comment">The lines of the comment that opens the file.</param>
/// <param name="Entries">Its entries.</param>
/// <param name="Problems">What could not be bound.</param>
public sealed record KernelFileModel(
    string Path,
    string Name,
    string ClassName,
    EquatableList<string> Comment,
    EquatableList<KernelEntryModel> Entries,
    EquatableList<KernelProblem> Problems);
