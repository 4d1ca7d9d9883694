// The entry point of the command line.
return 0;
