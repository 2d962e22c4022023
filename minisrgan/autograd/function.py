"""Function: an operation as a forward and backward pair, and the node that its call leaves in the graph.

A subclass writes two methods:

    forward(self, *arrays, **options)   computes on plain arrays, and calls self.save(...) for what backward needs
    backward(self, grad_y)              computes on Tensors, with operations that can be differentiated themselves

so that the gradient of a gradient needs nothing more. Where one pass over the arrays can do what several operations
would, a third method, ``backward_fused(self, grad_y)`` on plain arrays, is used whenever no second derivative is asked
for; the tests hold the two against each other.

What a node keeps. Its parents (strongly), and what save() was given; never its output, so the graph has no cycle and
disappears with the last Tensor that needs it.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from typing import Any, ClassVar, TypeAlias

import numpy as np

from minisrgan.autograd.modes import calling_line, is_anomaly_enabled, is_grad_enabled
from minisrgan.autograd.profile import profiler
from minisrgan.autograd.tensor import Hook, Operand, Scalar, Tensor
from minisrgan.backend import Array, array_module, device_of, is_array
from minisrgan.errors import DeviceError, DTypeError, NonFiniteError

Gradients: TypeAlias = Tensor | tuple[Tensor | None, ...] | None
_OUTPUT = -1  # the mark of a saved array that is the result itself


class Function:
    """The base of all operations; see the module's text.

    name         the operation as its users call it: PixelShuffle is ``pixel_shuffle``
    needs_grad   for each input, whether its gradient is asked for in this backward pass
    parents      for each input: the node that made it, the leaf itself, or None where no gradient goes
    shapes       the shape of each input, () for a Python number
    """

    name: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Derive the operation's name from the class's: a new word starts where a small letter meets a capital."""
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", cls.__name__).lower()

    def __init__(self) -> None:
        self.parents: tuple[Function | Tensor | None, ...] = ()
        self.needs_grad: tuple[bool, ...] = ()
        self.shapes: tuple[tuple[int, ...], ...] = ()
        self.hooks: list[Hook] = []
        self.line = ""
        self.released = False
        self._saved: list[tuple[Any, int | None]] = []
        self._inputs: tuple[Any, ...] = ()

    def forward(self, *inputs: Any, **options: Any) -> Array:
        """Compute the result on plain arrays."""
        raise NotImplementedError

    def backward(self, grad_y: Tensor) -> Gradients:
        """Return the gradient of each input (None where there is none), given that of the result, as Tensors.

        A returned array is new, or grad_y itself or a view of it; never one that was saved.
        """
        raise NotImplementedError

    backward_fused: Any = None

    def save(self, *values: Any) -> None:
        """Keep values for the backward pass: inputs, the result, or arrays computed on the way."""
        if not any(self.needs_grad):
            return
        for value in values:
            source = next((i for i, given in enumerate(self._inputs) if given is value), None)
            self._saved.append((value, source))

    @property
    def saved(self) -> tuple[Tensor, ...]:
        """What was saved; inputs and the result come back as Tensors in their place in the graph.

        Anything else comes back as it was: a Python number, or an array that is a constant of the backward pass.
        """
        return tuple(self._revive(value, source) for value, source in self._saved)

    @property
    def saved_arrays(self) -> tuple[Any, ...]:
        """What was saved, as plain arrays."""
        return tuple(value for value, _ in self._saved)

    def _revive(self, value: Any, source: int | None) -> Any:
        if source is None or not is_array(value):
            return value
        parent = self if source == _OUTPUT else self.parents[source]
        if isinstance(parent, Tensor):
            return parent
        tensor = Tensor(value)
        if parent is not None:
            tensor._node, tensor.requires_grad = parent, True
        return tensor

    def release(self) -> None:
        """Let go of what was saved and of the parents: this part of the graph is done."""
        self._saved, self.parents, self.released = [], (), True

    @classmethod
    def apply(cls, *inputs: Operand, **options: Any) -> Tensor:
        """Run forward and, if a gradient may be asked for, leave a node in the graph."""
        given = tuple(cls._accept(value, position) for position, value in enumerate(inputs))
        tensors = [value for value in given if isinstance(value, Tensor)]
        if not tensors:
            got = ", ".join(map(str, given))
            raise DTypeError(cls.name, expected="at least one Tensor", got=got, fix="wrap the numbers: Tensor(...)")
        for other in tensors[1:]:
            if other.dtype != tensors[0].dtype or device_of(other.data) != device_of(tensors[0].data):
                cls._refuse_mixture(given)

        node = cls()
        recording = is_grad_enabled()
        node.needs_grad = tuple(recording and isinstance(v, Tensor) and v.requires_grad for v in given)
        node.shapes = tuple(v.shape if isinstance(v, Tensor) else () for v in given)
        # A view each: save() knows inputs by identity, and x and x.detach() share one array.
        node._inputs = tuple(v.data.view() if isinstance(v, Tensor) else v for v in given)
        anomaly, recorder = is_anomaly_enabled(), profiler.get()
        forward = node.forward if recorder is None else recorder.timed(node.name, "forward", node.forward)
        with np.errstate(all="ignore") if anomaly else contextlib.nullcontext():  # an error will say it better
            result = forward(*node._inputs, **options)
        node._inputs = ()
        data = np.asarray(result) if isinstance(result, np.generic) else result  # NumPy turns 0-d into scalars
        if anomaly:
            node.line = calling_line()
            check_finite(data, node.name, "finite results", node.line)

        y = Tensor(data)
        if any(node.needs_grad):
            node.parents = tuple(
                (v if v._node is None else v._node) if isinstance(v, Tensor) and v.requires_grad else None
                for v in given
            )
            node._saved = [(data, _OUTPUT) if value is result else (value, at) for value, at in node._saved]
            y.requires_grad, y._node = True, node
        return y

    @classmethod
    def _accept(cls, value: Operand, position: int) -> Tensor | Scalar:
        """Take a Tensor or an array as it is, and a number as a Python number, which changes no dtype."""
        if isinstance(value, Tensor):
            return value
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, int | float):
            return value
        if is_array(value):
            return Tensor(value)
        told = f"a Tensor, an array or a number as {cls._argument(position)}"
        raise DTypeError(cls.name, expected=told, got=type(value).__name__, fix="wrap it: Tensor(...)")

    @classmethod
    def _argument(cls, position: int) -> str:
        """Return the name of an input, for messages."""
        names = [name for name in inspect.signature(cls.forward).parameters if name != "self"]
        return names[min(position, len(names) - 1)]

    @classmethod
    def _refuse_mixture(cls, given: tuple[Tensor | Scalar, ...]) -> None:
        named = [(cls._argument(i), v) for i, v in enumerate(given) if isinstance(v, Tensor)]
        dtypes, devices = {v.dtype for _, v in named}, {v.device for _, v in named}
        if len(devices) > 1:
            got = ", ".join(f"{name} on {v.device}" for name, v in named)
            raise DeviceError(cls.name, expected="arrays of one device", got=got, fix="move one: tensor.to(device)")
        got = ", ".join(f"{name} {v.dtype}" for name, v in named)
        raise DTypeError(
            cls.name, expected=f"one dtype, not {len(dtypes)}", got=got, fix="convert one: array.astype(np.float32)"
        )


def check_finite(array: Array, what: str, expected: str, line: str) -> None:
    """Raise NonFiniteError, with a count and the line that computed the array, where a number is not finite."""
    xp = array_module(array)
    bad = array.size - int(xp.isfinite(array).sum())
    if bad:
        nan = int(xp.isnan(array).sum())
        got = f"{bad:,} of {array.size:,} values not finite ({nan:,} NaN, {bad - nan:,} infinite)"
        raise NonFiniteError(what, expected=expected, got=got, fix=f"look at the inputs of this line: {line}")
