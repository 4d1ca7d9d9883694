// The tests look inside.
using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("FashionFlow.VirtualGpu.Tests")]
