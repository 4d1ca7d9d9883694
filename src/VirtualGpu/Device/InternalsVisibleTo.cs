// The tests look at memory, launch rules and both SIMD widths from inside.
using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("FashionFlow.VirtualGpu.Tests")]
