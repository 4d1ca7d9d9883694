// A few persistent threads that share numbered tasks. Which thread runs a task is up to chance; what a task does must not
// depend on it, so that results do not either.
using FashionFlow.Gpu;

namespace FashionFlow.VirtualGpu;

/// <summary>Runs numbered tasks on the calling thread and a fixed number of helpers, which sleep in between.</summary>
internal sealed class WorkerPool : IDisposable
{
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Thread[] _helpers;
    private Job? _job;
    private volatile bool _stopping;

    /// <summary>Makes a pool of <paramref name="threads"/> threads, the caller of <see cref="Run"/> counted in; 0 takes one a core.</summary>
    public WorkerPool(int threads)
    {
        Threads = threads > 0 ? threads : Environment.ProcessorCount;
        _helpers = new Thread[Threads - 1];
        for (var i = 0; i < _helpers.Length; i++)
        {
            _helpers[i] = new Thread(Help) { IsBackground = true, Name = $"virtual GPU worker {i + 1}" };
            _helpers[i].Start();
        }
    }

    /// <summary>Threads that share the tasks.</summary>
    public int Threads { get; }

    /// <summary>
    /// Runs <paramref name="body"/> once for each number below <paramref name="tasks"/> and returns when all are done. The
    /// first exception is rethrown after that. One call at a time; a call from inside a task is not allowed.
    /// </summary>
    public void Run(int tasks, Action<int> body)
    {
        if (tasks <= 1 || Threads == 1)
        {
            for (var task = 0; task < tasks; task++)
            {
                body(task);
            }

            return;
        }

        lock (_gate)
        {
            var helpers = Math.Min(_helpers.Length, tasks - 1);
            var job = new Job(tasks, body);
            Volatile.Write(ref _job, job);
            _wake.Release(helpers);
            job.Work();
            job.Wait();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_stopping)
        {
            return;
        }

        _stopping = true;
        _wake.Release(Threads);
        foreach (var helper in _helpers)
        {
            helper.Join();
        }

        _wake.Dispose();
    }

    private void Help()
    {
        while (true)
        {
            _wake.Wait();
            if (_stopping)
            {
                return;
            }

            // A helper that wakes late may find the next job, or one that is finished: both are harmless.
            Volatile.Read(ref _job)?.Work();
        }
    }

    private sealed class Job(int tasks, Action<int> body)
    {
        private readonly object _done = new();
        private int _next;
        private int _finished;
        private Exception? _failure;

        public void Work()
        {
            int task;
            while ((task = Interlocked.Increment(ref _next) - 1) < tasks)
            {
                try
                {
                    body(task);
                }
                catch (Exception e)
                {
                    Interlocked.CompareExchange(ref _failure, e, null);
                }

                if (Interlocked.Increment(ref _finished) == tasks)
                {
                    lock (_done)
                    {
                        Monitor.PulseAll(_done);
                    }
                }
            }
        }

        public void Wait()
        {
            // The last tasks are usually about as long as the caller's own: spin a little before sleeping.
            var spinner = default(SpinWait);
            while (Volatile.Read(ref _finished) != tasks && !spinner.NextSpinWillYield)
            {
                spinner.SpinOnce();
            }

            lock (_done)
            {
                while (Volatile.Read(ref _finished) != tasks)
                {
                    Monitor.Wait(_done);
                }
            }

            if (_failure is { } failure)
            {
                if (failure is GpuException gpu)
                {
                    throw new GpuException(gpu.Result, gpu.Detail, gpu);
                }

                throw new InvalidOperationException($"a task of the virtual GPU failed: {failure.Message}", failure);
            }
        }
    }
}
