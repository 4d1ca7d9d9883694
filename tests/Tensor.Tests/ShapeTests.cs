// Shapes: value equality, axes from the end, counts that are checked.
using CsCheck;

namespace FashionFlow.Tensors.Tests;

public class ShapeTests
{
    [Test]
    public void A_shape_is_its_lengths()
    {
        Shape shape = [2, 3, 5];
        using (Assert.EnterMultipleScope())
        {
            Assert.That(shape.Rank, Is.EqualTo(3));
            Assert.That(shape.Count, Is.EqualTo(30));
            Assert.That(shape[0], Is.EqualTo(2));
            Assert.That(shape[-1], Is.EqualTo(5));
            Assert.That(shape.CountBetween(1, 3), Is.EqualTo(15));
            Assert.That(shape.With(-1, 7), Is.EqualTo(new Shape(2, 3, 7)));
            Assert.That(shape.ToString(), Is.EqualTo("[2, 3, 5]"));
            Assert.That(shape, Is.EqualTo((Shape)new[] { 2, 3, 5 }));
            Assert.That(shape.GetHashCode(), Is.EqualTo(new Shape(2, 3, 5).GetHashCode()));
            Assert.That(shape, Is.Not.EqualTo(new Shape(2, 15)));
        }
    }

    [Test]
    public void The_default_shape_is_a_scalar()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(default(Shape).Count, Is.EqualTo(1));
            Assert.That(default(Shape), Is.EqualTo(new Shape()));
            Assert.That(default(Shape).ToString(), Is.EqualTo("[]"));
        }
    }

    [Test]
    public void Shapes_do_not_share_the_array_that_they_are_made_of()
    {
        int[] lengths = [2, 3];
        Shape shape = lengths;
        lengths[0] = 7;
        Assert.That(shape[0], Is.EqualTo(2));
    }

    [Test]
    public void The_count_is_the_product_of_the_lengths()
        => Gen.Int[0, 9].Array[0, 6].Sample(lengths => new Shape(lengths).Count == lengths.Aggregate(1L, (product, length) => product * length));

    [Test]
    public void Bad_shapes_are_refused()
    {
        using (Assert.EnterMultipleScope())
        {
            Assert.That(() => new Shape(2, -1), Throws.ArgumentException.With.Message.StartsWith("shape [2, -1] has a negative axis"));
            Assert.That(() => new Shape(0, -3), Throws.ArgumentException.With.Message.Contains("negative axis"));
            Assert.That(
                () => new Shape(int.MaxValue, int.MaxValue, int.MaxValue),
                Throws.ArgumentException.With.Message.Contains("more than 2^63 elements"));
            Assert.That(new Shape(int.MaxValue, int.MaxValue, int.MaxValue, 0).Count, Is.Zero);
            Assert.That(() => new Shape(2, 3)[2], Throws.TypeOf<ArgumentOutOfRangeException>().With.Message.Contains("shape [2, 3] has no axis 2"));
            Assert.That(() => new Shape(2, 3)[-3], Throws.TypeOf<ArgumentOutOfRangeException>());
        }
    }
}
