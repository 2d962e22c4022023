"""Tensor: an array that remembers how it was computed.

A Tensor is a handle: its numbers (`data`), and the node of the graph that made them. The engine contains no
mathematics: `minisrgan.ops` adds the operators (`+`, `@` ...) and methods (`sum`, `reshape` ...) to the class.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from minisrgan.autograd.checks import require_gradient, require_writable
from minisrgan.autograd.modes import add_hook
from minisrgan.autograd.protocols import Protocols, floats, from_numbers
from minisrgan.backend import Array, device_of, is_array, to_device, to_numpy
from minisrgan.errors import DTypeError, GradientError, ShapeError

if TYPE_CHECKING:
    from minisrgan.autograd.function import Function

    def _operation(*inputs: Any, **options: Any) -> Tensor: ...


Scalar: TypeAlias = int | float
Operand: TypeAlias = "Tensor | Array | Scalar"
Axis: TypeAlias = int | tuple[int, ...] | None
Hook: TypeAlias = Callable[["Tensor"], "Tensor | None"]

# Versions. One counter numbers the computations of nodes and the changes of arrays in place, in the order in which they
# happen. If a saved array has a later number than its node, it was changed after the forward pass, and the gradient
# would be wrong. No result depends on this table. An entry may outlive its array: a node that later saves another array
# at the same address has a later number than the entry.
_changes: dict[int, int] = {}  # id of the owner of the memory -> number of its last change
tick = itertools.count(1).__next__  # returns the next number


def mark_changed(array: Array) -> None:
    """Note that an array was changed in place, so that a backward pass that needs the old numbers raises an error.

    Assignments to `Tensor.data`, such as ``x.data *= 2``, call it; ``x.data[0] = 2`` does not.
    """
    _changes[id(_owner(array))] = tick()


def version_of(array: Array) -> int:
    """Return the number of the last change of the memory of an array, 0 if it was never changed."""
    return _changes.get(id(_owner(array)), 0)


def _owner(array: Any) -> Any:
    """Return the owner of the memory of an array: itself or, for a view, the last of its chain of bases."""
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return array


def _in_place(sign: str, method: str) -> Any:
    """Return the method for ``x += y`` and the like, which changes the array of x and returns x."""

    def operator(x: Tensor, y: Operand) -> Tensor:
        require_writable(x, f"x {sign}= y", f"x = x {sign} y")
        x[...] = getattr(x, method)(y)
        return x

    return operator


class Tensor(Protocols):
    """An array of float32 or float64 with a place in the graph.

    array          an array of NumPy or CuPy (shared, not copied), or numbers in lists (float32)
    requires_grad  whether `backward` computes its gradient, in `.grad`
    name           its name in error messages; that of a parameter is its path in the module
    Errors         DTypeError for arrays of other types: minisrgan never changes a dtype silently. ArgumentError unless
                   requires_grad is True or False.

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([[2. 4.]
            [6. 8.]], shape (2, 2), float32)
    """

    explain: ClassVar[Callable[..., None]]  # prints what `backward` would do: see minisrgan.explain.graph
    __slots__ = ("__weakref__", "_array", "_hooks", "_node", "grad", "name")

    def __init__(self, array: Any, requires_grad: bool = False) -> None:
        if isinstance(array, Tensor):
            array = array.data
        self._array: Array = floats(array if is_array(array) else from_numbers(array))
        self._node: Function | None = None
        self.requires_grad = requires_grad
        self.name = ""
        self.grad: Tensor | None = None
        self._hooks: dict[object, Hook] = {}

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Copy or pickle a leaf: numbers, gradient and name, but no hooks. A result is refused."""
        if self._node is not None:
            fix = "copy tensor.detach(), or the module and its input"
            got = f"the result of {self._node.name}, whose copy would belong to copies of all leaves"
            raise GradientError("copy of a Tensor", expected="a leaf", got=got, fix=fix)
        return type(self), (self.data, self.requires_grad), (None, {"grad": self.grad, "name": self.name})

    # Properties

    @property
    def data(self) -> Array:
        """The array. Every assignment counts as a change, for example ``x.data *= 2``."""
        return self._array

    @data.setter
    def data(self, array: Array) -> None:
        """Replace the array; the old one counts as changed, since a node may have saved it."""
        if not is_array(array):
            fix = "assign tensor.data, or under no_grad write x -= 0.1 * x.grad"
            raise DTypeError("Tensor.data", expected="an array", got=type(array).__name__, fix=fix)
        mark_changed(self._array)
        self._array = floats(array)

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return tuple(self._array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return int(self._array.ndim)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self._array.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        dtype: np.dtype[Any] = self._array.dtype
        return dtype

    @property
    def device(self) -> str:
        """``cpu``, ``cuda:0`` ..."""
        return device_of(self.data)

    @property
    def is_leaf(self) -> bool:
        """Whether it was created directly, not by a recorded operation."""
        return self._node is None

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        """Iterate over the first axis."""
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        """Show numbers, shape and dtype."""
        numbers = str(self.data).replace("\n", "\n       ")
        grad = f", made by {self._node.name}" if self._node else ", requires_grad" if self.requires_grad else ""
        device = "" if self.device == "cpu" else f", {self.device}"
        return f"Tensor({numbers}, shape {self.shape}, {self.dtype}{device}{grad})"

    # Leaving the graph

    def numpy(self) -> Array:
        """Return the numbers as a NumPy array: shared memory on the CPU, a copy from a GPU."""
        return to_numpy(self.data)

    def detach(self) -> Tensor:
        """Return the same numbers without their history."""
        return Tensor(self.data)

    def to(self, device: str) -> Tensor:
        """Return a leaf on another device (``cpu``, ``cuda``, ``cuda:N``), without history."""
        return Tensor(to_device(self.data, device), self.requires_grad)

    # Gradients

    def backward(
        self, grad_output: Operand | None = None, create_graph: bool = False, retain_graph: bool | None = None
    ) -> None:
        """Add dL/dx to the `.grad` of every leaf x that this tensor was computed from.

        grad_output   dL/d(self); may be left out for a scalar, where it is 1
        create_graph  record the backward pass too, so that gradients can be differentiated again
        retain_graph  keep the saved arrays, for a second backward pass; by default equal to create_graph
        """
        from minisrgan.autograd.engine import backward  # the engine is built on Tensors, so it is imported late

        backward(self, grad_output, create_graph, retain_graph)

    def retain_grad(self) -> None:
        """Make `backward` add this tensor's gradient, after all hooks, to `.grad`; GradientError if it gets none."""
        require_gradient(self, "retain_grad")
        if self._node is not None:
            self._node.keeper = weakref.ref(self)  # the graph must not keep its results alive

    def register_hook(self, hook: Hook) -> Callable[[], None]:
        """Call ``hook(grad)`` when this tensor's gradient is complete; a Tensor that it returns replaces the gradient.

        Returns a function that removes the hook.

        >>> x = Tensor([1.0], requires_grad=True)
        >>> remove = x.register_hook(lambda grad: grad * 10.0)
        >>> (x * 2.0).sum().backward(); x.grad.item()
        20.0
        >>> remove()
        """
        require_gradient(self, "register_hook")
        return add_hook((self._node or self)._hooks, hook)

    def zero_grad(self) -> None:
        """Set the gradient to None."""
        self.grad = None

    __iadd__, __isub__, __imul__ = _in_place("+", "__add__"), _in_place("-", "__sub__"), _in_place("*", "__mul__")
    __itruediv__, __ipow__ = _in_place("/", "__truediv__"), _in_place("**", "__pow__")
    __imatmul__ = _in_place("@", "__matmul__")

    def __setitem__(self, index: Any, value: Any) -> None:
        """Change a part of the array of a leaf, under `no_grad`."""
        require_writable(self, "x[index] = y", "x = ops.concatenate([...])")
        array = value.data if isinstance(value, Tensor) else value
        try:
            if is_array(array) and array.dtype != self.dtype:
                raise ValueError(f"{array.dtype} into {self.dtype}")
            self._array[index] = array
        except (IndexError, TypeError, ValueError) as error:
            expected, fix = f"numbers that fit into {self.shape}", "check index, shape and dtype"
            raise ShapeError("x[index] = y", expected=expected, got=str(error), fix=fix) from None
        mark_changed(self._array)

    if TYPE_CHECKING:  # for type checkers; the operations come from the table in minisrgan/ops/__init__.py
        T: Tensor
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _operation
        __neg__ = __abs__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __getitem__ = _operation
        sum = mean = max = min = var = std = reshape = flatten = squeeze = transpose = _operation
        exp = log = sqrt = abs = _operation
