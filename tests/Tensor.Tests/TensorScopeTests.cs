// Scopes: who disposes what, and when.
using FashionFlow.Gpu;

namespace FashionFlow.Tensors.Tests;

public class TensorScopeTests
{
    [Test]
    public void A_scope_disposes_what_was_made_in_it_but_what_is_kept() => TestDevices.Run(context =>
    {
        Tensor kept, dropped;
        using (var scope = TensorScope.Begin())
        {
            dropped = Tensor.Zeros(context, [1]);
            kept = scope.Keep(Tensor.Zeros(context, [2]));
        }

        using (Assert.EnterMultipleScope())
        {
            Assert.That(dropped.IsDisposed);
            Assert.That(kept.IsDisposed, Is.False);
            Assert.That(context.LiveTensors, Is.EqualTo(1));
        }

        kept.Dispose();
    });

    [Test]
    public void A_kept_tensor_moves_to_the_enclosing_scope() => TestDevices.Run(context =>
    {
        Tensor kept;
        using (TensorScope.Begin())
        {
            using (var inner = TensorScope.Begin())
            {
                kept = inner.Keep(Tensor.Zeros(context, [1]));
            }

            Assert.That(kept.IsDisposed, Is.False);
        }

        Assert.That(kept.IsDisposed);
    });

    [Test]
    public void Keeping_what_the_scope_does_not_own_leaves_it_where_it_is() => TestDevices.Run(context =>
    {
        using var outside = Tensor.Zeros(context, [1]);
        using (var outer = TensorScope.Begin())
        {
            var input = Tensor.Zeros(context, [1]);
            using (var inner = TensorScope.Begin())
            {
                Assert.That(inner.Keep(input), Is.SameAs(input));
                Assert.That(inner.Keep(outside), Is.SameAs(outside));
            }

            Assert.That(input.IsDisposed, Is.False);
        }

        Assert.That(outside.IsDisposed, Is.False);
    });

    [Test]
    public void Tensors_may_die_before_their_scope_in_any_order() => TestDevices.Run(context =>
    {
        using (TensorScope.Begin())
        {
            Tensor[] tensors = [.. Enumerable.Range(1, 9).Select(i => Tensor.Zeros(context, [i]))];
            foreach (var i in (int[])[4, 0, 8, 7, 1])
            {
                tensors[i].Dispose();
            }

            Assert.That(context.LiveTensors, Is.EqualTo(4));
        }

        Assert.That(context.LiveTensors, Is.Zero);
    });

    [Test]
    public void A_detached_tensor_belongs_to_no_scope() => TestDevices.Run(context =>
    {
        Tensor cached;
        using (TensorScope.Begin())
        {
            cached = TensorScope.Detach(Tensor.Zeros(context, [1]));
        }

        Assert.That(cached.IsDisposed, Is.False);
        cached.Dispose();
    });

    [Test]
    public void Scopes_are_closed_by_an_exception_too() => TestDevices.Run(context =>
    {
        Assert.That(
            () =>
            {
                using var scope = TensorScope.Begin();
                Tensor.Zeros(context, [3]);
                throw new InvalidDataException();
            },
            Throws.TypeOf<InvalidDataException>());
        Assert.That(context.LiveTensors, Is.Zero);
    });

    [Test]
    public void Scopes_close_in_reverse_order()
    {
        var outer = TensorScope.Begin();
        var inner = TensorScope.Begin();
        Assert.That(outer.Dispose, Throws.InvalidOperationException.With.Message.Contains("closes before one inside it"));
        inner.Dispose();
        outer.Dispose();
        outer.Dispose();
    }

    [Test]
    public void Each_thread_has_scopes_of_its_own() => TestDevices.Run(context =>
    {
        using (TensorScope.Begin())
        {
            Tensor? made = null;
            var thread = new Thread(() => made = Tensor.Zeros(context, [1], DType.UInt8));
            thread.Start();
            thread.Join();
            Assert.That(context.LiveTensors, Is.EqualTo(1));
            made!.Dispose();
        }
    });
}
