"""A pass through a network as a list of steps with their numbers, for `explain_layers` and the page."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from minisrgan.autograd import Function, Tensor, enable_grad
from minisrgan.autograd.engine import Vertex, propagate, vertex_of
from minisrgan.autograd.profile import Profile, profiler
from minisrgan.backend import Array, is_array, setting, to_numpy
from minisrgan.nn import Conv2d, Linear, MaxPool2d, Module, Parameter
from minisrgan.ops.conv import frame_of

Loss: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(eq=False)
class Step:
    """One operation, or a layer that consists of several.

    path     of the module that computed it: "" is the model itself
    op       the name of a Function, ``linear``, ``input``, or the name of a module whose operations are not recorded
    module   that module, None for the input and the loss
    inputs   by their names in the formula: earlier steps, arrays and numbers
    value    the result
    options  ``stride``, ``eps`` ...
    names    the paths of the inputs that are parameters
    alone    whether it is the only step of its module
    grad     dL/d(value), where there is a loss that depends on it
    """

    path: str
    op: str
    module: Module | None
    inputs: dict[str, Any]
    value: Array
    options: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    alone: bool = False
    grad: Array | None = None

    @property
    def title(self) -> str:
        """The layer with its settings or, for an operation inside a larger module, its name."""
        return title_of(self.module) if self.module and self.alone else self.op

    @property
    def name(self) -> str:
        """The path and, for an operation inside a larger module, its name."""
        return self.path if self.alone else f"{self.path} {self.op}".strip()


def title_of(module: Module) -> str:
    """Return a module's kind and settings.

    >>> title_of(MaxPool2d(2))
    'MaxPool2d 2x2, stride 2'
    """
    return f"{type(module).__name__} {module.describe()}".strip()


def record(model: Module, *inputs: Any, loss: Loss | None = None) -> list[Step]:
    """Run a model and a loss on its result, and return the steps in the order in which they were computed.

    Nothing is changed: the running statistics of batch norm are restored, and no parameter's `.grad` is touched.

    >>> from minisrgan import nn
    >>> steps = record(nn.Sequential(nn.ReLU(), nn.PReLU(1)), Tensor([[-4.0, 2.0]]), loss=lambda y: y.sum())
    >>> [(step.name, step.op, step.grad.tolist()) for step in steps[:3]]
    [('input', 'input', [[0.0, 1.0]]), ('0', 'relu', [[0.25, 1.0]]), ('1', 'prelu', [[1.0, 1.0]])]
    """
    recorder = _Recorder(model)
    with ExitStack() as afterwards, enable_grad():
        for path, module in model.named_modules():
            for name in module.buffer_names:
                array = getattr(module, name)
                afterwards.callback(array.__setitem__, ..., array.copy())
            afterwards.callback(module.register_forward_hook(partial(recorder.after, path)))
        given = [Tensor(x, requires_grad=True) if isinstance(x, Tensor) or is_array(x) else x for x in inputs]
        for x in (x for x in given if isinstance(x, Tensor)):
            recorder.note(Step("input", "input", None, {}, x.data, alone=True), x)
        with setting(profiler, recorder):
            y = model(*given)
            recorder.outside = "loss"
            total = None if loss is None else loss(y)
        if total is not None and total.requires_grad:
            vertices = [vertex for vertex, _ in recorder.vertices.values()]
            for vertex, grad, _ in propagate([total], [None], vertices, create_graph=False, retain_graph=True):
                recorder.vertices[id(vertex)][1].grad = to_numpy(grad.data)
    return list(recorder.steps.values())


class _Recorder(Profile):
    """Records operations, as the profile that `Function.apply` calls, and the module of each, by forward hooks."""

    def __init__(self, model: Module) -> None:
        super().__init__()
        self.paths = {id(parameter): path for path, parameter in model.named_parameters()}
        self.steps: dict[int, Step] = {}  # by the id of the result's array, which the step keeps alive
        self.vertices: dict[int, tuple[Vertex, Step]] = {}  # by the id of the vertex
        self.outside = ""  # the path of steps outside all modules

    def note(self, step: Step, vertex: Vertex) -> None:
        """Add a step, and the vertex of its result in the graph."""
        self.steps[id(step.value)] = step
        self.vertices[id(vertex)] = vertex, step

    def step_of(self, x: Any) -> Step | None:
        """Return the step that computed a Tensor, None if no recorded step did."""
        return self.steps.get(id(x.data)) if isinstance(x, Tensor) else None

    def step(self, path: str, op: str, module: Module | None, given: Mapping[str, Any], value: Array) -> Step:
        """Create a step; each input Tensor is replaced by the step that computed it."""
        inputs = {name: self.step_of(x) or (x.data if isinstance(x, Tensor) else x) for name, x in given.items()}
        names = {name: self.paths[id(x)] for name, x in given.items() if id(x) in self.paths}
        return Step(path, op, module, inputs, value, {}, names, alone=module is not None)

    def timed(self, name: str, phase: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the work of an operation, extended so that it is recorded when it is done."""
        node: Function = work.__self__  # type: ignore[attr-defined]

        def run(*arrays: Any, **options: Any) -> Any:
            names = [node.argument(i) for i in range(len(arrays))]
            names = [f"{n}{i}" if names.count(n) > 1 else n for i, n in enumerate(names)]
            given = dict(zip(names, node._given, strict=True))
            given |= dict(zip(("running_mean", "running_var"), options.get("running") or (), strict=False))
            value = work(*arrays, **options)
            value = np.asarray(value) if isinstance(value, np.generic) else value  # the array that the Tensor will have
            known = type(node).__module__.startswith("minisrgan.")
            step = self.step(self.outside, name if known else type(node).__name__, None, given, value)
            if any(isinstance(x, Step) for x in step.inputs.values()):
                step.options = options
                self.note(step, node)
            return value

        return run

    def after(self, path: str, module: Module, given: tuple[Any, ...], y: Any) -> None:
        """Assign to a module the steps between its inputs and its result that belong to no module inside it."""
        if not isinstance(y, Tensor):
            return
        ends, own, stack, seen = {self.step_of(x) for x in given}, [], [self.step_of(y)], set()
        while stack:
            step = stack.pop()
            if step is None or step in ends or step in seen or step.op == "input":
                continue
            seen.add(step)
            stack += [x for x in step.inputs.values() if isinstance(x, Step)]
            if step.module is None:
                step.path, step.module = path, module
                own.append(step)
        for step in own:
            step.alone = len(own) == 1 and not module.children()
        if settings := _LAYERS.get(type(module)):  # one step, however many operations it takes
            for step in own:
                del self.steps[id(step.value)]
            op, options = settings(module)
            parameters = {name: part for name, part in module.parts() if isinstance(part, Parameter)}
            self.note(self.step(path, op, module, {"x": given[0], **parameters}, y.data), vertex_of(y))
            self.steps[id(y.data)].options = options
        elif self.step_of(y) is None:  # computed by operations that were not recorded
            inputs = {f"x{i}": x for i, x in enumerate(given) if self.step_of(x)}
            self.note(self.step(path, type(module).__name__, module, inputs, y.data), vertex_of(y))


def _convolution(layer: Conv2d) -> tuple[str, dict[str, Any]]:
    height, width, *_ = layer.weight.shape
    strides, ((top, _), (left, _)) = frame_of((height, width), layer.stride, layer.padding)
    return "conv2d", {"stride": strides, "padding": (top, left)}


_LAYERS: Mapping[type[Module], Callable[[Any], tuple[str, dict[str, Any]]]] = {
    Conv2d: _convolution,
    Linear: lambda layer: ("linear", {}),
    MaxPool2d: lambda layer: ("max_pool2d", {"size": layer.size, "stride": layer.stride}),
}
