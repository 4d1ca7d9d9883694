// Who asked for a tensor: the nearest caller outside this assembly.
using System.Diagnostics;

namespace FashionFlow.Tensors.Memory;

/// <summary>Finds the place that a tensor was made at. Walking the stack is slow, so only checked contexts do it.</summary>
internal static class AllocationSite
{
    public static string Find()
    {
        var own = typeof(AllocationSite).Assembly;
        var operation = "";
        foreach (var frame in new StackTrace(skipFrames: 1, fNeedFileInfo: true).GetFrames())
        {
            if (frame.GetMethod() is not { } method)
            {
                continue;
            }

            if (method.DeclaringType?.Assembly != own)
            {
                var place = frame.GetFileName() is { } file ? $" ({Path.GetFileName(file)}:{frame.GetFileLineNumber()})" : "";
                return $"{operation} called by {method.DeclaringType?.Name}.{method.Name}{place}";
            }

            operation = $"{method.DeclaringType?.Name}.{method.Name}";
        }

        return operation;
    }
}
