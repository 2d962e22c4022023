"""Operations that move numbers without changing them. The gradient of each moves them back."""

import math
from itertools import accumulate
from types import EllipsisType
from typing import Any

import numpy as np

from minisrgan.autograd import Function, Gradients, Tensor
from minisrgan.autograd.arguments import require_integer, require_sizes
from minisrgan.backend import Array, array_module, is_array
from minisrgan.errors import ArgumentError, DTypeError, ShapeError
from minisrgan.ops.checks import as_tensor, normalized_axes


class Reshape(Function):
    """The node of `reshape`."""

    def forward(self, x: Array, shape: tuple[int, ...]) -> Array:
        return x.reshape(shape)

    def backward(self, grad_y: Tensor) -> Gradients:
        return grad_y.reshape(*self.shapes[0])


def reshape(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the same elements in the same order in another shape.

    Formula     y.flat[k] = x.flat[k]
    Gradient    grad_x = grad_y in the shape of x
    Shapes      any two with the same number of elements; one length may be -1 and is then computed.
    Errors      ShapeError if the numbers of elements differ.

    >>> reshape(Tensor([1.0, 2.0, 3.0, 4.0]), (2, -1)).numpy()
    array([[1., 2.], [3., 4.]], dtype=float32)
    """
    x, shape = as_tensor("reshape", "x", x), require_sizes("reshape", "shape", shape, -1)
    known = math.prod(length for length in shape if length != -1)
    fits = x.size == known if -1 not in shape else known > 0 and x.size % known == 0 and shape.count(-1) == 1
    if not fits:
        expected, fix = f"{x.size} elements, those of {x.shape}", "check the lengths; one of them may be -1"
        raise ShapeError("reshape", expected=expected, got=f"shape {shape}", fix=fix)
    return x if x.shape == shape else Reshape.apply(x, shape=shape)


class Transpose(Function):
    """The node of `transpose`."""

    def forward(self, x: Array, axes: tuple[int, ...]) -> Array:
        self.axes = axes
        return x.transpose(axes)

    def backward(self, grad_y: Tensor) -> Gradients:
        return grad_y.transpose(*(int(axis) for axis in np.argsort(self.axes)))


def transpose(x: Tensor, axes: tuple[int, ...] | None = None) -> Tensor:
    """Permute the axes, without copying.

    Formula     axis k of y is axis axes[k] of x; without axes the order is reversed
    Gradient    the inverse permutation of grad_y
    Shapes      x (N, H, W, C) with axes (0, 3, 1, 2) gives y (N, C, H, W)
    Errors      ArgumentError if axes is not a permutation.

    >>> transpose(Tensor([[1.0, 2.0, 3.0]])).shape
    (3, 1)
    """
    x = as_tensor("transpose", "x", x)
    axes = tuple(range(x.ndim))[::-1] if axes is None else axes
    if normalized_axes("transpose", axes, x.ndim) != tuple(range(x.ndim)):
        expected, fix = f"a permutation of the {x.ndim} axes", "name every axis once"
        raise ArgumentError("transpose", expected=expected, got=str(axes), fix=fix)
    return Transpose.apply(x, axes=tuple(int(axis) % x.ndim for axis in np.atleast_1d(axes)))


class Getitem(Function):
    """The node of `getitem`."""

    def forward(self, x: Array, index: Any) -> Array:
        self.index = index
        return x[index]

    def backward(self, grad_y: Tensor) -> Gradients:
        return scatter(grad_y, self.index, self.shapes[0])


def getitem(x: Tensor, index: Any) -> Tensor:
    """Select a part of a tensor; also written ``x[index]``.

    Formula     y = x[index], with slices, integers, arrays of integers, masks, None and ... as in NumPy;
                a mask is an array of bool, which takes the elements where it is True
    Gradient    `scatter`: each gradient is added at the position from which its element was taken; 0 elsewhere.
    Shapes      as in NumPy; a mask of k axes replaces k axes of x by one.
    Errors      ShapeError if the index is out of range or a mask does not fit; DTypeError for a Tensor as index.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> getitem(x, np.array([0, 0, 2])).sum().backward(); x.grad.numpy()
    array([2., 0., 1.], dtype=float32)
    >>> x[x.data > 1.5].numpy()
    array([2., 3.], dtype=float32)
    """
    x = as_tensor("getitem", "x", x)
    index = _checked_index("getitem", index)
    try:
        return Getitem.apply(x, index=index)
    except (IndexError, TypeError, ValueError) as error:  # TypeError for x[0.5:], ValueError for x[::0]
        fix = "positions begin at 0, or at -1 from the end; a mask has the lengths of the axes that it stands for"
        raise ShapeError("getitem", expected=f"an index into {x.shape}", got=str(error), fix=fix) from None


def _checked_index(op: str, part: Any) -> Any:
    """Check an index or a part of it, and copy an array, as it may be changed before the backward pass."""
    if isinstance(part, tuple):
        return tuple(_checked_index(op, each) for each in part)
    if isinstance(part, list) or (is_array(part) and part.dtype.kind in "iub"):
        return part.copy()
    if isinstance(part, Tensor | np.ndarray):
        array, code = (part.data, "index.data") if isinstance(part, Tensor) else (part, "index")
        fix = f"take whole numbers: {code}.astype(int)"
        if not isinstance(part, Tensor) and not is_array(part):
            fix = "make it a plain array: " + ("index.filled(0)" if hasattr(part, "filled") else "np.asarray(index)")
        elif ((array == 0) | (array == 1)).all():
            fix = f"a mask is a comparison: {code} > 0"
        expected, got = "slices, integers, arrays of integers or of bool", f"{type(part).__name__} of {array.dtype}"
        raise DTypeError(op, expected=expected, got=got, fix=fix)
    return part


class Scatter(Function):
    """The node of `scatter`."""

    def forward(self, x: Array, index: Any, shape: tuple[int, ...]) -> Array:
        self.index = index
        xp = array_module(x)
        y = xp.zeros(shape, x.dtype)
        if y[index].shape != x.shape:
            raise IndexError(f"y[index] is {y[index].shape}")  # assignment would broadcast x
        parts = index if isinstance(index, tuple) else (index,)
        if all(part is None or isinstance(part, slice | int | np.integer | EllipsisType) for part in parts):
            y[index] = x
        else:
            xp.add.at(y, index, x)  # the index may contain a position several times
        return y

    def backward(self, grad_y: Tensor) -> Gradients:
        return grad_y[self.index]


def scatter(x: Tensor, index: Any, shape: tuple[int, ...]) -> Tensor:
    """Add a tensor to zeros, at an index: the adjoint of `getitem`.

    Formula     y = 0; y[index] += x
    Gradient    grad_x = grad_y[index]
    Shapes      y has the given shape; x has that of y[index].
    Errors      ShapeError if x does not have the shape of y[index]; DTypeError for a Tensor as index.

    >>> scatter(Tensor([5.0, 7.0]), slice(1, 3), (4,)).numpy()
    array([0., 5., 7., 0.], dtype=float32)
    """
    x, shape = as_tensor("scatter", "x", x), require_sizes("scatter", "shape", shape, 0)
    index = _checked_index("scatter", index)
    try:
        return Scatter.apply(x, index=index, shape=shape)
    except (IndexError, TypeError, ValueError) as error:
        got = f"{x.shape}; {error}"
        expected, fix = f"x of the shape of a part of {shape}", "reshape x to the shape of y[index]"
        raise ShapeError("scatter", expected=expected, got=got, fix=fix) from None


def pad(x: Tensor, widths: tuple[tuple[int, ...], ...]) -> Tensor:
    """Add a border of zeros.

    Formula     y = x inside, 0 in the border
    Gradient    grad_y without its border
    Shapes      widths ((before, after), ...) for each axis; an axis of n becomes before + n + after.
    Errors      ArgumentError unless there is a pair of widths >= 0 for each axis.

    >>> pad(Tensor([1.0, 2.0, 3.0]), ((2, 1),)).numpy()
    array([0., 0., 1., 2., 3., 0.], dtype=float32)
    """
    x = as_tensor("pad", "x", x)
    if not isinstance(widths, tuple | list) or len(widths) != x.ndim:
        expected = f"widths as {x.ndim} pairs (before, after) >= 0, one for each axis of {x.shape}"
        images = "for images write ((0, 0), (top, bottom), (left, right), (0, 0))"
        fix = images if x.ndim == 4 else f"write a pair for each axis: {((1, 1),) * x.ndim}"
        raise ArgumentError("pad", expected=expected, got=str(widths), fix=fix)
    widths = tuple(require_sizes("pad", "a pair of widths", pair, 0, count=2) for pair in widths)
    inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True))
    return scatter(x, inside, tuple(a + n + b for (a, b), n in zip(widths, x.shape, strict=True)))


class Concatenate(Function):
    """The node of `concatenate`."""

    def forward(self, *arrays: Array, axis: int) -> Array:
        self.axis = axis
        return array_module(arrays[0]).concatenate(arrays, axis=axis)

    def backward(self, grad_y: Tensor) -> Gradients:
        stops = accumulate(shape[self.axis] for shape in self.shapes)
        parts = [slice(stop - shape[self.axis], stop) for stop, shape in zip(stops, self.shapes, strict=True)]
        every = (slice(None),) * self.axis
        return tuple(grad_y[(*every, part)] if n else None for part, n in zip(parts, self.needs_grad, strict=True))


def concatenate(tensors: list[Tensor] | tuple[Tensor, ...], axis: int = 0) -> Tensor:
    """Join tensors along an existing axis.

    Formula     y = x1, then x2, then ... along the axis
    Gradient    each input gets its own part of grad_y.
    Shapes      equal except for the axis, whose lengths are added.
    Errors      ShapeError if the other axes differ or there is nothing to join.

    >>> concatenate([Tensor([1.0]), Tensor([2.0, 3.0])]).numpy()
    array([1., 2., 3.], dtype=float32)
    """
    tensors, axis = _alike("concatenate", tensors, axis, new_axis=False)
    return Concatenate.apply(*tensors, axis=axis)


def stack(tensors: list[Tensor] | tuple[Tensor, ...], axis: int = 0) -> Tensor:
    """Join tensors along a new axis: photos (H, W, C) become a batch (N, H, W, C).

    Formula     y[k] = x_k
    Gradient    each input gets its own part of grad_y.
    Shapes      n inputs of one shape; y has an additional axis of length n.
    Errors      ShapeError if the shapes differ or there is nothing to join.

    >>> stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])], axis=1).numpy()
    array([[1., 3.], [2., 4.]], dtype=float32)
    """
    tensors, axis = _alike("stack", tensors, axis, new_axis=True)
    shape = tensors[0].shape
    return concatenate([reshape(x, (*shape[:axis], 1, *shape[axis:])) for x in tensors], axis)


def _alike(op: str, tensors: Any, axis: int, new_axis: bool) -> tuple[list[Tensor], int]:
    """Check that tensors have equal shapes, except for the axis that joins them; return them and the axis (>= 0)."""
    if not isinstance(tensors, list | tuple) or not tensors:
        got, fix = type(tensors).__name__, "put it into a list with the others: [tensors]"
        if isinstance(tensors, list | tuple):
            got, fix = "an empty list", "check what collects them"
        raise ShapeError(op, expected="a list of at least one tensor", got=got, fix=fix)
    tensors = [as_tensor(op, f"entry {i}", x) for i, x in enumerate(tensors)]
    ndim = tensors[0].ndim + new_axis
    require_integer(op, "axis", axis, -ndim)
    (axis,) = normalized_axes(op, axis, ndim)
    skip = None if new_axis else axis
    if len({(x.ndim, *(n for i, n in enumerate(x.shape) if i != skip)) for x in tensors}) > 1:
        but = "" if new_axis else f" but for axis {axis}"
        got = ", ".join(str(x.shape) for x in tensors)
        raise ShapeError(op, expected=f"equal shapes{but}", got=got, fix="crop or pad to one size first")
    return tensors, axis
