// The entry point of the command line. Follow a picture from here: GenerateCommand, Media/PictureReader, the pipeline in
// FashionFlow.Diffusion, Media/VideoWriter.
using FashionFlow.App.Commands;
using FashionFlow.App.Terminal;

using var interruption = new Interruption();
return CommandLine.Run(args, new Screen(), interruption);
