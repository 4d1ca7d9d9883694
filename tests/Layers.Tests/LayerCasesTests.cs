// Every layer against the reference's stored inputs, parameters and output: the 58 cases of layers.json.
using System.Text.Json;
using FashionFlow.Gpu;
using FashionFlow.Layers;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tests;

[TestFixture]
public sealed class LayerCasesTests
{
    private static readonly Dictionary<string, JsonElement> Cases = JsonDocument.Parse(File.ReadAllText(GoldenFiles.Data("layers.json")))
        .RootElement.EnumerateArray().ToDictionary(c => c.GetProperty("name").GetString()!, StringComparer.Ordinal);

    private static IEnumerable<string> Names => Cases.Keys.Where(n => n != "adapter" || GoldenFiles.Shared("adapter.safetensors") is not null);

    [Test]
    public void There_are_58_cases() => Assert.That(Cases, Has.Count.EqualTo(58));

    [TestCaseSource(nameof(Names))]
    public void Layer_gives_what_the_reference_gives(string name)
    {
        using var context = GoldenFiles.OpenChecked();
        using (var file = SafetensorsFile.Open(GoldenFiles.Data("layers.safetensors")))
        using (var run = new Run(context, file, name, Cases[name]))
        using (TensorScope.Begin())
        {
            GoldenFiles.AssertClose(run.Forward(), file, $"{name}.out");
        }

        context.CheckLeaks();
    }

    // A layer of each kind of operator; the reference is float32, and so is the tolerance.
    [TestCase("pconv_k7_t3_video")]
    [TestCase("sta_video")]
    [TestCase("attn_block")]
    [TestCase("resnet_time")]
    [TestCase("up_space_time")]
    public void Layer_runs_in_double_too(string name)
    {
        using var context = GoldenFiles.OpenChecked();
        using (var file = SafetensorsFile.Open(GoldenFiles.Data("layers.safetensors")))
        using (var run = new Run(context, file, name, Cases[name], DType.Float64))
        using (TensorScope.Begin())
        {
            var y = run.Forward();
            Assert.That(y.DType, Is.EqualTo(DType.Float64));
            GoldenFiles.AssertClose(Ops.Cast(y, DType.Float32), file, $"{name}.out");
        }

        context.CheckLeaks();
    }

    /// <summary>One case: how each of the reference's modules is called.</summary>
    private sealed class Run(DeviceContext context, SafetensorsFile file, string name, JsonElement entry, DType type = DType.Float32) : IDisposable
    {
        private Module? _module;

        private bool Time => !(entry.TryGetProperty("kwargs", out var options) && options.TryGetProperty("enable_time", out var value)
            && value.GetString() == "False");

        public void Dispose() => _module?.Dispose();

        public Tensor Forward() => entry.GetProperty("module").GetString() switch
        {
            "PseudoConv3d" => Made(new PseudoConv3d(Int("dim"), Int("dim_out"), Int("kernel_size"), IntOrNull("temporal_kernel_size")))
                .Forward(In("x"), Time),
            "ChanLayerNorm" => Made(new ChanLayerNorm(Int("dim"))).Forward(In("x")),
            "CLN3" => Made(new ChanLayerNorm(Int("dim"), ChanLayerNorm.HalfEpsilon)).Forward(In("x")),
            "GEGLU" => Ops.Geglu(In("x")),
            "FeedForward" => Made(new FeedForward(Int("dim"), Int("mult"))).Forward(In("x"), Time),
            "ContinuousPositionBias" => Made(new ContinuousPositionBias(Int("dim"), Int("heads"), Int("num_dims")))
                .Forward(context, [.. Config("dimensions").EnumerateArray().Select(d => d.GetInt32())]),
            "Attention" => Made(new SelfAttention(Int("dim"), Int("dim_head"), Int("heads"))).Forward(In("x"), InOrNull("rel_pos_bias")),
            "SpatioTemporalAttention" => Made(new SpatioTemporalAttention(
                Int("dim"), Int("dim_head"), Int("heads"), !entry.GetProperty("config").TryGetProperty("add_feed_forward", out _))).Forward(In("x"), Time),
            "CrossAttention" => Made(new CrossAttention(
                Int("n_heads"), Int("d_embed"), Int("d_cross"), Config("in_proj_bias").GetBoolean(), Config("out_proj_bias").GetBoolean()))
                .Forward(In("x"), In("y")),
            "AttentionBlock" => Made(new AttentionBlock(Int("n_head"), Int("n_embd"), Int("d_context"))).Forward(In("x"), In("context")),
            "Block" => Made(new Block(Int("dim"), Int("dim_out"), Int("groups"))).Forward(In("x"), ScaleShift(), Time),
            "ResnetBlock" => Made(new ResnetBlock(Int("dim"), Int("dim_out"), IntOrNull("timestep_cond_dim"), Int("groups")))
                .Forward(In("x"), InOrNull("t"), Time),
            "Downsample" => Made(new Downsample(Int("dim"), Config("downsample_time").GetBoolean())).Forward(In("x"), Time),
            "Upsample" => Made(new Upsample(Int("dim"), Config("upsample_time").GetBoolean())).Forward(In("x"), Time),
            "SinusoidalPosEmb" => Ops.TimestepEmbedding(In("t"), Int("dim")),
            "Embedding_Adapter" => Adapter(),
            "GroupNorm" => Made(new GroupNorm(Int("groups"), Int("channels"), Config("eps").GetDouble())).Forward(In("x")),
            "LayerNorm" => Made(new LayerNorm(Int("dim"), Config("eps").GetDouble())).Forward(In("x")),
            "MaxPool2d" => Ops.MaxPool2x2(In("x")),
            "Conv2d" => Convolution(),
            "functional" => Functional(),
            var other => throw new InvalidOperationException($"no such module: {other}"),
        };

        private Tensor Functional()
        {
            var x = InOrNull("x");
            return name switch
            {
                "shift_token_even" or "shift_token_odd" => Ops.TokenShift(x!),
                "silu" => Ops.Silu(x!),
                "gelu_erf" => Ops.Gelu(x!),
                "quick_gelu" => Ops.QuickGelu(x!),
                "softmax" or "softmax_extreme" => Softmax(x!),
                "mse" => MeanSquaredError(In("pred"), In("target")),
                _ => throw new InvalidOperationException($"no such function: {name}"),
            };
        }

        /// <summary>Softmax lives inside attention: rows of scores as its bias, and an identity for the values of every head.</summary>
        private Tensor Softmax(Tensor x)
        {
            var (heads, rows, n) = x.Shape.Rank == 3 ? (x.Shape[0], x.Shape[1], x.Shape[2]) : (1, x.Shape[0], x.Shape[1]);
            var eye = new float[n * heads * n];
            for (var i = 0; i < n; i++)
            {
                for (var head = 0; head < heads; head++)
                {
                    eye[(((i * heads) + head) * n) + i] = 1;
                }
            }

            var zeros = Tensor.Zeros(context, [1, rows, heads * n]);
            var values = Tensor.FromArray<float>(context, eye, [1, n, heads * n]);
            var y = Ops.Attention(zeros, Tensor.Zeros(context, [1, n, heads * n]), values, heads, 1, x.Reshape(heads, rows, n));
            return Ops.Permute(y.Reshape(rows, heads, n), 1, 0, 2);
        }

        private static Tensor MeanSquaredError(Tensor prediction, Tensor target)
        {
            var count = (int)target.Count;
            var difference = Ops.AddScaled(prediction, target, -1).Reshape(1, count);
            return Ops.MatMul(difference, difference, transposeB: true, alpha: 1.0 / count);
        }

        private Tensor Convolution()
        {
            var weight = file.Tensors[$"{name}.param.weight"].Shape;
            Convolution2d Of(int stride, Padding2d padding) => Made(new Convolution2d(weight[1], weight[0], weight[2], stride, padding));
            return name switch
            {
                "conv2d_s2_padasym" => Of(2, default).Forward(In("x")),
                "vae_downsample" => Of(2, new Padding2d(0, 0, 1, 1)).Forward(In("x")),
                "vae_upsample" => Of(1, Padding2d.All(1)).Forward(Ops.UpsampleNearest2x(In("x"))),
                _ => throw new InvalidOperationException($"no such convolution: {name}"),
            };
        }

        private Tensor Adapter()
        {
            var path = GoldenFiles.Shared("adapter.safetensors")!;
            using var weights = SafetensorsFile.Open(path);
            var adapter = new EmbeddingAdapter();
            adapter.Load(context, new SafetensorsWeights(weights, path));
            _module = adapter;
            return adapter.Forward(In("clip"), In("vae"));
        }

        private Tensor? ScaleShift()
        {
            if (InOrNull("scale") is not { } scale)
            {
                return null;
            }

            var batch = scale.Shape[0];
            return Ops.ConcatChannels(scale.Reshape(batch, -1), 1, In("shift").Reshape(batch, -1));
        }

        private T Made<T>(T module)
            where T : Module
        {
            module.Load(context, new SafetensorsWeights(file, "layers.safetensors", $"{name}.param."), type);
            _module = module;
            return module;
        }

        private Tensor In(string input)
        {
            var stored = GoldenFiles.Load(context, file, $"{name}.in.{input}");
            return type == DType.Float32 ? stored : Ops.Cast(stored, type);
        }

        private Tensor? InOrNull(string input) => file.Tensors.ContainsKey($"{name}.in.{input}") ? In(input) : null;

        private JsonElement Config(string key) => entry.GetProperty("config").GetProperty(key);

        private int Int(string key) => Config(key).GetInt32();

        private int? IntOrNull(string key) => entry.GetProperty("config").TryGetProperty(key, out var value) ? value.GetInt32() : null;
    }
}
