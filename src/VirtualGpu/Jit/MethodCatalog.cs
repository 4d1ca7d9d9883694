// Reflection on the methods that compiled code calls, each looked up once.
using System.Collections.Concurrent;
using System.Reflection;
using System.Runtime.Intrinsics;

namespace FashionFlow.VirtualGpu.Jit;

internal static class MethodCatalog
{
    private const BindingFlags Any = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;

    private static readonly ConcurrentDictionary<(string Name, Type Element, int Arguments), MethodInfo> Intrinsics = new();
    private static readonly ConcurrentDictionary<(Type Class, string Name, string Types), MethodInfo> Others = new();
    private static readonly Lazy<ILookup<string, MethodInfo>> Vector256Methods = new(() => typeof(Vector256).GetMethods().ToLookup(m => m.Name, StringComparer.Ordinal));

    /// <summary>Vector256&lt;element&gt;.</summary>
    public static Type VectorOf(Type element)
        => element == typeof(int) ? typeof(Vector256<int>)
            : element == typeof(uint) ? typeof(Vector256<uint>)
            : element == typeof(float) ? typeof(Vector256<float>)
            : element == typeof(long) ? typeof(Vector256<long>)
            : element == typeof(ulong) ? typeof(Vector256<ulong>)
            : element == typeof(double) ? typeof(Vector256<double>)
            : throw new ArgumentOutOfRangeException(nameof(element));

    /// <summary>A generic method of Vector256, or one overloaded by element type, that takes vectors of one element type.</summary>
    public static MethodInfo Vector(string name, Type element, int arguments)
        => Intrinsics.GetOrAdd((name, element, arguments), static key =>
        {
            var vector = VectorOf(key.Element);
            foreach (var method in Vector256Methods.Value[key.Name])
            {
                var parameters = method.GetParameters();
                if (parameters.Length != key.Arguments)
                {
                    continue;
                }

                if (!method.IsGenericMethodDefinition)
                {
                    if (Array.TrueForAll(parameters, p => p.ParameterType == vector))
                    {
                        return method;
                    }
                }
                else if (method.GetGenericArguments().Length == 1)
                {
                    var made = method.MakeGenericMethod(key.Element);
                    if (Array.TrueForAll(made.GetParameters(), p => p.ParameterType == vector))
                    {
                        return made;
                    }
                }
            }

            throw new MissingMethodException(nameof(Vector256), $"{key.Name}<{key.Element.Name}>");
        });

    /// <summary>Vector256.Create(element): one value in all lanes.</summary>
    public static MethodInfo Broadcast(Type element) => Find(typeof(Vector256), "Create", [element]);

    public static MethodInfo ToScalar(Type element)
        => Intrinsics.GetOrAdd(("ToScalar", element, 1), static key => typeof(Vector256).GetMethod("ToScalar")!.MakeGenericMethod(key.Element));

    public static MethodInfo As(Type from, Type to)
        => Intrinsics.GetOrAdd(("As" + to.Name, from, 1), static key =>
        {
            var target = key.Name[2..] switch
            {
                nameof(Int32) => "AsInt32",
                nameof(UInt32) => "AsUInt32",
                nameof(Single) => "AsSingle",
                nameof(Int64) => "AsInt64",
                nameof(UInt64) => "AsUInt64",
                _ => "AsDouble",
            };
            return typeof(Vector256).GetMethod(target)!.MakeGenericMethod(key.Element);
        });

    /// <summary>A shift by a constant count.</summary>
    public static MethodInfo Shift(string name, Type element) => Find(typeof(Vector256), name, [VectorOf(element), typeof(int)]);

    public static MethodInfo Select(Type element)
        => Intrinsics.GetOrAdd(("ConditionalSelect", element, 3), static key => typeof(Vector256).GetMethod("ConditionalSelect")!.MakeGenericMethod(key.Element));

    public static MethodInfo MoveMask(Type element)
        => Intrinsics.GetOrAdd(("ExtractMostSignificantBits", element, 1), static key => typeof(Vector256).GetMethod("ExtractMostSignificantBits")!.MakeGenericMethod(key.Element));

    /// <summary>A method of LaneMath on vectors of these element types.</summary>
    public static MethodInfo Lane(string name, params ReadOnlySpan<Type> elements)
    {
        var types = new Type[elements.Length];
        for (var i = 0; i < types.Length; i++)
        {
            types[i] = VectorOf(elements[i]);
        }

        return Find(typeof(LaneMath), name, types);
    }

    public static MethodInfo Find(Type type, string name, Type[] parameters)
        => Others.GetOrAdd((type, name, string.Join(',', parameters.Select(p => p.ToString()))), static (key, types)
            => key.Class.GetMethod(key.Name, Any, types) ?? throw new MissingMethodException(key.Class.Name, $"{key.Name}({key.Types})"), parameters);

    /// <summary>A method whose name is not overloaded.</summary>
    public static MethodInfo Only(Type type, string name)
        => Others.GetOrAdd((type, name, "*"), static key => key.Class.GetMethod(key.Name, Any) ?? throw new MissingMethodException(key.Class.Name, key.Name));
}
