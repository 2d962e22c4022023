"""Function: an operation as a forward and backward pair, and the node that its call leaves in the graph.

A subclass writes two methods:

    forward(self, *arrays, **options)   computes on plain arrays, and says what backward needs: `save_inputs`,
                                        `save_output`, `save`
    backward(self, grad_y)              computes on Tensors, with operations that can be differentiated themselves

so that the gradient of a gradient needs nothing more. Where one pass over the arrays can do what several operations
would, a third method, ``backward_fused(self, grad_y)`` on plain arrays, is used whenever no second derivative is asked
for; the tests hold the two against each other.

What a node keeps. Its parents (strongly), and what it was told to save; never the Tensor of its result, so the graph
has no cycle and disappears with the last Tensor that needs it. What was saved is what is used: where an array has been
changed in place since, by an optimizer, `load_state_dict` or ``x -= ...``, the backward pass raises an error.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from minisrgan.autograd.modes import calling_line, is_anomaly_enabled, is_grad_enabled
from minisrgan.autograd.profile import profiler
from minisrgan.autograd.tensor import Hook, Operand, Scalar, Tensor, version_of
from minisrgan.backend import Array, array_module, device_of, is_array, to_numpy
from minisrgan.errors import DeviceError, DTypeError, GradientError, NonFiniteError

Gradients: TypeAlias = Tensor | tuple[Tensor | None, ...] | None
_OUTPUT = -1


@dataclass(slots=True)
class _Saved:
    """A value that a node keeps.

    source    the input that it is, _OUTPUT, or None for what was computed on the way
    factor    whether only the gradients of the other inputs use it
    version   of the array when it was saved; in anomaly mode a checksum of its bytes as well
    """

    value: Any
    source: int | None
    factor: bool = False
    name: str = ""
    version: tuple[int, int | None] = (0, None)


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
        self._saved: list[_Saved] = []
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

    def save_inputs(self, *positions: int, factors: bool = False) -> None:
        """Keep inputs for the backward pass, where they are Tensors in their place in the graph.

        factors  each is used for the gradients of the other inputs only, as in a product
        """
        self._keep(*(_Saved(self._inputs[position], position, factors) for position in positions))

    def save_output(self) -> None:
        """Keep the result for the backward pass, where it is a Tensor in its place in the graph."""
        self._keep(_Saved(None, _OUTPUT))

    def save(self, *values: Any) -> None:
        """Keep what was computed on the way, as a constant of the backward pass.

        An input or the result that is handed over here is kept as `save_inputs` and `save_output` keep it.
        """
        for value in values:
            self._keep(_Saved(value, next((i for i, given in enumerate(self._inputs) if given is value), None)))

    def _keep(self, *values: _Saved) -> None:
        if any(self.needs_grad):
            self._saved.extend(values)

    @property
    def saved(self) -> tuple[Tensor, ...]:
        """What was saved; inputs and the result come back as Tensors in their place in the graph.

        Anything else comes back as it was: a Python number, or an array that is a constant of the backward pass.
        """
        return tuple(self._revive(kept.value, kept.source) for kept in self._unchanged())

    @property
    def saved_arrays(self) -> tuple[Any, ...]:
        """What was saved, as plain arrays."""
        return tuple(kept.value for kept in self._unchanged())

    def _unchanged(self) -> Iterator[_Saved]:
        """Walk over what was saved; raise GradientError where it has been changed since and a gradient depends on it."""
        for kept in self._saved:
            if kept.version != _version(kept.value, kept.version[1] is not None):
                others = (needed for i, needed in enumerate(self.needs_grad) if i != kept.source)
                if not kept.factor or any(others):
                    self._refuse_changed(kept)
            yield kept

    def _refuse_changed(self, kept: _Saved) -> None:
        which = {None: "an array that it computed", _OUTPUT: "its result"}.get(kept.source)
        which = which or f"its input {self._argument(kept.source or 0)}"
        named = f" ({kept.name})" if kept.name else ""
        raise GradientError(
            f"backward of {self.name}",
            expected=f"{which}{named}, {kept.value.shape}, as it was in the forward pass",
            got="an array that has been changed in place since, as optimizer.step(), load_state_dict, x -= ... do",
            fix="call backward before the change, or compute the result again after it",
        )

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
            for kept in node._saved:
                if kept.source == _OUTPUT or kept.value is result:
                    kept.value, kept.source = data, _OUTPUT
                kept.version = _version(kept.value, anomaly)
                kept.name = getattr(given[kept.source], "name", "") if kept.source not in (None, _OUTPUT) else ""
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


def _version(value: Any, checksum: bool) -> tuple[int, int | None]:
    """Return the version of a saved array and, where NumPy's changes are to be seen too, a checksum."""
    return version_of(value), zlib.crc32(np.ascontiguousarray(to_numpy(value))) if checksum and is_array(value) else None


def check_finite(array: Array, what: str, expected: str, line: str) -> None:
    """Raise NonFiniteError, with a count and the line that computed the array, where a number is not finite."""
    xp = array_module(array)
    bad = array.size - int(xp.isfinite(array).sum())
    if bad:
        nan = int(xp.isnan(array).sum())
        got = f"{bad:,} of {array.size:,} values not finite ({nan:,} NaN, {bad - nan:,} infinite)"
        raise NonFiniteError(what, expected=expected, got=got, fix=f"look at the inputs of this line: {line}")
