// The tests look inside, and the stand-in driver of tests asks what lies in an allocation.
using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("FashionFlow.VirtualGpu.Tests")]
[assembly: InternalsVisibleTo("FashionFlow.StandIns")]
