// What the compiler asks of a library for netstandard2.0 that uses init-only properties.
namespace System.Runtime.CompilerServices;

internal static class IsExternalInit;
