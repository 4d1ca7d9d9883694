// How every figure moves: one known function of time, the same for all, so that the first frame determines the others.
namespace FashionFlow.App.Garments;

/// <summary>
/// The pose at a time. A figure starts facing the camera, turns to its one side, back and to the other, and sways with the
/// turn; hems and arms follow late. After <see cref="Period"/> it stands as at the start, so that a video of two seconds is a loop.
/// </summary>
/// <param name="Seconds">The time.</param>
internal readonly record struct Motion(double Seconds)
{
    /// <summary>Frames a second of the data set.</summary>
    public const int FramesPerSecond = 8;

    /// <summary>Seconds until the motion repeats itself.</summary>
    public const double Period = 2;

    /// <summary>The farthest turn to a side, in radians: 42 degrees. The front stays in view.</summary>
    public const double FarthestTurn = 42 * Math.PI / 180;

    // Metres, and how much later than the turn each part moves, in periods.
    private const double HipShift = 0.022;
    private const double HipDelay = 0.10;
    private const double ArmSwing = 0.055;
    private const double ArmDelay = 0.06;
    private const double KneeBend = 0.035;

    /// <summary>The pose of a frame.</summary>
    public static Motion OfFrame(int frame) => new(frame / (double)FramesPerSecond);

    /// <summary>The turn about the vertical axis, in radians; positive shows more of the figure's right side.</summary>
    /// <param name="delay">How many seconds later than the body a part turns: a skirt's hem lags behind.</param>
    public double Yaw(double delay = 0) => FarthestTurn * Wave((Seconds - delay) / Period);

    /// <summary>How far the hips are shifted to the figure's left, in metres.</summary>
    public double Hips => HipShift * Wave((Seconds / Period) - HipDelay);

    /// <summary>How far a hand is before the body, in metres.</summary>
    /// <param name="side">-1 for the right arm, 1 for the left one.</param>
    public double Hand(int side) => side * ArmSwing * Wave((Seconds / Period) - ArmDelay);

    /// <summary>How far a knee is bent forward, in metres: the leg that bears less weight.</summary>
    /// <param name="side">-1 for the right leg, 1 for the left one.</param>
    public double Knee(int side) => KneeBend * Math.Max(0, -side * Wave((Seconds / Period) - HipDelay));

    private static double Wave(double periods) => Math.Sin(2 * Math.PI * periods);
}
