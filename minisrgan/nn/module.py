"""Module: a part of a network, with its parameters, its buffers and the parts it is made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set, ValuesView
from types import GeneratorType
from typing import Any, ClassVar, Self

from minisrgan.autograd import Tensor, mark_changed
from minisrgan.autograd.arguments import require_flag
from minisrgan.autograd.checks import require_output, require_state
from minisrgan.autograd.modes import add_hook
from minisrgan.backend import Array, array_module, is_array, to_device
from minisrgan.errors import ArgumentError, MinisrganError

_OTHERS, _ONCE = Set | ValuesView | deque, GeneratorType | map | filter | zip  # _ONCE: can be read only once


class Parameter(Tensor):
    """A tensor that is learned: it belongs to a module, and requires a gradient. Its array is a copy, as it changes.

    >>> Parameter([1.0, 2.0]).requires_grad
    True
    """

    __slots__ = ()

    def __init__(self, array: Any, requires_grad: bool = True) -> None:
        super().__init__(array, requires_grad)
        self._array = self._array.copy()


def _parts(name: str, value: Any) -> Iterator[tuple[str, Module | Parameter]]:
    """Yield the modules and parameters of an attribute: its value, or the items of a list, tuple or dict."""
    if isinstance(value, Module | Parameter):
        yield name, value
    elif isinstance(value, list | tuple | dict):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _parts(f"{name}.{key}", part)


class Module:
    """The base class of all layers and models.

    A subclass assigns parameters (`Parameter`), other modules, and buffers as attributes, and writes `forward`.
    There is no registration: parameters and modules are found by their type, also in lists, tuples and dicts, buffers
    by the names in ``buffer_names``. An attribute that is one of these can only be replaced by one of the same kind.

    training  True while training: batch norm then uses the batch's statistics. Set by `train` and `eval`, which
              do not change the gradient mode.

    >>> import numpy as np
    >>> from minisrgan import nn
    >>> rng = np.random.default_rng(0)
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, rng=rng), nn.BatchNorm2d(8), nn.PReLU(8))
    >>> net
    Sequential: 248 parameters
      0  Conv2d 3 -> 8, kernel 3x3, padding 1: weight (3, 3, 3, 8), bias (8,), 224 parameters
      1  BatchNorm2d 8: weight (8,), bias (8,), 16 parameters
      2  PReLU: weight (8,), 8 parameters
    >>> [name for name, _ in net.named_parameters()]
    ['0.weight', '0.bias', '1.weight', '1.bias', '2.weight']
    """

    explain: ClassVar[Callable[..., str]]  # this and the text of print(module) come from minisrgan.explain
    buffer_names: ClassVar[tuple[str, ...]] = ()
    description: ClassVar[str] = ""  # format string of `describe`: {0.stride} is the attribute stride
    training: bool = True
    _name: str = ""

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """Compute the output; called through ``module(...)``."""
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def describe(self) -> str:
        """Return the settings of this layer in a few words, for `repr` and the summary."""
        return self.description.format(self)

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """Run forward; if it raises an error, put the name of this module in front of its path.

        Errors  DTypeError unless the result is a Tensor, or a tuple, list or dict with at least one.
        """
        try:
            y: Tensor = require_output(type(self).__name__, self.forward(*inputs, **options))
        except MinisrganError as error:
            error.inside(self._name or type(self).__name__.lower())
            raise
        for hook in list(self.__dict__.get("_forward_hooks", {}).values()):
            hook(self, inputs, y)
        return y

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign an attribute; modules and parameters are named after it."""
        self._require_same_kind(name, value)
        object.__setattr__(self, name, value)
        for path, part in _parts(name, value):
            if isinstance(part, Module):
                part._rename(path)
            for below, parameter in part.named_parameters() if isinstance(part, Module) else [("", part)]:
                parameter.name = f"{type(self).__name__.lower()}.{path}.{below}".rstrip(".")

    def _require_same_kind(self, name: str, value: Any) -> None:
        """Refuse a value with which a parameter, a module or a buffer would not be found."""
        old = vars(self).get(name)
        if isinstance(old, Parameter) and not isinstance(value, Parameter | None):
            expected, fix = "a Parameter", f"under no_grad, write module.{name} *= 0.5, or assign a new Parameter"
        elif isinstance(old, Module) and not isinstance(value, Module | None):
            expected, fix = "a module", "assign one, as ReLU() is and the class ReLU is not"
        elif name in self.buffer_names and not is_array(value):
            expected, fix = "an array", f"change it in place: module.{name}[...] = values"
        elif isinstance(value, _ONCE) or (isinstance(value, _OTHERS) and [*_parts(name, [*value])]):
            expected, fix = "modules in an order that gives them their names, in a list, tuple or dict", "use a list"
        elif isinstance(value, Module) and any(part is self for _, part in value.named_modules()):
            expected, fix = "a module that does not contain this one", "pass what it needs to forward instead"
        else:
            return
        raise ArgumentError(f"{type(self).__name__}.{name}", expected=expected, got=type(value).__name__, fix=fix)

    def _rename(self, path: str) -> None:
        object.__setattr__(self, "_name", path)
        if type(self).forward is Module.forward:  # a list of modules: the owner calls them itself
            for name, child in self.children().items():
                child._rename(f"{path}.{name}")

    # Parts

    def children(self) -> dict[str, Module]:
        """Return the modules assigned to this one by name, in order; those in a list as ``name.0``, ``name.1`` ..."""
        return {path: part for path, part in self.parts() if isinstance(part, Module)}

    def parts(self) -> Iterator[tuple[str, Module | Parameter]]:
        """Iterate over the modules and parameters assigned to this module, with their names."""
        for name, value in vars(self).items():
            yield from _parts(name, value)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Iterate over this module and all modules below it, with their paths; its own path is the prefix."""
        yield prefix, self
        for name, child in self.children().items():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Iterate over all parameters with their paths, such as ``blocks.3.conv1.weight``."""
        for path, module in self.named_modules():
            for name, part in module.parts():
                if isinstance(part, Parameter):
                    yield f"{path}.{name}" if path else name, part

    def parameters(self) -> list[Parameter]:
        """Return all parameters, each once even if two layers share it."""
        return list({id(parameter): parameter for _, parameter in self.named_parameters()}.values())

    def parameter_count(self) -> int:
        """Return the number of learned numbers."""
        return sum(parameter.size for parameter in self.parameters())

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Iterate over the arrays that belong to the state but are not learned, such as running statistics."""
        for path, module in self.named_modules():
            for name in module.buffer_names:
                yield f"{path}.{name}" if path else name, getattr(module, name)

    # State

    def state_dict(self) -> dict[str, Array]:
        """Return every parameter and buffer by its path. The arrays are shared with the module, not copied."""
        return {name: parameter.data for name, parameter in self.named_parameters()} | dict(self.named_buffers())

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Copy values into every parameter and buffer.

        Errors  WeightsError that lists all entries that are missing, unexpected, of the wrong shape, or not finite
                floats; nothing is changed then. WeightsError too for what is no dict: a path, a module, a list.
        """
        ours = self.state_dict()
        state = require_state(f"load_state_dict of {type(self).__name__}", state, ours)
        for name, array in ours.items():
            array[...] = array_module(array).asarray(state[name])
            mark_changed(array)

    # Modes

    def train(self, mode: bool = True) -> Self:
        """Set training mode here and in every module below; ArgumentError unless mode is True or False."""
        for _, module in self.named_modules():
            module.training = require_flag("train", "mode", mode, "write train(), train(False) or eval()")
        return self

    def eval(self) -> Self:
        """Set evaluation mode: batch norm uses its running statistics. Gradients are recorded as before."""
        return self.train(False)

    def requires_grad_(self, flag: bool = True) -> Self:
        """Set whether the parameters require gradients. A frozen network still passes gradients to its input."""
        for parameter in self.parameters():
            parameter.requires_grad = flag
        return self

    def to(self, device: str) -> Self:
        """Move parameters and buffers to ``cpu``, ``cuda`` or ``cuda:N``, in place. Gradients are dropped."""
        return self._convert(lambda array: to_device(array, device))

    def astype(self, dtype: Any) -> Self:
        """Convert parameters and buffers, in place; float64 is for checks. Gradients are dropped."""
        return self._convert(lambda array: array.astype(dtype, copy=False))

    def _convert(self, convert: Callable[[Array], Array]) -> Self:
        for parameter in self.parameters():
            parameter.grad = None
            if (array := convert(parameter.data)) is not parameter.data:
                parameter.data = array
        for _, module in self.named_modules():
            for name in module.buffer_names:
                setattr(module, name, convert(getattr(module, name)))
        return self

    def zero_grad(self) -> None:
        """Set the gradients of all parameters to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def register_forward_hook(self, hook: Callable[[Module, tuple[Any, ...], Tensor], None]) -> Callable[[], None]:
        """Call ``hook(module, inputs, output)`` after every forward; return a function that removes the hook."""
        return add_hook(self.__dict__.setdefault("_forward_hooks", {}), hook)
