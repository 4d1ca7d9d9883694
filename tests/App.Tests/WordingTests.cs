// Durations and near words, as messages print them.
using FashionFlow.App.Commands;
using FashionFlow.App.Terminal;

namespace FashionFlow.App.Tests;

public sealed class WordingTests
{
    [TestCase(0.04, "0.0 s")]
    [TestCase(9.94, "9.9 s")]
    [TestCase(9.96, "10 s")]
    [TestCase(59.4, "59 s")]
    [TestCase(59.6, "1 min 00 s")]
    [TestCase(125, "2 min 05 s")]
    [TestCase(3599.4, "59 min 59 s")]
    [TestCase(3600, "1 h 00 min")]
    [TestCase(90000, "25 h 00 min")]
    public void Durations_have_the_unit_that_fits(double seconds, string text) =>
        Assert.That(ProgressDisplay.Duration(TimeSpan.FromSeconds(seconds)), Is.EqualTo(text));

    [TestCase("generat", "generate")]
    [TestCase("GENERATE", "generate")]
    [TestCase("dmeo", "demo")]
    [TestCase("dmoe", null)]
    [TestCase("domo", "demo")]
    [TestCase("train", null)]
    public void The_nearest_word_is_found_if_it_is_near(string word, string? expected) =>
        Assert.That(Spelling.Nearest(word, ["generate", "demo", "compare"]), Is.EqualTo(expected));
}
