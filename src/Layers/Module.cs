// A part of a network: parameters and sub-modules under the names that PyTorch's state dictionary gives them.
using FashionFlow.Autograd;
using FashionFlow.Gpu;
using FashionFlow.Tensors;
using FashionFlow.Tensors.Weights;

namespace FashionFlow.Layers;

/// <summary>
/// Sees what a module gives out, under the module's path as PyTorch spells it (<c>downs.0.1.1</c>). The tensor is valid
/// during the call only.
/// </summary>
public delegate void ActivationObserver(string path, Tensor activation);

/// <summary>
/// A part of a network. Constructing it describes it; <see cref="Load"/> gives it weights. Names and order of parameters
/// are those of the reference's state dictionary. Forward methods return tensors that belong to the caller's
/// <see cref="TensorScope"/>.
/// </summary>
public abstract class Module : IDisposable
{
    private readonly List<(string Name, Parameter? Parameter, Module? Child)> _members = [];
    private Module? _parent;
    private string _name = "";

    /// <summary>The path from the root: names joined by dots; empty at the root.</summary>
    public string Path => _parent is null ? _name : Join(_parent.Path, _name);

    /// <summary>Sees the outputs of this module and all below it. Set it on the root.</summary>
    public ActivationObserver? Observer
    {
        get => IsUnseen ? null : _parent is null ? field : _parent.Observer;
        set;
    }

    /// <summary>Whether nobody sees the outputs of this module and those below it: while it works in parts that nobody knows.</summary>
    protected bool IsUnseen { get; set; }

    /// <summary>All parameters in the reference's order.</summary>
    public IEnumerable<NamedParameter> Parameters => ParametersBelow("");

    /// <summary>The number of learned values.</summary>
    public long ParameterCount => Parameters.Sum(p => p.Parameter.TorchShape.Count);

    /// <summary>The modules below this one and itself, outermost first.</summary>
    public IEnumerable<Module> Modules
        => _members.Where(m => m.Child is not null).SelectMany(m => m.Child!.Modules).Prepend(this);

    /// <summary>Today's name of a tensor that older files spell differently; the name itself if there is none.</summary>
    public virtual string CurrentName(string name) => name;

    /// <summary>Whether a file of this model may hold such a tensor although the model does not use it.</summary>
    public virtual bool IsForeign(string name) => false;

    /// <summary>
    /// Takes all parameters from a source, or none: the source is checked before anything is uploaded, and a failure later
    /// leaves the module as it was.
    /// </summary>
    /// <param name="context">Where the weights will live.</param>
    /// <param name="source">Where they come from.</param>
    /// <param name="type">Float32, or Float64 for gradient checks.</param>
    /// <exception cref="WeightLoadException">Parameters are missing, surplus or mis-shaped: all of them are named.</exception>
    public void Load(DeviceContext context, WeightSource source, DType type = DType.Float32)
    {
        var parameters = Parameters.ToList();
        source.Check(this, parameters);
        var uploaded = new List<Tensor>(parameters.Count);
        try
        {
            foreach (var named in parameters)
            {
                uploaded.Add(named.Parameter.Upload(context, source.Read(context, named), type));
            }
        }
        catch
        {
            uploaded.ForEach(t => t.Dispose());
            throw;
        }

        for (var i = 0; i < parameters.Count; i++)
        {
            parameters[i].Parameter.Assign(uploaded[i]);
        }
    }

    /// <summary>Takes the memory of all parameters and gives them no values: enough to measure what a run will take.</summary>
    /// <param name="context">Where.</param>
    public void Reserve(DeviceContext context)
    {
        foreach (var (_, parameter) in Parameters)
        {
            parameter.Assign(TensorScope.Detach(Tensor.Empty(context, parameter.Layout.DeviceShape)));
        }
    }

    /// <summary>Makes leaves of all parameters: backward passes gather their gradients (<see cref="Gradients"/>), in memory of their own.</summary>
    /// <exception cref="InvalidOperationException">The module was not loaded, or its parameters are leaves already.</exception>
    public void RequireGradients()
    {
        foreach (var (_, parameter) in Parameters)
        {
            parameter.Value.RequireGradient();
        }
    }

    /// <summary>Writes all parameters to a safetensors file, in PyTorch's names, shapes and order of elements.</summary>
    public void Save(string path, IReadOnlyDictionary<string, string>? metadata = null)
        => SafetensorsWriter.Write(
            path,
            Parameters.Select(p => new SafetensorsTensor(p.Name, p.Parameter.TorchShape, p.Parameter.ReadTorch())),
            metadata);

    /// <summary>Frees the weights and whatever else the module holds in device memory.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the weights; a module that caches more frees that too.</summary>
    protected virtual void Dispose(bool disposing)
    {
        foreach (var (_, parameter, child) in _members)
        {
            parameter?.Assign(null);
            child?.Dispose();
        }
    }

    /// <summary>Declares a parameter.</summary>
    protected Parameter Declare(string name, Shape torchShape, Initialization initialization, WeightLayout? layout = null)
    {
        var parameter = new Parameter(torchShape, layout ?? WeightLayout.Unchanged(torchShape), initialization);
        _members.Add((name, parameter, null));
        return parameter;
    }

    /// <summary>Adds a sub-module. Its name may hold dots where PyTorch has a container without a meaning of its own.</summary>
    protected T Add<T>(string name, T child)
        where T : Module
    {
        child._parent = this;
        child._name = name;
        _members.Add((name, null, child));
        return child;
    }

    /// <summary>Shows an activation that is not a module's result of its own, where somebody looks.</summary>
    /// <param name="name">The name below this module's path.</param>
    /// <param name="activation">Makes it; called only if it is looked at.</param>
    protected void Show(string name, Func<Tensor> activation)
    {
        if (Observer is { } observer)
        {
            using var unrecorded = Tape.NoGrad();
            using var scope = TensorScope.Begin();
            observer(Join(Path, name), activation());
        }
    }

    /// <summary>Ends a forward: shows the result to the observer and hands it to the enclosing scope.</summary>
    protected Tensor Return(TensorScope scope, Tensor result)
    {
        Observer?.Invoke(Path, result);
        return scope.Keep(result);
    }

    /// <summary>Frees an activation once its successor is there, except <paramref name="keep"/>, which is the caller's.</summary>
    protected static Tensor Next(Tensor old, Tensor next, Tensor? keep = null)
    {
        if (!ReferenceEquals(old, keep))
        {
            old.Dispose();
        }

        return next;
    }

    private static string Join(string path, string name) => path.Length == 0 ? name : name.Length == 0 ? path : $"{path}.{name}";

    private IEnumerable<NamedParameter> ParametersBelow(string path)
        => _members.SelectMany(m => m.Child is null
            ? [new NamedParameter(Join(path, m.Name), m.Parameter!)]
            : m.Child.ParametersBelow(Join(path, m.Name)));
}
