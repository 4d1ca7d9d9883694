// A wearer and a garment as parts: where the ellipses are, where cloth ends, what is painted on it.
namespace FashionFlow.App.Garments;

/// <summary>Builds the parts of a figure in a pose. Lengths are metres; the figure is 1.74 m tall and stands at height 0.</summary>
internal sealed class Figure
{
    private const double Waist = 1.10;
    private const double NeckBase = 1.46;
    private const double ArmTop = 1.420;
    private const double HeadMiddle = 1.612;

    // The figure's right, its left.
    private static readonly int[] Sides = [-1, 1];

    // Half widths and half depths of the trunk.
    private static readonly Outline TrunkA = new(
        (0.76, 0.140), (0.84, 0.166), (0.92, 0.176), (1.00, 0.160), (1.10, 0.128), (1.20, 0.142), (1.29, 0.157), (1.35, 0.160), (1.39, 0.153), (1.415, 0.130), (1.435, 0.098), (1.455, 0.069), (1.475, 0.052));

    private static readonly Outline TrunkB = new(
        (0.76, 0.030), (0.82, 0.085), (0.87, 0.114), (0.92, 0.122), (1.00, 0.110), (1.10, 0.092), (1.20, 0.104), (1.28, 0.118), (1.36, 0.100), (1.40, 0.084), (1.43, 0.067), (1.475, 0.051));

    private static readonly Outline TrunkW = new((0.84, -0.004), (0.92, -0.008), (1.10, 0), (1.27, 0.012), (1.38, -0.002), (1.46, -0.006));

    private static readonly Outline LegU = new((0.08, 0.066), (0.48, 0.076), (0.84, 0.083));
    private static readonly Outline LegRadius = new((0.06, 0.034), (0.12, 0.033), (0.20, 0.040), (0.33, 0.056), (0.42, 0.051), (0.48, 0.052), (0.62, 0.066), (0.86, 0.079));
    private static readonly Outline LegW = new((0.06, -0.012), (0.33, -0.012), (0.50, 0.012), (0.84, 0.0));

    private static readonly Outline ArmU = new((0.74, 0.246), (0.90, 0.243), (1.12, 0.222), (1.30, 0.188), (1.38, 0.164), (1.42, 0.138));
    private static readonly Outline ArmRadius = new(
        (0.735, 0.002), (0.75, 0.016), (0.80, 0.028), (0.86, 0.024), (0.90, 0.024), (1.02, 0.033), (1.12, 0.034), (1.22, 0.037), (1.35, 0.042));

    private static readonly Outline BobA = new((1.50, 0.084), (1.53, 0.097), (1.56, 0.100), (1.625, 0.093));
    private static readonly Outline Lean = new((0.05, 0), (0.90, 1), (1.10, 0.9), (1.45, 0.35), (1.75, 0.25));

    private static readonly Vector Brass = Vector.FromHex("#d9b25f");

    private readonly Garment _garment;
    private readonly Motion _motion;
    private readonly List<Stack> _parts = [];

    private Figure(Garment garment, Motion motion) => (_garment, _motion) = (garment, motion);

    /// <summary>The parts of a figure at a time.</summary>
    public static IReadOnlyList<Stack> Build(Garment garment, Motion motion)
    {
        var figure = new Figure(garment, motion);
        figure.AddBody();
        figure.AddHead();
        figure.AddHair();
        figure.AddGarment();
        return figure._parts;
    }

    private void AddBody()
    {
        Add(0.86, 1.475, y => Trunk(y, 0), Skin);
        Add(1.40, 1.56, y => new(Shift(y), -0.006 + (0.10 * (y - 1.44)), 0.050, 0.050), p => _garment.Skin * (p.Y > 1.46 ? 0.86 : 0.95));
        foreach (var side in Sides)
        {
            Add(0.735, ArmTop, y => Arm(y, side, 0), Skin);
            Add(0.05, 0.86, y => Leg(y, side, 0), p => _garment.Skin * Shade(p.Y, CoveredTo(), 0.14, 0.72));
            Add(0, 0.085, y => Shoe(y, side), _ => _garment.Shoes, gloss: 0.35);
        }
    }

    // The lowest edge of what hangs over the legs: under it they are in shadow.
    private double CoveredTo() => _garment.Cut is Cut.Dress or Cut.Skirt ? _garment.Hem : 0.80;

    private void AddHead()
    {
        Add(1.485, 1.736, y => Round(y, HeadMiddle, 0.125, 0.083, 0.098, w: 0.012, chin: 0.16), Face);
        Add(1.566, 1.615, y => new(Shift(y), 0.105 - (0.35 * (y - 1.575)), 0.011, 0.015), p => _garment.Skin * 0.95);
        foreach (var side in Sides)
        {
            Add(1.575, 1.635, y => Offset(Ball(y, 1.605, 0.030, 0.010, 0.022), side * 0.083, 0), _ => _garment.Skin * 0.92);
        }
    }

    private Vector Face(SurfacePoint point)
    {
        if (!point.IsFront)
        {
            return _garment.Skin;
        }

        var (across, y) = (Math.Abs(point.Across), point.Y);
        if (Inside(across - 0.033, y - 1.622, 0.014, 0.0080))
        {
            return Inside(across - 0.033, y - 1.622, 0.0075, 0.0085) ? new Vector(0.09, 0.07, 0.06) : new Vector(0.93, 0.92, 0.90);
        }

        if (Inside(across - 0.033, y - 1.643, 0.017, 0.0045))
        {
            return _garment.HairColour * 0.7;
        }

        return Inside(across, y - 1.551, 0.021, 0.0075) ? _garment.Skin.Mix(new Vector(0.66, 0.20, 0.22), 0.65) : _garment.Skin;
    }

    private void AddHair()
    {
        // Around the head, with a window for the face.
        AddHairPart(_garment.Hair == Hair.Short ? 1.545 : 1.57, 1.752, y => Round(y, HeadMiddle + 0.006, 0.134, 0.093, 0.108, w: -0.002, chin: 0));
        switch (_garment.Hair)
        {
            case Hair.Bob:
                AddHairPart(1.50, 1.625, y => new(Shift(y), -0.014, BobA[y], 0.096));
                break;
            case Hair.Long:
                AddHairPart(1.30, 1.62, y => new(Shift(y), -0.022, 0.100 + (0.06 * (1.62 - y)), 0.086 + (0.16 * Math.Max(0, 1.50 - y))));
                break;
            case Hair.Bun:
                Add(1.63, 1.75, y => Offset(Ball(y, 1.69, 0.055, 0.052, 0.052), 0, -0.105), Strands, gloss: 0.25);
                break;
        }
    }

    private void AddHairPart(double bottom, double top, Func<double, Ellipse> shape) =>
        Add(bottom, top, shape, Strands, covers: point => !IsFace(point), gloss: 0.25);

    private bool IsFace(SurfacePoint point)
    {
        // Below the chin hair hangs behind the shoulders' line.
        if (point.Y < 1.50)
        {
            return Math.Abs(point.Angle) < 1.45;
        }

        var parting = point.Across - (_garment.Hair == Hair.Short ? 0.03 : 0.012);
        return Math.Abs(point.Angle) < (_garment.Hair == Hair.Short ? 1.35 : 1.02) && point.Y < 1.704 - (5.5 * parting * parting);
    }

    private Vector Strands(SurfacePoint point) =>
        _garment.HairColour * ((point.IsInside ? 0.55 : 0.92) + (0.10 * Math.Sin((point.Angle * 19) + (3 * Math.Sin(point.Angle * 5)))));

    private void AddGarment()
    {
        var g = _garment;
        switch (g.Cut)
        {
            case Cut.Dress:
                AddSkirt(g.Upper, g.Hem);
                AddTop(g.Upper, Waist - 0.01, 0.008, g.Hem);
                AddSleeves(g.Upper, 0.011, g.Hem);
                break;
            case Cut.Skirt:
                AddSkirt(g.Lower, g.Hem);
                // Tucked in: the skirt goes over it.
                AddTop(g.Upper, Waist - 0.02, 0.006, Waist);
                AddSleeves(g.Upper, 0.010, Waist);
                break;
            case Cut.Trousers:
                AddTrousers(g.Lower);
                AddTop(g.Upper, g.TopHem, 0.017, g.TopHem);
                AddSleeves(g.Upper, 0.013, g.TopHem);
                break;
            case Cut.Coat:
                AddTrousers(g.Lower);
                AddTop(new Cloth(Pattern.Plain, g.Inner, g.Inner, 2), 0.95, 0.012, 0.95);
                AddCoat();
                AddSleeves(g.Upper, 0.019, g.Hem);
                break;
        }
    }

    private void AddTop(Cloth cloth, double bottom, double ease, double gradientEnd)
    {
        var weave = new Weave(cloth, 1, NeckBase, gradientEnd);
        var isCoat = _garment.Cut == Cut.Coat;
        // A top over trousers hangs from the chest and hides the waist in part.
        var loose = _garment.Cut == Cut.Trousers ? 0.55 : 0;
        Add(
            bottom,
            NeckBase,
            y => Trunk(y, ease, loose),
            p => Trimmed(weave.At(p), p, bottom, isCoat) * Edge(NeckLimit(p) - p.Y),
            covers: p => p.Y < NeckLimit(p) && (_garment.Sleeves != Sleeves.None || isCoat || Math.Abs(p.Across) < ArmHole(p.Y)),
            folds: p => 0.16 * Near(p.Y, Waist + 0.03, 0.07) * Math.Sin((p.Angle * 9) + 1));
    }

    private void AddSkirt(Cloth cloth, double hem)
    {
        var weave = new Weave(cloth, 1, _garment.Cut == Cut.Dress ? NeckBase : Waist, hem);
        var (flare, folds) = (_garment.Flare, _garment.Folds);
        var length = Waist - hem;
        // A straight skirt follows the hips and narrows below them; a wide one falls outwards from the waist.
        var straight = new Outline((hem, 0.154), (0.76, 0.170), (0.86, 0.176));
        Add(
            hem - 0.02,
            Waist + 0.012,
            y =>
            {
                var fall = Math.Clamp((Waist - y) / length, 0, 1);
                var body = Trunk(Math.Max(y, 0.86), 0.011);
                var narrow = y < 0.86 ? straight[y] / straight[0.86] : 1;
                var wide = 0.128 + (flare * 1.2 * Math.Pow(fall, 0.75));
                var (a, b) = (Math.Max(body.A * (flare == 0 ? narrow : 1), _garment.Build * wide), Math.Max(body.B * (flare == 0 ? narrow : 1), wide * 0.86));
                return new(Shift(y) + (SkirtDrift() * fall), body.W, a, b);
            },
            p => Belted(weave.At(p), p) * (p.IsInside ? 0.45 : Shade(p.Y, Waist, 0.03, 0.82)),
            covers: p => p.Y > hem + (flare * 0.06 * Math.Sin(folds * p.Angle)),
            folds: p => 2.2 * flare * Math.Clamp((Waist - p.Y) / length, 0, 1) * Math.Sin((folds * p.Angle) + 0.9),
            // The hem turns later than the waist, by up to a frame and a half for a long, wide skirt.
            yaw: y => _motion.Yaw(Math.Clamp(Waist - y, 0, 1) * flare * 1.1));
    }

    // A wide skirt swings against the hips.
    private double SkirtDrift() => -0.8 * _garment.Flare / 0.2 * _motion.Hips;

    private void AddTrousers(Cloth cloth)
    {
        // A coat's hem is not that of the trousers under it.
        var hem = _garment.Cut == Cut.Coat ? 0.085 : _garment.Hem;
        var weave = new Weave(cloth, 1, Waist, hem);
        var legWeave = new Weave(cloth, 0.5, Waist, hem);
        Add(0.77, 1.07, y => Trunk(y, 0.009), p => Waistband(weave.At(p), p));
        foreach (var side in Sides)
        {
            Add(
                hem,
                0.87,
                y =>
                {
                    var leg = Leg(y, side, 0.013);
                    // Wide legs hang straight from the thigh, narrow ones follow it.
                    var wide = 0.050 + (0.6 * _garment.Flare) + ((0.045 - (0.6 * _garment.Flare)) * Math.Clamp((y - hem) / (0.86 - hem), 0, 1));
                    return leg with { A = Math.Max(leg.A, wide), B = Math.Max(leg.B, wide) };
                },
                p => legWeave.At(p) * (p.IsInside ? 0.4 : 1),
                folds: p => 0.10 * Math.Sin((p.Angle * 4) + 1));
        }
    }

    private void AddCoat()
    {
        var weave = new Weave(_garment.Upper, 1, NeckBase, _garment.Hem);
        var hem = _garment.Hem;
        Add(
            hem,
            NeckBase + 0.008,
            y =>
            {
                var body = Trunk(Math.Max(y, 0.90), 0.026, loose: 0.5);
                var fall = Math.Clamp((Waist - y) / (Waist - hem), 0, 1);
                return body with { A = body.A + (_garment.Flare * fall), B = body.B + 0.012 + (_garment.Flare * 0.8 * fall) };
            },
            p => CoatPaint(weave.At(p), p) * (p.IsInside ? 0.5 : 1),
            covers: p => !p.IsFront || Math.Abs(p.Across) > Opening(p.Y),
            folds: p => 0.9 * (_garment.Flare + 0.05) * Math.Clamp((Waist - p.Y) / (Waist - hem), 0, 1) * Math.Sin((p.Angle * 7) + 0.4),
            yaw: y => _motion.Yaw(Math.Clamp(Waist - y, 0, 1) * 0.08));
    }

    // An open coat: a hand's breadth at the chest, closer at the waist, wider at the hem, around the neck at the top.
    private double Opening(double y) => y > 1.40
        ? 0.058 + (0.1 * (y - 1.40))
        : y > Waist ? 0.030 + (0.028 * (y - Waist) / (1.40 - Waist)) : 0.030 + (0.045 * (Waist - y) / (Waist - _garment.Hem + 0.05));

    private Vector CoatPaint(Vector cloth, SurfacePoint point)
    {
        if (!point.IsFront || point.IsInside)
        {
            return cloth;
        }

        var edge = Math.Abs(point.Across) - Opening(point.Y);
        // Lapels, widest at the chest.
        var lapel = 0.062 * Math.Clamp((point.Y - 1.12) / 0.14, 0, 1) * Math.Clamp((1.47 - point.Y) / 0.10, 0, 1);
        if (edge < lapel)
        {
            return edge > lapel - 0.008 ? cloth * 0.55 : cloth * 1.12;
        }

        // A pocket's flap on each side, and buttons along the one edge.
        if (Math.Abs(point.Y - 0.965) < 0.018 && Math.Abs(Math.Abs(point.Across) - 0.115) < 0.036)
        {
            return cloth * 0.72;
        }

        return point.Across > 0 && point.Y is > 0.80 and < 1.13 && IsButton(edge - 0.022, point.Y) ? _garment.Buttons ?? cloth : cloth;
    }

    private void AddSleeves(Cloth cloth, double ease, double gradientEnd)
    {
        if (_garment.Sleeves == Sleeves.None)
        {
            return;
        }

        var cuff = _garment.Sleeves == Sleeves.Short ? 1.235 : 0.875;
        foreach (var side in Sides)
        {
            // A cloth of two halves has a sleeve in each.
            var half = side < 0 ? cloth.Ground : cloth.Figure;
            var weave = new Weave(cloth.Pattern == Pattern.TwoTone ? new Cloth(Pattern.Plain, half, half, 2) : cloth, 0.35, NeckBase, gradientEnd);
            Add(
                cuff,
                ArmTop + ease,
                y => Arm(y, side, ease + (_garment.Sleeves == Sleeves.Short ? 0.10 * Math.Max(0, 1.34 - y) : 0)),
                p => weave.At(p with { Angle = side * p.Angle }) * (p.IsInside ? 0.4 : p.Y < cuff + 0.012 ? 0.84 : 1),
                folds: p => 0.12 * Near(p.Y, 1.12, 0.10) * Math.Sin((p.Y * 190) + p.Angle));
        }
    }

    // Neckline trim, buttons and print of a top; a coat hides the two last.
    private Vector Trimmed(Vector cloth, SurfacePoint point, double bottom, bool isCoat)
    {
        if (point.IsInside)
        {
            return cloth * 0.5;
        }

        var belted = _garment.Cut == Cut.Dress ? Belted(cloth, point) : cloth;
        if (!point.IsFront || isCoat)
        {
            return belted;
        }

        // Along the cloth, not across the picture: a print keeps its shape on a round chest.
        var along = point.Angle * point.Ellipse.A;
        if (IsPrinted(along, point.Y - 1.235))
        {
            return _garment.PrintColour;
        }

        return _garment.Buttons is { } buttons && point.Y > bottom + 0.03 && point.Y < NeckLimit(point) - 0.02 && IsButton(along, point.Y) ? buttons : belted;
    }

    private bool IsPrinted(double x, double y) => _garment.Print switch
    {
        Print.Disc => Inside(x, y, 0.052, 0.052),
        Print.Diamond => Math.Abs(x) + Math.Abs(y) < 0.062,
        // The curve (x^2 + y^2 - 1)^3 = x^2 y^3.
        Print.Heart => Heart(x / 0.050, (y + 0.006) / 0.050),
        Print.Bars => Math.Abs(x) < 0.075 && Math.Abs(y) < 0.05 && Math.Abs(y) % 0.04 < 0.0115,
        _ => false,
    };

    private static bool Heart(double x, double y)
    {
        var round = (x * x) + (y * y) - 1;
        return (round * round * round) - (x * x * y * y * y) < 0;
    }

    private static bool IsButton(double x, double y)
    {
        const double Distance = 0.075;
        return Inside(x, y - ((Math.Floor(y / Distance) + 0.5) * Distance), 0.0105, 0.0105);
    }

    private Vector Belted(Vector cloth, SurfacePoint point)
    {
        if (_garment.Belt is not { } belt || Math.Abs(point.Y - (Waist - 0.008)) > 0.019)
        {
            return cloth;
        }

        var buckle = point.IsFront && Math.Abs(point.Across) is var across && across < 0.026;
        return buckle && !Inside(point.Across, point.Y - (Waist - 0.008), 0.015, 0.009) ? Brass : belt;
    }

    private static Vector Waistband(Vector cloth, SurfacePoint point) => point.Y > 1.035 ? cloth * 0.85 : cloth;

    // The height at which cloth ends around the neck.
    private double NeckLimit(SurfacePoint point)
    {
        var across = Math.Abs(point.Across);
        var (depth, half) = _garment.Neckline switch
        {
            Neckline.Round => (0.030, 0.075),
            Neckline.Scoop => (0.105, 0.100),
            Neckline.V => (0.150, 0.082),
            _ => (0.030, 0.118),
        };
        var share = across / half;
        if (share >= 1)
        {
            return NeckBase + 0.1;
        }

        const double Top = 1.447;
        return !point.IsFront
            ? Top - (0.012 * (1 - share))
            : _garment.Neckline == Neckline.V ? Top - (depth * (1 - share)) : Top - (depth * Math.Sqrt(1 - (share * share)));
    }

    // The half width of a sleeveless bodice: from the side under the arm to the shoulder's strap.
    private static double ArmHole(double y) => y < 1.27 ? 1 : 0.170 - (0.055 * Math.Sqrt(Math.Clamp((y - 1.27) / 0.12, 0, 1)));

    private Ellipse Trunk(double y, double ease, double loose = 0)
    {
        var (a, b) = (TrunkA[y], TrunkB[y]);
        if (y < 1.30)
        {
            a += loose * Math.Max(0, 0.160 - a);
            b += loose * Math.Max(0, 0.118 - b);
        }

        return new(Shift(y), TrunkW[y], (a * _garment.Build) + ease, b + ease);
    }

    private Ellipse Arm(double y, int side, double ease)
    {
        var below = Math.Clamp((1.42 - y) / 0.6, 0, 1);
        // The shoulder is a ball.
        var above = Math.Clamp((y - 1.375) / (ArmTop + ease - 1.375), 0, 0.9999);
        var radius = (ArmRadius[y] + ease) * Math.Sqrt(1 - (above * above));
        var u = ArmU[y] * (0.5 + (0.5 * _garment.Build));
        return new(Shift(1.40) + (side * u), ((_motion.Hand(side) + 0.030) * below * below) - 0.006, radius, radius * (y < 0.86 ? 1.25 : 1.05));
    }

    private Ellipse Leg(double y, int side, double ease)
    {
        var radius = LegRadius[y];
        // A skirt leaves the knees less room, a straight one keeps them together.
        var inSkirt = _garment.Cut is Cut.Dress or Cut.Skirt;
        var bend = _motion.Knee(side) * Near(y, 0.48, 0.26) * (inSkirt ? 0.3 : 1);
        var apart = inSkirt && _garment.Flare == 0 ? 0.85 : 1;
        return new(Shift(y) + (side * LegU[y] * _garment.Build * apart), LegW[y] + bend, radius + ease, (radius * 1.06) + ease);
    }

    private Ellipse Shoe(double y, int side)
    {
        var height = Math.Clamp(y / 0.085, 0, 1);
        var length = 0.118 - (0.076 * Math.Sqrt(height));
        var round = Math.Sqrt(Math.Min(1, 0.35 + (y / 0.02)));
        return new((Leg(0.08, side, 0).U) + (side * 0.004), -0.055 + length - (0.004 * height), (0.044 - (0.008 * height)) * round, length * round);
    }

    private Ellipse Round(double y, double middle, double half, double a, double b, double w, double chin)
    {
        var t = Math.Clamp((y - middle) / half, -0.9999, 0.9999);
        var round = Math.Sqrt(1 - (t * t));
        // Below the cheeks a face is narrower than an egg.
        var narrow = 1 - (chin * Math.Max(0, -t));
        return new(Shift(y), w + (chin * 0.06 * Math.Max(0, -t)), a * round * narrow, b * round);
    }

    private Ellipse Ball(double y, double middle, double half, double a, double b) => Round(y, middle, half, a, b, w: 0, chin: 0);

    private static Ellipse Offset(Ellipse ellipse, double u, double w) => ellipse with { U = ellipse.U + u, W = ellipse.W + w };

    private Vector Skin(SurfacePoint _) => _garment.Skin;

    private double Shift(double y) => _motion.Hips * Lean[y];

    // 1 at a height, 0 at a distance from it.
    private static double Near(double y, double middle, double distance)
    {
        var t = Math.Clamp(Math.Abs(y - middle) / distance, 0, 1);
        return 1 - (t * t * (3 - (2 * t)));
    }

    // Dark at an edge, full light from a distance below it on.
    private static double Shade(double y, double edge, double distance, double dark) => dark + ((1 - dark) * Math.Clamp((edge - y) / distance, 0, 1));

    // A hem's fold along a cut.
    private static double Edge(double distance) => distance < 0.009 ? 0.80 : 1;

    private static bool Inside(double x, double y, double halfX, double halfY) => ((x / halfX) * (x / halfX)) + ((y / halfY) * (y / halfY)) < 1;

    private void Add(
        double bottom,
        double top,
        Func<double, Ellipse> shape,
        Func<SurfacePoint, Vector> paint,
        Func<SurfacePoint, bool>? covers = null,
        Func<SurfacePoint, double>? folds = null,
        Func<double, double>? yaw = null,
        double gloss = 0.06)
    {
        var turn = _motion.Yaw();
        _parts.Add(new Stack { Bottom = bottom, Top = top, Shape = shape, Paint = paint, Covers = covers, Folds = folds, Yaw = yaw ?? (_ => turn), Gloss = gloss });
    }
}
