// Splits PTX text into tokens, with the line of each. Comments, blanks and .loc/.file/.pragma noise cost nothing more.
namespace FashionFlow.VirtualGpu.Ptx;

internal enum PtxTokenKind : byte
{
    End,

    /// <summary>A name: letters, digits, <c>_ $ %</c>, and inside an opcode or special register dots and colons.</summary>
    Word,

    /// <summary>A word that starts with a dot.</summary>
    Directive,

    /// <summary>A number as written.</summary>
    Number,

    /// <summary>A string without its quotes.</summary>
    Text,

    /// <summary>One character.</summary>
    Punctuation,
}

/// <summary>A cursor over the text. The current token is <see cref="Kind"/> and <see cref="Span"/>.</summary>
internal ref struct PtxLexer
{
    private readonly ReadOnlySpan<char> _text;
    private int _position;
    private int _start;
    private int _length;

    public PtxLexer(ReadOnlySpan<char> text)
    {
        _text = text;
        Line = 1;
        TokenLine = 1;
        Next();
    }

    public PtxTokenKind Kind { get; private set; }

    /// <summary>The line that the cursor has reached.</summary>
    public int Line { get; private set; }

    /// <summary>The line of the current token.</summary>
    public int TokenLine { get; private set; }

    public readonly ReadOnlySpan<char> Span => _text.Slice(_start, _length);

    public readonly bool Is(char punctuation) => Kind == PtxTokenKind.Punctuation && _text[_start] == punctuation;

    public readonly bool IsDirective(string directive) => Kind == PtxTokenKind.Directive && Span.SequenceEqual(directive);

    public void Next()
    {
        SkipBlanks();
        TokenLine = Line;
        _start = _position;
        if (_position >= _text.Length)
        {
            _length = 0;
            Kind = PtxTokenKind.End;
            return;
        }

        var c = _text[_position];
        if (IsWordStart(c))
        {
            Scan(PtxTokenKind.Word, dots: true);
        }
        else if (c == '.')
        {
            _position++;
            Scan(PtxTokenKind.Directive, dots: false);
        }
        else if (char.IsAsciiDigit(c))
        {
            ScanNumber();
        }
        else if (c == '"')
        {
            ScanText();
        }
        else
        {
            _position++;
            _length = 1;
            Kind = PtxTokenKind.Punctuation;
        }
    }

    private static bool IsWordStart(char c) => char.IsAsciiLetter(c) || c is '_' or '$' or '%';

    private void SkipBlanks()
    {
        while (_position < _text.Length)
        {
            var c = _text[_position];
            if (c == '\n')
            {
                Line++;
                _position++;
            }
            else if (c is ' ' or '\t' or '\r')
            {
                _position++;
            }
            else if (c == '/' && _position + 1 < _text.Length && _text[_position + 1] == '/')
            {
                while (_position < _text.Length && _text[_position] != '\n')
                {
                    _position++;
                }
            }
            else if (c == '/' && _position + 1 < _text.Length && _text[_position + 1] == '*')
            {
                _position += 2;
                while (_position < _text.Length && !(_text[_position] == '*' && _position + 1 < _text.Length && _text[_position + 1] == '/'))
                {
                    Line += _text[_position] == '\n' ? 1 : 0;
                    _position++;
                }

                _position = Math.Min(_text.Length, _position + 2);
            }
            else
            {
                return;
            }
        }
    }

    private void Scan(PtxTokenKind kind, bool dots)
    {
        while (_position < _text.Length)
        {
            var c = _text[_position];
            if (IsWordStart(c) || char.IsAsciiDigit(c) || (dots && c == '.'))
            {
                _position++;
            }
            else if (dots && c == ':' && _position + 2 < _text.Length && _text[_position + 1] == ':' && char.IsAsciiLetterOrDigit(_text[_position + 2]))
            {
                _position += 2;
            }
            else
            {
                break;
            }
        }

        _length = _position - _start;
        Kind = kind;
    }

    private void ScanNumber()
    {
        while (_position < _text.Length)
        {
            var c = _text[_position];
            var exponentSign = c is '+' or '-' && _text[_position - 1] is 'e' or 'E' && !_text[_start.._position].StartsWith("0x")
                && !_text[_start.._position].StartsWith("0f", StringComparison.OrdinalIgnoreCase)
                && !_text[_start.._position].StartsWith("0d", StringComparison.OrdinalIgnoreCase);
            if (!char.IsAsciiLetterOrDigit(c) && c != '.' && !exponentSign)
            {
                break;
            }

            _position++;
        }

        _length = _position - _start;
        Kind = PtxTokenKind.Number;
    }

    private void ScanText()
    {
        _start = ++_position;
        while (_position < _text.Length && _text[_position] != '"')
        {
            Line += _text[_position] == '\n' ? 1 : 0;
            _position++;
        }

        _length = _position - _start;
        _position = Math.Min(_text.Length, _position + 1);
        Kind = PtxTokenKind.Text;
    }
}
