// Recursive descent over PTX text (PTX ISA, "Syntax" and "Directives"). It knows the grammar, not the opcodes.
using System.Globalization;
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu.Ptx;

/// <summary>Parses one module.</summary>
internal ref struct PtxParser
{
    private readonly string _text;
    private PtxLexer _lexer;
    private readonly Dictionary<string, string> _opcodes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string>.AlternateLookup<ReadOnlySpan<char>> _opcodeLookup;

    // Names of the function being parsed, innermost scope last.
    private readonly List<Scope> _scopes = [];
    private PtxFunction? _function;

    public PtxParser(string text)
    {
        _text = text;
        _lexer = new PtxLexer(text);
        _opcodeLookup = _opcodes.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public List<PtxFunction> Functions { get; } = [];

    public List<PtxModuleVariable> Variables { get; } = [];

    /// <summary>Number after <c>sm_</c> or <c>compute_</c>.</summary>
    public int Target { get; private set; }

    public Version Version { get; private set; } = new(0, 0);

    /// <summary>The error that every refusal of PTX text is.</summary>
    public static GpuException Error(string text, int line, string reason, CudaResult result = CudaResult.CUDA_ERROR_INVALID_PTX)
        => new(result, $"PTX line {line}: {LineOf(text, line)} ({reason})");

    /// <summary>A statement's text on one line.</summary>
    public static string LineOf(string text, int line)
    {
        var start = 0;
        for (var i = 1; i < line; i++)
        {
            var end = text.IndexOf('\n', start);
            if (end < 0)
            {
                return "";
            }

            start = end + 1;
        }

        var stop = text.IndexOf('\n', start);
        var found = text.AsSpan(start, (stop < 0 ? text.Length : stop) - start).Trim().ToString().Replace('\t', ' ');
        return found.Length <= 160 ? found : found[..160] + "...";
    }

    public void Parse()
    {
        if (!_lexer.IsDirective(".version"))
        {
            throw Fail("PTX starts with .version");
        }

        while (_lexer.Kind != PtxTokenKind.End)
        {
            ParseTopLevel();
        }

        if (Target == 0)
        {
            throw Error(_text, _lexer.TokenLine, "a module needs a .target");
        }
    }

    private readonly GpuException Fail(string reason) => Error(_text, _lexer.TokenLine, reason);

    private void Expect(char punctuation)
    {
        if (!_lexer.Is(punctuation))
        {
            throw Fail($"expected '{punctuation}', found '{_lexer.Span}'");
        }

        _lexer.Next();
    }

    private bool Accept(char punctuation)
    {
        if (!_lexer.Is(punctuation))
        {
            return false;
        }

        _lexer.Next();
        return true;
    }

    private string ExpectWord(string what)
    {
        if (_lexer.Kind != PtxTokenKind.Word)
        {
            throw Fail($"expected {what}, found '{_lexer.Span}'");
        }

        var word = _lexer.Span.ToString();
        _lexer.Next();
        return word;
    }

    private long ExpectInteger()
    {
        var negative = Accept('-');
        if (_lexer.Kind != PtxTokenKind.Number || !TryInteger(_lexer.Span, out var value))
        {
            throw Fail($"expected an integer, found '{_lexer.Span}'");
        }

        _lexer.Next();
        return negative ? unchecked(-value) : value;
    }

    private static bool TryInteger(ReadOnlySpan<char> text, out long value)
    {
        value = 0;
        if (text.EndsWith("U", StringComparison.OrdinalIgnoreCase) && !text.StartsWith("0f", StringComparison.OrdinalIgnoreCase))
        {
            text = text[..^1];
        }

        ulong bits;
        if (text.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            if (!ulong.TryParse(text[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out bits))
            {
                return false;
            }
        }
        else if (text.StartsWith("0b", StringComparison.OrdinalIgnoreCase))
        {
            if (!ulong.TryParse(text[2..], NumberStyles.AllowBinarySpecifier, CultureInfo.InvariantCulture, out bits))
            {
                return false;
            }
        }
        else if (text.Length > 1 && text[0] == '0')
        {
            bits = 0;
            foreach (var digit in text)
            {
                if (digit is < '0' or > '7')
                {
                    return false;
                }

                bits = (bits << 3) | (uint)(digit - '0');
            }
        }
        else if (!ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out bits))
        {
            return false;
        }

        value = unchecked((long)bits);
        return true;
    }

    private void SkipLine()
    {
        var line = _lexer.TokenLine;
        while (_lexer.Kind != PtxTokenKind.End && _lexer.TokenLine == line)
        {
            _lexer.Next();
        }
    }

    private void SkipStatement()
    {
        while (_lexer.Kind != PtxTokenKind.End && !_lexer.Is(';'))
        {
            _lexer.Next();
        }

        Expect(';');
    }

    private void ParseTopLevel()
    {
        if (Accept(';'))
        {
            return;
        }

        if (_lexer.Kind != PtxTokenKind.Directive)
        {
            throw Fail($"expected a directive, found '{_lexer.Span}'");
        }

        switch (_lexer.Span)
        {
            case ".version":
                _lexer.Next();
                Version = Version.TryParse(_lexer.Span, out var version) ? version : throw Fail("expected a version");
                _lexer.Next();
                break;
            case ".target":
                ParseTarget();
                break;
            case ".address_size":
                _lexer.Next();
                if (ExpectInteger() != 64)
                {
                    throw Fail("only 64-bit addresses are supported");
                }

                break;
            case ".file" or ".loc":
                SkipLine();
                break;
            case ".pragma":
                SkipStatement();
                break;
            case ".section":
                SkipSection();
                break;
            case ".extern" or ".visible" or ".weak" or ".common":
                _lexer.Next();
                break;
            case ".entry":
                ParseFunction(isEntry: true);
                break;
            case ".func":
                ParseFunction(isEntry: false);
                break;
            case ".global" or ".const" or ".shared":
                ParseModuleVariable();
                break;
            default:
                throw Fail($"directive {_lexer.Span} is not supported");
        }
    }

    private void ParseTarget()
    {
        _lexer.Next();
        do
        {
            var target = ExpectWord("a target");
            var digits = target.AsSpan(target.IndexOf('_', StringComparison.Ordinal) + 1).TrimEnd("af");
            if (target.StartsWith("sm_", StringComparison.Ordinal) && int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            {
                Target = number;
            }
        }
        while (Accept(','));
    }

    private void SkipSection()
    {
        while (_lexer.Kind != PtxTokenKind.End && !_lexer.Is('{'))
        {
            _lexer.Next();
        }

        while (_lexer.Kind != PtxTokenKind.End && !_lexer.Is('}'))
        {
            _lexer.Next();
        }

        Expect('}');
    }

    // Everything between a state space and a name: .align N, .vN, .ptr ..., .type.
    private (PtxType Type, int Alignment, int Vector) ParseTypeWords()
    {
        var type = PtxType.None;
        var alignment = 0;
        var vector = 1;
        while (_lexer.Kind == PtxTokenKind.Directive)
        {
            switch (_lexer.Span)
            {
                case ".align":
                    _lexer.Next();
                    alignment = checked((int)ExpectInteger());
                    if (alignment is < 1 or > 65536 || !System.Numerics.BitOperations.IsPow2(alignment))
                    {
                        throw Fail("an alignment is a power of two");
                    }

                    continue;
                case ".v2":
                    vector = 2;
                    break;
                case ".v4":
                    vector = 4;
                    break;
                case ".ptr" or ".global" or ".shared" or ".const" or ".local":
                    break;
                default:
                    var parsed = PtxTypes.Parse(_lexer.Span[1..]);
                    if (parsed == PtxType.None || type != PtxType.None)
                    {
                        throw Fail($"{_lexer.Span} is not supported here");
                    }

                    type = parsed;
                    break;
            }

            _lexer.Next();
        }

        if (type == PtxType.None)
        {
            throw Fail("a declaration needs a type");
        }

        return (type, Math.Max(alignment, type.Size() * vector), vector);
    }

    private PtxDeclaration ParseDeclaration(PtxSpace space)
    {
        var line = _lexer.TokenLine;
        var (type, alignment, vector) = ParseTypeWords();
        var name = ExpectWord("a name");
        long count = vector;
        var isArray = false;
        var isUnsized = false;
        while (Accept('['))
        {
            isArray = true;
            if (_lexer.Is(']'))
            {
                isUnsized = true;
                count = 0;
            }
            else
            {
                var length = ExpectInteger();
                if (length < 0 || length > int.MaxValue)
                {
                    throw Fail("an array's length is out of range");
                }

                count = checked(count * length);
            }

            Expect(']');
        }

        return new PtxDeclaration
        {
            Name = name,
            Space = space,
            Type = type,
            Alignment = alignment,
            Bytes = checked(count * type.Size()),
            IsArray = isArray || vector > 1,
            IsUnsized = isUnsized,
            Line = line,
        };
    }

    private void ParseModuleVariable()
    {
        var space = SpaceOf(_lexer.Span);
        _lexer.Next();
        do
        {
            var declaration = ParseDeclaration(space);
            var values = new List<PtxInitialValue>();
            if (Accept('='))
            {
                ParseInitialiser(declaration, values);
            }

            if (declaration.IsUnsized && values.Count > 0)
            {
                declaration = new PtxDeclaration
                {
                    Name = declaration.Name,
                    Space = declaration.Space,
                    Type = declaration.Type,
                    Alignment = declaration.Alignment,
                    Bytes = values.Count * declaration.Type.Size(),
                    IsArray = true,
                    Line = declaration.Line,
                };
            }

            if ((long)values.Count * declaration.Type.Size() > declaration.Bytes)
            {
                throw Error(_text, declaration.Line, "more initial values than the variable has elements");
            }

            Variables.Add(new PtxModuleVariable(declaration, values));
        }
        while (Accept(','));
        Expect(';');
    }

    private void ParseInitialiser(PtxDeclaration declaration, List<PtxInitialValue> values)
    {
        if (Accept('{'))
        {
            while (!_lexer.Is('}'))
            {
                ParseInitialiser(declaration, values);
                if (!Accept(','))
                {
                    break;
                }
            }

            Expect('}');
            return;
        }

        if (_lexer.Kind == PtxTokenKind.Word)
        {
            var name = ExpectWord("a name");
            if (name == "generic" && Accept('('))
            {
                name = ExpectWord("a variable");
                Expect(')');
            }

            var offset = _lexer.Is('+') || _lexer.Is('-') ? ParseOffset() : 0;
            values.Add(new PtxInitialValue(offset, name));
            return;
        }

        var literal = ParseLiteral();
        values.Add(new PtxInitialValue(literal.Kind == PtxOperandKind.Float64 && declaration.Type == PtxType.F32
            ? BitConverter.SingleToInt32Bits((float)BitConverter.Int64BitsToDouble(literal.Value))
            : literal.Value, Symbol: null));
    }

    private long ParseOffset()
    {
        long offset = 0;
        while (true)
        {
            if (Accept('+'))
            {
                offset += ExpectInteger();
            }
            else if (_lexer.Is('-'))
            {
                offset += ExpectInteger();
            }
            else
            {
                return offset;
            }
        }
    }

    private static PtxSpace SpaceOf(ReadOnlySpan<char> directive) => directive switch
    {
        ".global" => PtxSpace.Global,
        ".const" => PtxSpace.Const,
        ".shared" => PtxSpace.Shared,
        ".local" => PtxSpace.Local,
        _ => PtxSpace.Param,
    };

    private void ParseFunction(bool isEntry)
    {
        var line = _lexer.TokenLine;
        _lexer.Next();
        while (_lexer.IsDirective(".noreturn"))
        {
            _lexer.Next();
        }

        var results = new List<PtxDeclaration>();
        if (_lexer.Is('('))
        {
            ParseParameters(results);
        }

        var name = ExpectWord("a function's name");
        var function = new PtxFunction { Name = name, IsEntry = isEntry, Line = line };
        function.Results.AddRange(results);
        if (_lexer.Is('('))
        {
            ParseParameters(function.Parameters);
        }

        _function = function;
        ParseLaunchBounds(function);
        if (Accept(';'))
        {
            if (!Functions.Exists(f => f.Name == name))
            {
                Functions.Add(function);
            }

            return;
        }

        _scopes.Clear();
        _scopes.Add(new Scope());
        foreach (var parameter in results.Concat(function.Parameters))
        {
            _scopes[0].Variables[parameter.Name] = parameter.Name;
        }

        Expect('{');
        ParseBody(function);
        function.HasBody = true;
        Functions.RemoveAll(f => f.Name == name && !f.HasBody);
        if (Functions.Exists(f => f.Name == name))
        {
            throw Error(_text, line, $"function {name} is defined twice");
        }

        Functions.Add(function);
    }

    private void ParseParameters(List<PtxDeclaration> parameters)
    {
        Expect('(');
        while (!_lexer.Is(')'))
        {
            if (_lexer.IsDirective(".reg"))
            {
                throw Fail("register parameters are not supported");
            }

            if (!_lexer.IsDirective(".param"))
            {
                throw Fail($"expected .param, found '{_lexer.Span}'");
            }

            _lexer.Next();
            parameters.Add(ParseDeclaration(PtxSpace.Param));
            if (!Accept(','))
            {
                break;
            }
        }

        Expect(')');
    }

    private void ParseLaunchBounds(PtxFunction function)
    {
        while (_lexer.Kind == PtxTokenKind.Directive)
        {
            var directive = _lexer.Span.ToString();
            _lexer.Next();
            Span<int> sizes = [1, 1, 1];
            var count = 0;
            while (_lexer.Kind == PtxTokenKind.Number && count < 3)
            {
                sizes[count++] = checked((int)ExpectInteger());
                if (!Accept(','))
                {
                    break;
                }
            }

            switch (directive)
            {
                case ".maxntid":
                    function.MaxThreads = checked(sizes[0] * sizes[1] * sizes[2]);
                    break;
                case ".reqntid":
                    function.RequiredThreads = new Dim3(sizes[0], sizes[1], sizes[2]);
                    break;
                case ".minnctapersm" or ".maxnctapersm" or ".maxnreg" or ".noreturn":
                    break;
                case ".pragma":
                    SkipStatement();
                    break;
                default:
                    throw Fail($"directive {directive} is not supported");
            }
        }
    }

    private void ParseBody(PtxFunction function)
    {
        while (true)
        {
            if (Accept('}'))
            {
                _scopes.RemoveAt(_scopes.Count - 1);
                if (_scopes.Count == 0)
                {
                    return;
                }

                continue;
            }

            if (Accept('{'))
            {
                _scopes.Add(new Scope());
                continue;
            }

            if (_lexer.Kind == PtxTokenKind.End)
            {
                throw Fail($"function {function.Name} has no end");
            }

            if (_lexer.Kind == PtxTokenKind.Directive)
            {
                ParseBodyDirective(function);
            }
            else
            {
                ParseStatement(function);
            }
        }
    }

    private void ParseBodyDirective(PtxFunction function)
    {
        switch (_lexer.Span)
        {
            case ".reg":
                _lexer.Next();
                ParseRegisters(function);
                break;
            case ".param" or ".local" or ".shared":
                var space = SpaceOf(_lexer.Span);
                _lexer.Next();
                var declaration = ParseDeclaration(space);
                var unique = _scopes.Count == 1 ? declaration.Name : $"{declaration.Name}@{declaration.Line}";
                _scopes[^1].Variables[declaration.Name] = unique;
                function.Variables.Add(new PtxDeclaration
                {
                    Name = unique,
                    Space = declaration.Space,
                    Type = declaration.Type,
                    Alignment = declaration.Alignment,
                    Bytes = declaration.Bytes,
                    IsArray = declaration.IsArray,
                    IsUnsized = declaration.IsUnsized,
                    Line = declaration.Line,
                });
                Expect(';');
                break;
            case ".pragma":
                SkipStatement();
                break;
            case ".loc" or ".file":
                SkipLine();
                break;
            default:
                throw Fail($"directive {_lexer.Span} is not supported");
        }
    }

    private void ParseRegisters(PtxFunction function)
    {
        var (type, _, vector) = ParseTypeWords();
        if (vector != 1)
        {
            throw Fail("vector registers are not supported");
        }

        do
        {
            var name = ExpectWord("a register's name");
            if (Accept('<'))
            {
                var count = checked((int)ExpectInteger());
                Expect('>');
                if (count is < 0 or > 1_000_000)
                {
                    throw Fail("too many registers");
                }

                _scopes[^1].Ranges[name] = (function.Registers.Count, count);
                for (var i = 0; i < count; i++)
                {
                    function.Registers.Add(new PtxRegister(name, type));
                }
            }
            else
            {
                _scopes[^1].Registers[name] = function.Registers.Count;
                function.Registers.Add(new PtxRegister(name, type));
            }
        }
        while (Accept(','));
        Expect(';');
    }

    private void ParseStatement(PtxFunction function)
    {
        var guard = -1;
        var guardNegated = false;
        if (Accept('@'))
        {
            guardNegated = Accept('!');
            guard = FindRegister(_lexer.Span);
            if (guard < 0)
            {
                throw Fail($"'{_lexer.Span}' is no predicate register");
            }

            _lexer.Next();
        }

        if (_lexer.Kind != PtxTokenKind.Word)
        {
            throw Fail($"expected an instruction, found '{_lexer.Span}'");
        }

        var line = _lexer.TokenLine;
        if (!_opcodeLookup.TryGetValue(_lexer.Span, out var word))
        {
            word = _lexer.Span.ToString();
            _opcodes.Add(word, word);
        }

        _lexer.Next();
        if (guard < 0 && Accept(':'))
        {
            if (_lexer.Kind == PtxTokenKind.Directive && _lexer.Span is ".callprototype" or ".branchtargets" or ".calltargets")
            {
                SkipStatement();
                return;
            }

            function.Statements.Add(new PtxStatement { Line = line, Opcode = "", Label = word });
            return;
        }

        var operands = new List<PtxOperand>(4);
        while (!_lexer.Is(';'))
        {
            operands.Add(ParseOperand());
            if (!Accept(','))
            {
                break;
            }
        }

        Expect(';');
        function.Statements.Add(new PtxStatement
        {
            Line = line,
            Opcode = word,
            Guard = guard,
            GuardNegated = guardNegated,
            Operands = operands,
        });
    }

    private PtxOperand ParseOperand()
    {
        if (Accept('['))
        {
            return ParseAddress();
        }

        if (_lexer.Is('{') || _lexer.Is('('))
        {
            var close = _lexer.Is('{') ? '}' : ')';
            _lexer.Next();
            var elements = new List<PtxOperand>(4);
            while (!_lexer.Is(close))
            {
                elements.Add(ParseOperand());
                if (!Accept(','))
                {
                    break;
                }
            }

            Expect(close);
            return new PtxOperand { Kind = PtxOperandKind.List, Elements = elements };
        }

        if (_lexer.Kind == PtxTokenKind.Word)
        {
            return ParseNamed(negated: false);
        }

        if (Accept('!'))
        {
            return ParseNamed(negated: true);
        }

        return ParseLiteral();
    }

    private PtxOperand ParseAddress()
    {
        var elements = new List<PtxOperand>(1);
        long offset = 0;
        if (_lexer.Kind == PtxTokenKind.Word)
        {
            elements.Add(ParseNamed(negated: false));
            offset = ParseOffset();
        }
        else
        {
            offset = ExpectInteger();
        }

        while (Accept(','))
        {
            elements.Add(ParseOperand());
        }

        Expect(']');
        return new PtxOperand { Kind = PtxOperandKind.Address, Elements = elements, Value = offset };
    }

    private PtxOperand ParseNamed(bool negated)
    {
        var span = _lexer.Span;
        PtxOperand operand;
        var register = FindRegister(span);
        if (register >= 0)
        {
            operand = new PtxOperand { Kind = PtxOperandKind.Register, Register = register, Negated = negated };
        }
        else if (span.SequenceEqual("_"))
        {
            operand = new PtxOperand { Kind = PtxOperandKind.Sink };
        }
        else if (span[0] == '%')
        {
            operand = new PtxOperand { Kind = PtxOperandKind.Special, Name = span.ToString() };
        }
        else
        {
            var name = span.ToString();
            for (var i = _scopes.Count - 1; i >= 0; i--)
            {
                if (_scopes[i].Variables.TryGetValue(name, out var unique))
                {
                    name = unique;
                    break;
                }
            }

            operand = new PtxOperand { Kind = PtxOperandKind.Symbol, Name = name };
        }

        _lexer.Next();
        if (operand.Kind is PtxOperandKind.Register or PtxOperandKind.Sink && Accept('|'))
        {
            operand.Second = ParseNamed(negated: false);
        }

        if (operand.Kind == PtxOperandKind.Symbol && (_lexer.Is('+') || _lexer.Is('-')) && _scopes.Count > 0)
        {
            // In an address the offset belongs to the brackets and is the same sum.
            operand = new PtxOperand { Kind = PtxOperandKind.Symbol, Name = operand.Name, Value = ParseOffset() };
        }

        return operand;
    }

    private PtxOperand ParseLiteral()
    {
        var negative = Accept('-');
        if (_lexer.Kind != PtxTokenKind.Number)
        {
            throw Fail($"expected an operand, found '{_lexer.Span}'");
        }

        var span = _lexer.Span;
        PtxOperand operand;
        if (span.StartsWith("0f", StringComparison.OrdinalIgnoreCase) && span.Length == 10
            && uint.TryParse(span[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var single))
        {
            operand = new PtxOperand { Kind = PtxOperandKind.Float32, Value = negative ? single ^ 0x80000000u : single };
        }
        else if (span.StartsWith("0d", StringComparison.OrdinalIgnoreCase) && span.Length == 18
            && ulong.TryParse(span[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var bits))
        {
            operand = new PtxOperand { Kind = PtxOperandKind.Float64, Value = unchecked((long)(negative ? bits ^ (1UL << 63) : bits)) };
        }
        else if (TryInteger(span, out var integer))
        {
            operand = new PtxOperand { Kind = PtxOperandKind.Integer, Value = negative ? unchecked(-integer) : integer };
        }
        else if (double.TryParse(span, NumberStyles.Float, CultureInfo.InvariantCulture, out var number))
        {
            operand = new PtxOperand { Kind = PtxOperandKind.Float64, Value = BitConverter.DoubleToInt64Bits(negative ? -number : number) };
        }
        else
        {
            throw Fail($"'{span}' is no number");
        }

        _lexer.Next();
        return operand;
    }

    private readonly int FindRegister(ReadOnlySpan<char> name)
    {
        if (_function is null)
        {
            return -1;
        }

        var digits = name.Length;
        while (digits > 0 && char.IsAsciiDigit(name[digits - 1]))
        {
            digits--;
        }

        var isNumbered = digits < name.Length && (name[digits] != '0' || digits == name.Length - 1);
        for (var i = _scopes.Count - 1; i >= 0; i--)
        {
            var scope = _scopes[i];
            if (scope.Registers.Count > 0 && scope.Registers.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(name, out var register))
            {
                return register;
            }

            if (isNumbered && scope.Ranges.Count > 0
                && scope.Ranges.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(name[..digits], out var range)
                && int.TryParse(name[digits..], NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number < range.Count)
            {
                return range.First + number;
            }
        }

        return -1;
    }

    private sealed class Scope
    {
        public Dictionary<string, int> Registers { get; } = new(StringComparer.Ordinal);

        public Dictionary<string, (int First, int Count)> Ranges { get; } = new(StringComparer.Ordinal);

        public Dictionary<string, string> Variables { get; } = new(StringComparer.Ordinal);
    }
}
