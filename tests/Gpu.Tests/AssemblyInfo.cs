// Compiling takes most of these tests' time, and every test has its own fixture and files: run them side by side.
[assembly: Parallelizable(ParallelScope.All)]
[assembly: FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
