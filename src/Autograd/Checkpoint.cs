// Activation checkpointing: what a block keeps for its backward is computed again instead.
using FashionFlow.Tensors;

namespace FashionFlow.Autograd;

/// <summary>
/// Recomputation of blocks (Chen et al. 2016, arXiv 1604.06174): of a block of operators only the inputs are kept, and the
/// backward pass runs it forward once more, then back. Gradients have the same bits as without it, for half as much work
/// again, as shares reach every tensor in the same order.
/// </summary>
public static class Checkpoint
{
    /// <summary>Runs a block so that its activations are not kept.</summary>
    /// <param name="block">From the inputs to one result; it must give the same bits each time, and may use any leaves.</param>
    /// <param name="inputs">What the block works on; null entries are handed through.</param>
    /// <returns>The block's result.</returns>
    public static Tensor Run(Func<Tensor?[], Tensor> block, params Tensor?[] inputs)
    {
        if (!Tape.IsRecording)
        {
            return block(inputs);
        }

        // Recorded, though nothing of it is used: a forward pass alone takes fused operators, which round differently.
        Tensor result;
        using (var tape = Tape.Begin())
        {
            var recorded = block(inputs);
            if (recorded.History is not Variable variable || variable.Recorder != tape)
            {
                return recorded;
            }

            result = Functional.Detach(recorded);
            recorded.Dispose();
        }

        var count = inputs.Length;
        return Tape.RecordAlways(nameof(Checkpoint), result, inputs, inputs, call =>
        {
            // The kept inputs still have the histories that they had, so the inner pass adds to the outer gradients directly.
            var again = new Tensor?[count];
            for (var i = 0; i < again.Length; i++)
            {
                again[i] = call.SavedOrNull(i);
            }

            using var tape = Tape.Begin();
            tape.Backward(block(again), call.Gradient);
        });
    }
}
