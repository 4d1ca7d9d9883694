// The operators of the model at its own sizes.
using FashionFlow.Gpu;
using FashionFlow.Tensors;
using FashionFlow.VirtualGpu;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = FashionFlow.Tensors.Tensor;

namespace FashionFlow.Bench;

/// <summary>Cases of products and convolutions: the U-Net's at 16 frames of 48 x 32, CLIP's, and the awkward ones.</summary>
internal sealed class OperatorCases(VirtualDevice device) : IDisposable
{
    private readonly DeviceContext _context = new(device, ownsDevice: false);

    public void Dispose() => _context.Dispose();

    public void Gemm()
    {
        foreach (var (m, n, k, what) in new[]
        {
            (1024, 1024, 1024, "square"),
            (24576, 512, 64, "feed-forward, outer level"),
            (24576, 64, 256, "feed-forward, outer level"),
            (384, 4096, 512, "feed-forward, inner level"),
            (384, 512, 2048, "feed-forward, inner level"),
            (384, 1536, 512, "attention's q, k, v"),
            (257, 1024, 1024, "CLIP projection"),
            (257, 4096, 1024, "CLIP feed-forward"),
            (1, 1024, 256, "time embedding"),
            (1, 4096, 4096, "one row"),
            (24576, 4, 64, "four columns"),
            (333, 77, 1025, "odd"),
        })
        {
            var x = Values(m, k);
            var w = Values(n, k);
            var (tx, tw) = (torch.tensor(x, [m, k]), torch.tensor(w, [n, k]));
            using var ox = Tensor.FromArray<float>(_context, x, [m, k]);
            using var ow = Tensor.FromArray<float>(_context, w, [n, k]);
            Measure.Compare(
                $"linear [{m}, {k}] x [{n}, {k}]^T ({what})",
                2e-9 * m * n * k,
                0,
                () => Ops.Linear(ox, ow).Dispose(),
                () => nn.functional.linear(tx, tw).Dispose());
        }

        foreach (var (batch, m, n, k, transposed, what) in new[]
        {
            (128, 24, 24, 64, true, "attention q k^T, inner level"),
            (128, 24, 64, 24, false, "attention p v, inner level"),
            (16, 257, 257, 64, true, "CLIP attention q k^T"),
            (3072, 16, 16, 64, true, "attention over frames"),
            (2, 1536, 1536, 64, true, "long attention q k^T"),
            (2, 1536, 64, 1536, false, "long attention p v"),
        })
        {
            var a = Values(batch, m * k);
            var b = Values(batch, n * k);
            var (ta, tb) = (torch.tensor(a, [batch, m, k]), torch.tensor(b, transposed ? [batch, n, k] : [batch, k, n]));
            using var oa = Tensor.FromArray<float>(_context, a, [batch, m, k]);
            using var ob = Tensor.FromArray<float>(_context, b, transposed ? [batch, n, k] : [batch, k, n]);
            var tbt = transposed ? tb.transpose(1, 2) : tb;
            Measure.Compare(
                $"matmul {batch} x [{m}, {k}] [{k}, {n}] ({what})",
                2e-9 * batch * m * n * k,
                0,
                () => Ops.MatMul(oa, ob, transposeB: transposed).Dispose(),
                () => torch.matmul(ta, tbt).Dispose());
        }
    }

    public void Convolution()
    {
        foreach (var (n, h, w, ci, co, kernel, stride, what) in new[]
        {
            (16, 48, 32, 64, 64, 3, 1, "level 1"),
            (16, 24, 16, 128, 128, 3, 1, "level 2"),
            (16, 12, 8, 256, 256, 3, 1, "level 3"),
            (16, 6, 4, 512, 512, 3, 1, "level 4"),
            (16, 48, 32, 128, 64, 3, 1, "up to level 1"),
            (16, 48, 32, 4, 64, 7, 1, "the first"),
            (16, 48, 32, 64, 4, 3, 1, "the last"),
            (1, 128, 96, 128, 128, 3, 1, "autoencoder"),
            (1, 256, 192, 128, 3, 3, 1, "autoencoder's last"),
            (1, 129, 97, 128, 128, 3, 2, "autoencoder, down"),
            (1, 224, 224, 3, 768, 32, 32, "CLIP patches"),
            (16, 48, 32, 128, 64, 1, 1, "1 x 1"),
        })
        {
            var pad = stride == 1 ? kernel / 2 : 0;
            Spatial($"conv {kernel}x{kernel}/{stride} [{n}, {h}, {w}, {ci}] to {co} ({what})", n, h, w, ci, co, kernel, kernel, stride, pad, pad);
        }

        foreach (var (h, w, c) in new[] { (48, 32, 64), (24, 16, 128), (12, 8, 256), (6, 4, 512) })
        {
            Spatial($"temporal conv 3 [1, 16, {h}, {w}, {c}] to {c}", 1, 16, h * w, c, c, 3, 1, 1, 1, 0);
        }
    }

    /// <summary>Memory-bound operators: what counts is bytes, each operand and result once.</summary>
    public void Norms()
    {
        foreach (var (h, w, c) in new[] { (48, 32, 64), (24, 16, 128), (12, 8, 256), (6, 4, 512) })
        {
            var x = Values(16L * h * w, c);
            var gamma = Values(c, 1);
            using var ox = Tensor.FromArray<float>(_context, x, [1, 16, h, w, c]);
            using var og = Tensor.FromArray<float>(_context, gamma, [c]);
            var tx = torch.tensor(x, [1, 16, h, w, c]).permute(0, 4, 1, 2, 3).contiguous();
            var tg = torch.tensor(gamma);
            Measure.Compare(
                $"GroupNorm(8) + SiLU [1, 16, {h}, {w}, {c}]",
                0,
                8e-9 * x.Length,
                () => Ops.GroupNorm(ox, 8, og, og, 1e-5, silu: true).Dispose(),
                () =>
                {
                    using var normed = nn.functional.group_norm(tx, 8, tg, tg, 1e-5);
                    nn.functional.silu(normed, inplace: true);
                });
        }

        foreach (var (n, c) in new[] { (24576, 64), (384, 512), (50, 768) })
        {
            var x = Values(n, c);
            var gamma = Values(c, 1);
            using var ox = Tensor.FromArray<float>(_context, x, [1, n, c]);
            using var og = Tensor.FromArray<float>(_context, gamma, [c]);
            var (tx, tg) = (torch.tensor(x, [1, n, c]), torch.tensor(gamma));
            Measure.Compare(
                $"LayerNorm [{n}, {c}]",
                0,
                8e-9 * x.Length,
                () => Ops.LayerNorm(ox, og, og, 1e-5).Dispose(),
                () => nn.functional.layer_norm(tx, [c], tg, tg, 1e-5).Dispose());
        }

        foreach (var (n, c) in new[] { (24576, 256), (384, 2048) })
        {
            var x = Values(n, 2 * c);
            using var ox = Tensor.FromArray<float>(_context, x, [1, n, 2 * c]);
            var tx = torch.tensor(x, [1, n, 2 * c]);
            Measure.Compare(
                $"GEGLU [{n}, 2 x {c}]",
                0,
                12e-9 * n * c,
                () => Ops.Geglu(ox).Dispose(),
                () =>
                {
                    var halves = tx.chunk(2, -1);
                    using var gate = nn.functional.gelu(halves[1]);
                    (halves[0] * gate).Dispose();
                });
        }
    }

    /// <summary>softmax(q k^T / 8 + bias) v; libtorch's scaled_dot_product_attention on heads already split.</summary>
    public void Attention()
    {
        foreach (var (batch, heads, queries, keys, biased, what) in new[]
        {
            (1, 1, 24576, 50, false, "to the context, level 1"),
            (1, 2, 6144, 50, false, "to the context, level 2"),
            (1, 2, 1536, 50, false, "to the context, level 3"),
            (1, 4, 384, 50, false, "to the context, level 4"),
            (16, 8, 24, 24, true, "over space, inner level"),
            (24, 8, 16, 16, true, "over frames, inner level"),
            (1, 12, 50, 50, false, "CLIP ViT-B/32"),
            (1, 8, 1280, 1280, false, "autoencoder's size"),
        })
        {
            const int Width = 64;
            var q = Values((long)batch * queries, heads * Width);
            var kv = Values((long)batch * keys, heads * Width);
            var bias = Values((long)heads * queries, biased ? keys : 0);
            using var oq = Tensor.FromArray<float>(_context, q, [batch, queries, heads * Width]);
            using var ok = Tensor.FromArray<float>(_context, kv, [batch, keys, heads * Width]);
            using var ob = biased ? Tensor.FromArray<float>(_context, bias, [heads, queries, keys]) : null;
            var tq = torch.tensor(q, [batch, queries, heads, Width]).transpose(1, 2).contiguous();
            var tk = torch.tensor(kv, [batch, keys, heads, Width]).transpose(1, 2).contiguous();
            var tb = biased ? torch.tensor(bias, [1, heads, queries, keys]) : null;
            Measure.Compare(
                $"attention {batch} x {heads} heads, {queries} to {keys} ({what})",
                4e-9 * batch * heads * queries * keys * Width,
                0,
                () => Ops.Attention(oq, ok, ok, heads, 0.125, ob).Dispose(),
                () => nn.functional.scaled_dot_product_attention(tq, tk, tk, tb!).Dispose());
        }
    }

    private static float[] Values(long rows, long columns)
    {
        var values = new float[rows * columns];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = (((i * 2654435761L) & 0xFFFF) / 32768f) - 1;
        }

        return values;
    }

    private void Spatial(string name, int n, int h, int w, int ci, int co, int kh, int kw, int stride, int padH, int padW)
    {
        var x = Values((long)n * h * w, ci);
        var weights = Values((long)co * kh * kw, ci);
        var bias = Values(co, 1);
        using var ox = Tensor.FromArray<float>(_context, x, [n, h, w, ci]);
        using var ow = Tensor.FromArray<float>(_context, weights, [co, kh, kw, ci]);
        using var ob = Tensor.FromArray<float>(_context, bias, [co]);

        // Permuted views have channels-last strides, by which libtorch picks its channels-last path.
        var lastX = torch.tensor(x, [n, h, w, ci]).permute(0, 3, 1, 2);
        var lastW = torch.tensor(weights, [co, kh, kw, ci]).permute(0, 3, 1, 2);
        var (firstX, firstW, tb) = (lastX.clone().contiguous(), lastW.clone().contiguous(), torch.tensor(bias));
        var (outH, outW) = (((h + (2 * padH) - kh) / stride) + 1, ((w + (2 * padW) - kw) / stride) + 1);
        Measure.Compare(
            name,
            2e-9 * n * outH * outW * co * kh * kw * ci,
            0,
            () => Ops.Conv2d(ox, ow, ob, stride, new Padding2d(padH, padW, padH, padW)).Dispose(),
            () => nn.functional.conv2d(firstX, firstW, tb, [stride, stride], [padH, padW]).Dispose(),
            () => nn.functional.conv2d(lastX, lastW, tb, [stride, stride], [padH, padW]).Dispose());
    }
}
