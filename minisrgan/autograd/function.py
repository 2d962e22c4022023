"""Function: an operation as a forward and backward pair, and the node that its call leaves in the graph.

A subclass writes two methods:

    forward(self, *arrays, **options)   computes on plain arrays, and saves what backward needs: `save_inputs`,
                                        `save_output`, `save`
    backward(self, grad_y)              computes on Tensors, with operations that can be differentiated themselves

Therefore the gradient of a gradient needs no further code. If one pass over the arrays can replace several operations,
a third method, ``backward_fused(self, grad_y)``, computes on plain arrays. It is used unless a second derivative is
requested; the tests compare its result with that of `backward`.

A node keeps references to its parents and to the saved arrays, but not to the Tensor of its result. So the graph has
no cycle, and it is freed with the last Tensor that needs it. If a saved array is changed in place before the backward
pass, by an optimizer, `load_state_dict` or ``x -= ...``, the backward pass raises an error.
"""

import contextlib
import inspect
import re
import weakref
import zlib
from typing import Any, ClassVar, TypeAlias

import numpy as np

from minisrgan.autograd.checks import changed, check_finite, mixture
from minisrgan.autograd.modes import calling_line, is_anomaly_enabled, is_grad_enabled
from minisrgan.autograd.profile import profiler
from minisrgan.autograd.protocols import how_to_wrap
from minisrgan.autograd.tensor import Hook, Operand, Scalar, Tensor, tick, version_of
from minisrgan.backend import Array, device_of, is_array, to_numpy
from minisrgan.errors import DTypeError, GradientError

Gradients: TypeAlias = Tensor | tuple[Tensor | None, ...] | None
_OUTPUT = -1


# (value, source, factor, name): see `Function.save_inputs`. The source is the position of an input, _OUTPUT for the
# result, or None for an intermediate array; the name is that of the input.
_Saved: TypeAlias = tuple[Any, int | None, bool, str]


class Function:
    """The base class of all operations; see the docstring of the module.

    name         the operation as its users call it: PixelShuffle is ``pixel_shuffle``
    needs_grad   for each input, whether this backward pass needs its gradient
    parents      for each input: the node that made it, the leaf itself, or None if it needs no gradient
    shapes       the shape of each input, () for a Python number
    keeper       a weak reference to the result, if it keeps its gradient: see `Tensor.retain_grad`
    time         the number of its computation: a saved array must not have a later version
    checksums    of the saved arrays, only in anomaly mode: they also detect changes made by NumPy
    """

    name: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        """Derive the operation's name from the class's: a capital letter after a small one starts a new word."""
        cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", cls.__name__).lower()

    def __init__(self) -> None:
        self.parents: tuple[Function | Tensor | None, ...] = ()
        self.needs_grad: tuple[bool, ...] = ()
        self.shapes: tuple[tuple[int, ...], ...] = ()
        self._hooks: dict[object, Hook] = {}
        self.keeper: weakref.ref[Tensor] | None = None
        self.line = ""
        self.released = False
        self.time = 0
        self.checksums: list[int] = []
        self._saved: list[_Saved] = []
        self._given: tuple[Tensor | Scalar, ...] = ()
        self._inputs: tuple[Any, ...] = ()

    def forward(self, *inputs: Any, **options: Any) -> Array:
        """Compute the result on plain arrays."""
        raise NotImplementedError(f"{self.name} has no forward method")

    def backward(self, grad_y: Tensor) -> Gradients:
        """Return the gradient of each input, a Tensor or None, from the gradient of the result.

        A returned array must not be changed later, and the node may keep it only through `save`.
        """
        expected, fix = "a method backward(self, grad_y)", "write it, or compute first derivatives only"
        raise GradientError(f"backward of {self.name}", expected=expected, got="none", fix=fix)

    backward_fused: Any = None

    def save_inputs(self, *positions: int, factors: bool = False) -> None:
        """Keep inputs for the backward pass, where `saved` returns them as Tensors of the graph.

        factors  True if each one is only used for the gradients of the other inputs, as in a product
        """
        for i in positions:
            self._keep(self._inputs[i], i, factors, getattr(self._given[i], "name", ""))

    def save_output(self) -> None:
        """Keep the result for the backward pass, where `saved` returns it as a Tensor of the graph."""
        self._keep(None, _OUTPUT)

    def save(self, *values: Any) -> None:
        """Keep intermediate values, which are constants of the backward pass.

        An input or the result is kept as `save_inputs` and `save_output` keep it.
        """
        for value in values:
            position = next((i for i, given in enumerate(self._inputs) if given is value), None)
            self._keep(value, None) if position is None else self.save_inputs(position)

    def _keep(self, value: Any, source: int | None, factor: bool = False, name: str = "") -> None:
        if any(self.needs_grad):
            self._saved.append((value, source, factor, name))

    @property
    def saved(self) -> tuple[Tensor, ...]:
        """The saved values; inputs and the result are Tensors of the graph.

        Other values are unchanged: a Python number, or an array that is a constant of the backward pass.
        """
        self._check_saved()
        return tuple(self._revive(value, source) for value, source, _, _ in self._saved)

    @property
    def saved_arrays(self) -> tuple[Any, ...]:
        """The saved values, as plain arrays."""
        self._check_saved()
        return tuple(value for value, _, _, _ in self._saved)

    def _check_saved(self) -> None:
        """Raise GradientError if a saved array was changed later and a requested gradient depends on it."""
        for at, (value, source, factor, name) in enumerate(self._saved):
            if version_of(value) < self.time and (not self.checksums or self.checksums[at] == _checksum(value)):
                continue
            if factor and not any(needed for i, needed in enumerate(self.needs_grad) if i != source):
                continue
            which = {None: "an array that it computed", _OUTPUT: "its result"}.get(source)
            which = which or f"its input {self.argument(source or 0)}"
            raise changed(self.name, f"{which}{f' ({name})' if name else ''}, {value.shape}")

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
        """Drop the saved arrays and the parents, which the backward pass no longer needs."""
        self._saved, self.parents, self.released = [], (), True

    @classmethod
    def apply(cls, *inputs: Operand, **options: Any) -> Tensor:
        """Run forward and, if a gradient may be needed, add a node to the graph."""
        given = tuple(cls._accept(value, position) for position, value in enumerate(inputs))
        tensors = [value for value in given if isinstance(value, Tensor)]
        if not tensors:
            got = ", ".join(map(str, given))
            raise DTypeError(cls.name, expected="at least one Tensor", got=got, fix="wrap the numbers: Tensor(...)")
        for other in tensors[1:]:
            if other.dtype != tensors[0].dtype or device_of(other.data) != device_of(tensors[0].data):
                raise mixture(cls.name, [(cls.argument(i), v) for i, v in enumerate(given) if isinstance(v, Tensor)])

        node = cls()
        recording = is_grad_enabled()
        node.needs_grad = tuple(recording and isinstance(v, Tensor) and v.requires_grad for v in given)
        node.shapes = tuple(v.shape if isinstance(v, Tensor) else () for v in given)
        # Each input gets a new view: save() recognises inputs by identity, and x and x.detach() share one array.
        node._inputs = tuple(v.data.view() if isinstance(v, Tensor) else v for v in given)
        node._given = given
        anomaly, recorder = is_anomaly_enabled(), profiler.get()
        forward = node.forward if recorder is None else recorder.timed(node.name, "forward", node.forward)
        with np.errstate(all="ignore") if anomaly else contextlib.nullcontext():  # check_finite reports them
            result = forward(*node._inputs, **options)
        node._inputs = node._given = ()
        data = np.asarray(result) if isinstance(result, np.generic) else result  # NumPy turns 0-d into scalars
        if not is_array(data) or data.dtype != tensors[0].dtype:
            got, fix = str(data.dtype) if is_array(data) else type(data).__name__, "convert it: y.astype(x.dtype)"
            raise DTypeError(f"forward of {cls.name}", expected=f"an array of {tensors[0].dtype}", got=got, fix=fix)
        if anomaly:
            node.line = calling_line()
            check_finite(data, node.name, "finite results", node.line)

        y = Tensor(data)
        if any(node.needs_grad):
            node.parents = tuple(vertex_of(v) if isinstance(v, Tensor) and v.requires_grad else None for v in given)
            output: _Saved = (data, _OUTPUT, False, "")
            node._saved = [output if kept[1] == _OUTPUT or kept[0] is result else kept for kept in node._saved]
            node.time = tick()
            node.checksums = [_checksum(kept[0]) for kept in node._saved] if anomaly else []
            y.requires_grad, y._node = True, node
        return y

    @classmethod
    def _accept(cls, value: Operand, position: int) -> Tensor | Scalar:
        """Return an input as a Tensor or, if it is a number, as a Python number, which changes no dtype."""
        if isinstance(value, Tensor):
            return value
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, int | float):
            return value
        if is_array(value):
            return Tensor(value)
        expected = f"a Tensor, an array or a number as {cls.argument(position)}"
        raise DTypeError(cls.name, expected=expected, got=type(value).__name__, fix=how_to_wrap(value))

    @classmethod
    def argument(cls, position: int) -> str:
        """Return the name of an input, for messages."""
        names = [name for name in inspect.signature(cls.forward).parameters if name != "self"]
        return names[min(position, len(names) - 1)]


def vertex_of(tensor: Tensor) -> Function | Tensor:
    """Return the node that computed a tensor, or the tensor itself if it is a leaf."""
    return tensor if tensor._node is None else tensor._node


def _checksum(value: Any) -> int:
    return zlib.crc32(to_numpy(value).tobytes()) if is_array(value) else 0
