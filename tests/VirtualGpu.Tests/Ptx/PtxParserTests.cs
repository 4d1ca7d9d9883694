// The PTX parser: what it understands of real modules, and how it refuses what is not PTX.
using FashionFlow.Gpu;
using FashionFlow.VirtualGpu.Ptx;
using FashionFlow.VirtualGpu.Tests.Jit;

namespace FashionFlow.VirtualGpu.Tests.Ptx;

internal sealed class PtxParserTests
{
    private const string Head = ".version 7.8\n.target sm_70\n.address_size 64\n";

    [Test]
    public void CorpusHasItsEntriesAndVariables()
    {
        var module = PtxModule.Parse(Harness.CorpusText);
        Assert.That(module.Target, Is.EqualTo(new ComputeCapability(7, 0)));
        Assert.That(module.Version, Is.EqualTo(new Version(7, 8)));
        Assert.That(module.Entries, Does.Contain("block_sum").And.Contain("doubles"));
        var weights = module.Variables.Single(v => v.Name == "weights");
        Assert.That(weights.IsConstant, Is.True);
        var bytes = new byte[weights.Bytes];
        weights.WriteInitialValue(bytes, new Dictionary<string, ulong>());
        Assert.That(BitConverter.ToSingle(bytes, 8), Is.EqualTo(6f));
    }

    [Test]
    public void InitialValuesMayBeAddresses()
    {
        var module = PtxModule.Parse(Head + ".global .align 4 .u32 x = 5;\n.global .align 8 .u64 table[3] = {generic(x), x+4, 7};\n");
        var bytes = new byte[24];
        module.Variables[1].WriteInitialValue(bytes, new Dictionary<string, ulong> { ["x"] = 1000, ["table"] = 2000 });
        Assert.That(new[] { BitConverter.ToInt64(bytes, 0), BitConverter.ToInt64(bytes, 8), BitConverter.ToInt64(bytes, 16) }, Is.EqualTo(new long[] { 1000, 1004, 7 }));
    }

    [TestCase("", "PTX starts with .version")]
    [TestCase(".version 7.8\n.address_size 64\n", "needs a .target")]
    [TestCase(Head + ".visible .entry k(.param .u64 p {\n}", "PTX line 4")]
    [TestCase(Head + ".visible .entry k() {\n.reg .b32 %r<2>;\nadd.s32 %r1, %r1\n}", "PTX line 7")]
    [TestCase(Head + ".visible .entry k() {\nret;\n", "has no end")]
    [TestCase(Head + ".visible .entry k() {\n@%p1 bra L;\n}", "no predicate register")]
    [TestCase(Head + ".global .align 3 .u32 x;\n", "power of two")]
    [TestCase(Head + ".address_size 32\n", "64-bit addresses")]
    public void WhatIsNotPtxIsRefusedWithItsLine(string text, string reason)
    {
        var failure = Assert.Throws<GpuException>(() => PtxModule.Parse(text))!;
        Assert.That(failure.Result, Is.EqualTo(CudaResult.CUDA_ERROR_INVALID_PTX));
        Assert.That(failure.Message, Does.Contain(reason));
    }

    [TestCase("ld.global.f32 %f1, [%rd1, 4];")]
    [TestCase("div.rm.f64 %d1, %d1, %d1;")]
    [TestCase("tex.2d.v4.f32.f32 {%f1, %f1, %f1, %f1}, [t, {%f1, %f1}];")]
    [TestCase("mov.u32 %r1, %pm0;")]
    [TestCase("add.s32 %r1, %r1, %rd1;")]
    [TestCase("add.s32 %r1, %r1;")]
    [TestCase("ld.global.nonsense.f32 %f1, [%rd1];")]
    [TestCase("call.uni nowhere;")]
    [TestCase("atom.global.add.v2.f32 %f1, [%rd1], %f1;")]
    public void WhatCannotBeRunIsRefusedWithItsLine(string instruction)
    {
        var module = PtxModule.Parse(Head + $".visible .entry k() {{\n.reg .b32 %r<2>; .reg .b64 %rd<2>; .reg .f32 %f<2>; .reg .f64 %d<2>;\n{instruction}\nret;\n}}\n");
        var failure = Assert.Throws<GpuException>(() => new Harness(module).Program("k"))!;
        Assert.That(failure.Message, Does.StartWith("CUDA_ERROR_NOT_SUPPORTED: PTX line 6: " + instruction));
    }

    // Cut anywhere, the text is refused with a line and nothing else happens.
    [Test]
    public void TruncatedTextIsRefused()
    {
        var text = Harness.CorpusText;
        for (var length = 1; length < text.Length; length += 997)
        {
            try
            {
                var module = PtxModule.Parse(text[..length]);
                foreach (var entry in module.Entries)
                {
                    new Harness(module).Program(entry);
                }
            }
            catch (GpuException failure)
            {
                Assert.That(failure.Message, Does.Contain("PTX"));
            }
        }
    }
}
