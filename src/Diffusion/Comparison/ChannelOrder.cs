// PyTorch's channels-first order at the borders: pictures [n, c, h, w] and videos [b, c, f, h, w] to channels-last and back.
using FashionFlow.Tensors;

namespace FashionFlow.Diffusion;

/// <summary>Moves the channels of stored pictures and videos; tensors of other ranks have them last already.</summary>
public static class ChannelOrder
{
    /// <summary>The channels-last shape of a stored one.</summary>
    public static Shape LastShape(Shape stored)
        => stored.Rank is 4 or 5 ? new Shape([stored[0], .. stored.Lengths[2..], stored[1]]) : stored;

    /// <summary>Stored values, channels last.</summary>
    public static float[] ToLast(float[] values, Shape stored)
        => stored.Rank is 4 or 5 ? Exchange(values, stored[0], stored[1], (int)stored.CountBetween(2, stored.Rank)) : values;

    /// <summary>Channels-last values of the stored shape, in the stored order.</summary>
    public static float[] ToFirst(float[] values, Shape stored)
        => stored.Rank is 4 or 5 ? Exchange(values, stored[0], (int)stored.CountBetween(2, stored.Rank), stored[1]) : values;

    private static float[] Exchange(float[] source, int batch, int rows, int columns)
    {
        var target = new float[source.Length];
        for (var b = 0; b < batch; b++)
        {
            var start = b * rows * columns;
            for (var i = 0; i < rows; i++)
            {
                for (var j = 0; j < columns; j++)
                {
                    target[start + (j * rows) + i] = source[start + (i * columns) + j];
                }
            }
        }

        return target;
    }
}
