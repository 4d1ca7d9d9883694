// Modes and their switches.
using FashionFlow.Diffusion.Preprocessing;
using FashionFlow.Diffusion.Training;
using FashionFlow.Layers;
using NUnit.Framework;

namespace FashionFlow.Diffusion.Tests;

/// <summary>Tests of <see cref="CompatibilityOptions"/>.</summary>
public class CompatibilityOptionsTests
{
    [Test]
    public void A_mode_is_read_as_it_is()
        => Assert.That(CompatibilityOptions.Modes.Select(CompatibilityOptions.Parse), Is.EqualTo([CompatibilityOptions.FashionFlow, CompatibilityOptions.Fixed]));

    [Test]
    public void A_switch_changes_its_option_alone_and_the_name()
    {
        var reference = CompatibilityOptions.FashionFlow;
        Assert.That(
            CompatibilityOptions.Parse("fashionflow,clip-rescaling=fixed"),
            Is.EqualTo(reference with { Name = "fashionflow,clip-rescaling=fixed", ClipRescaling = ClipRescaling.Fixed }));
        Assert.That(
            CompatibilityOptions.Parse("fashionflow,channel-norm-epsilon=1e-5"),
            Is.EqualTo(reference with { Name = "fashionflow,channel-norm-epsilon=1e-5", ChannelNormEpsilon = ChanLayerNorm.Float32Epsilon }));
        Assert.That(
            CompatibilityOptions.Parse("fashionflow,schedule-precision=double"),
            Is.EqualTo(reference with { Name = "fashionflow,schedule-precision=double", SchedulePrecision = SchedulePrecision.Double }));
        Assert.That(
            CompatibilityOptions.Parse("fashionflow,frame-losses=mean"),
            Is.EqualTo(reference with { Name = "fashionflow,frame-losses=mean", SumsFrameLosses = false }));
        Assert.That(
            CompatibilityOptions.Parse("fashionflow,windows=fresh"),
            Is.EqualTo(reference with { Name = "fashionflow,windows=fresh", Windows = EpochRandomness.Fresh }));
    }

    // Two runs of the same options have the same record, however those were written.
    [TestCase("fixed,clip-rescaling=fixed", "fixed")]
    [TestCase("fixed,windows=frozen,clip-rescaling=faithful", "fixed,clip-rescaling=faithful,windows=frozen")]
    [TestCase("fixed,frame-losses=sum,frame-losses=mean", "fixed")]
    public void The_name_is_the_same_however_the_options_were_written(string text, string name)
    {
        var options = CompatibilityOptions.Parse(text);
        Assert.That(options.Name, Is.EqualTo(name));
        Assert.That(CompatibilityOptions.Parse(name), Is.EqualTo(options));
    }

    [Test]
    public void Each_switch_that_is_listed_can_be_set_to_each_word_that_is_listed()
    {
        foreach (var listed in CompatibilityOptions.Switches)
        {
            var (name, words) = (listed.Split('=')[0], listed.Split('=')[1].Split('|'));
            // Of two words one is each mode's own, so that together they give both names.
            var names = words.Select(word => CompatibilityOptions.Parse($"fixed,{name}={word}").Name).ToList();
            Assert.That(names, Has.Member("fixed").And.Some.StartsWith($"fixed,{name}="), listed);
        }
    }

    [TestCase("", "compat: the mode must be fashionflow or fixed, not ''")]
    [TestCase("Fixed", "compat: the mode must be fashionflow or fixed, not 'Fixed'")]
    [TestCase("windows=frozen", "compat: the switch windows=frozen needs a mode before it: fashionflow,windows=frozen or fixed,windows=frozen")]
    [TestCase("fixed,", "compat: there is no switch ''; there are clip-rescaling, channel-norm-epsilon, schedule-precision, frame-losses, windows")]
    [TestCase("fixed,fashionflow", "compat: there is no switch 'fashionflow'; there are clip-rescaling, channel-norm-epsilon, schedule-precision, frame-losses, windows")]
    [TestCase("fixed,windows", "compat: windows must be fresh or frozen, not ''")]
    [TestCase("fixed,channel-norm-epsilon=0.001", "compat: channel-norm-epsilon must be 1e-3 or 1e-5, not '0.001'")]
    public void What_is_no_mode_is_refused_with_what_is_possible(string text, string message)
        => Assert.That(() => CompatibilityOptions.Parse(text), Throws.TypeOf<ModelException>().With.Message.EqualTo(message));
}
