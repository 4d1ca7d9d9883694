// What is shown of a text that came from a file.
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Tensors.Tests.Weights;

public class PrintableTextTests
{
    [TestCase("conv.weight", "conv.weight")]
    [TestCase("β 重み 😀", "β 重み 😀")]
    [TestCase("a\r\nb\tc\0", """a\u000d\u000ab\u0009c\u0000""")]
    [TestCase("\u001b]0;title\u0007", """\u001b]0;title\u0007""")]
    [TestCase("\u009b31m\u007f", """\u009b31m\u007f""")]
    [TestCase("gpj.\u202eabc\u2066\u200f", """gpj.\u202eabc\u2066\u200f""")]
    [TestCase("a\u2028b\u2029c", """a\u2028b\u2029c""")]
    [TestCase("\ufeffa\U000E0041", """\ufeffa\udb40\udc41""")]
    public void What_would_steer_a_terminal_is_written_as_an_escape(string text, string shown) => Assert.That(PrintableText.Of(text), Is.EqualTo(shown));

    // Not a case: an attribute's text is stored as UTF-8, which has no half pairs.
    [Test]
    public void Half_a_surrogate_pair_is_written_as_an_escape() => Assert.That(PrintableText.Of("\ud800a\udc00"), Is.EqualTo("""\ud800a\udc00"""));

    [TestCase("abcdef", 6, "abcdef")]
    [TestCase("abcdef", 5, "abcde…")]
    [TestCase("ab😀c", 3, "ab…")]
    [TestCase("ab😀c", 4, "ab😀…")]
    public void A_long_text_is_cut_between_characters(string text, int most, string shown) => Assert.That(PrintableText.Of(text, most), Is.EqualTo(shown));
}
