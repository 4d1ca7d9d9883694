// Names the module, the operator and the kernel of the first value that is infinite or no number.
using FashionFlow.Autograd;
using FashionFlow.Tensors;

namespace FashionFlow.Layers;

/// <summary>Runs a network with a look at every module's output.</summary>
public static class FiniteCheck
{
    /// <summary>Runs a forward pass; if a module gives a value that is none, the pass is run again with a look at every operator.</summary>
    /// <param name="enabled">Whether to look; each look waits for the device.</param>
    /// <param name="root">The network.</param>
    /// <param name="name">What the network is called in the message.</param>
    /// <param name="when">Where the work is, for the message: <c>step 3 of 50</c>.</param>
    /// <param name="forward">The pass; it gives the same result when it is called twice.</param>
    /// <exception cref="NonFiniteException">A value is infinite or no number.</exception>
    public static Tensor Run(bool enabled, Module root, string name, string when, Func<Tensor> forward)
    {
        if (!enabled)
        {
            return forward();
        }

        string? first = null;
        var watching = root.Observer;
        root.Observer = (path, activation) =>
        {
            watching?.Invoke(path, activation);
            first ??= NonFiniteGuard.IsFinite(activation) ? null : path.Length == 0 ? name : $"{name}.{path}";
        };
        try
        {
            var result = forward();
            if (first is null)
            {
                return result;
            }
        }
        finally
        {
            root.Observer = watching;
        }

        try
        {
            using var guard = NonFiniteGuard.Begin();
            using var scope = TensorScope.Begin();
            forward();
        }
        catch (NonFiniteException e)
        {
            throw new NonFiniteException($"{when}, {first}", e);
        }

        throw new NonFiniteException($"{when}, {first}: a value was infinite or no number; run once more, every operator gave numbers");
    }
}
