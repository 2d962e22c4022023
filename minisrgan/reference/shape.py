"""Moving numbers without computing: y[q] = x[p], so dL/dx[p] is the sum of dL/dy[q] over the q that read p.

    reshape        p and q have the same place in row-major order
    transpose      q = (p[axes[0]], p[axes[1]], ..)
    pad            p = q - before; the q outside of x read 0
    getitem        q runs over the chosen positions; a position chosen twice gets two gradients
    scatter        getitem backwards: numbers are added at the chosen positions of an array of zeros
    concatenate    p = q minus the lengths of the arrays before this one
    stack          q is p with the number of the array inserted at the new axis

>>> getitem_grad(np.ones(3), np.zeros(4), [1, 1, 3])
(array([0., 2., 0., 1.]),)
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np

from minisrgan.reference.positions import Array, Pair, Position, add_back, read

Widths: TypeAlias = tuple[tuple[int, int], ...]


def reshape(x: Array, shape: tuple[int, ...]) -> Array:
    """Number k of y, in row-major order, is number k of x."""
    y = np.empty_like(x).reshape(shape)
    return read(x, y, zip(np.ndindex(y.shape), np.ndindex(x.shape), strict=True))


def reshape_grad(grad_y: Array, x: Array, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """Reshape the gradient back."""
    return (reshape(grad_y, x.shape),)


def transpose(x: Array, axes: tuple[int, ...] | None = None) -> Array:
    """y[p[axes[0]], p[axes[1]], ..] = x[p]; without axes, their order is reversed."""
    axes = tuple(axis % x.ndim for axis in (axes or range(x.ndim)[::-1]))
    y = np.empty([x.shape[axis] for axis in axes], x.dtype)
    for position in np.ndindex(x.shape):
        y[tuple(position[axis] for axis in axes)] = x[position]
    return y


def transpose_grad(grad_y: Array, x: Array, axes: tuple[int, ...] | None = None) -> tuple[Array, ...]:
    """Put the axes back: axis k of grad_y is axis axes[k] of x."""
    axes = tuple(axis % x.ndim for axis in (axes or range(x.ndim)[::-1]))
    return (transpose(grad_y, tuple(axes.index(axis) for axis in range(x.ndim))),)


def _moved(shape: Position, by: Sequence[int]) -> Iterator[Pair]:
    """Yield each pair (position p + by in y, position p in x) for an x of this shape."""
    for position in np.ndindex(shape):
        yield tuple(index + step for index, step in zip(position, by, strict=True)), position


def pad(x: Array, widths: Widths) -> Array:
    """y[q] = x[q - before], and outside of x zero."""
    y = np.zeros([before + size + after for size, (before, after) in zip(x.shape, widths, strict=True)], x.dtype)
    return read(x, y, _moved(x.shape, [before for before, _ in widths]))


def pad_grad(grad_y: Array, x: Array, widths: Widths) -> tuple[Array, ...]:
    """dL/dx[p] = dL/dy at the one q that reads p."""
    return (add_back(grad_y, np.zeros_like(x), _moved(x.shape, [before for before, _ in widths])),)


def getitem(x: Array, index: Any) -> Array:
    """y = x[index]. The same index of an array of row-major positions tells where in x each number of y is."""
    places = np.asarray(np.arange(x.size).reshape(x.shape)[index])
    y = np.empty(places.shape, x.dtype)
    return read(x.reshape(-1), y, np.ndenumerate(places))


def getitem_grad(grad_y: Array, x: Array, index: Any) -> tuple[Array, ...]:
    """dL/dx at a place = the sum of dL/dy over the times it was chosen."""
    return (scatter(grad_y, index, x.shape),)


def scatter(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """y[index] += x, number by number, starting from zeros: the reverse of getitem."""
    y = np.zeros(shape, x.dtype)
    places = np.asarray(np.arange(y.size).reshape(shape)[index])
    return add_back(x, y.reshape(-1), np.ndenumerate(places)).reshape(shape)


def scatter_grad(grad_y: Array, x: Array, index: Any, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """Every number of x reads the gradient of the place that it was added to."""
    return (getitem(grad_y, index),)


def concatenate(*arrays: Array, axis: int = 0) -> Array:
    """y = the arrays one after the other along an existing axis."""
    axis %= arrays[0].ndim
    shape = list(arrays[0].shape)
    shape[axis] = sum(x.shape[axis] for x in arrays)
    y = np.empty(shape, np.result_type(*arrays))
    begin = [0] * y.ndim
    for x in arrays:
        read(x, y, _moved(x.shape, begin))
        begin[axis] += x.shape[axis]
    return y


def concatenate_grad(grad_y: Array, *arrays: Array, axis: int = 0) -> tuple[Array, ...]:
    """Cut the gradient where the arrays meet."""
    before = (slice(None),) * (axis % arrays[0].ndim)
    ends = accumulate(x.shape[axis] for x in arrays)
    parts = [slice(end - x.shape[axis], end) for x, end in zip(arrays, ends, strict=True)]
    return tuple(getitem(grad_y, (*before, part)) for part in parts)


def stack(*arrays: Array, axis: int = 0) -> Array:
    """y = the arrays one after the other along a new axis."""
    return concatenate(*(np.expand_dims(x, axis) for x in arrays), axis=axis)


def stack_grad(grad_y: Array, *arrays: Array, axis: int = 0) -> tuple[Array, ...]:
    """Split the gradient along the new axis."""
    layers = concatenate_grad(grad_y, *(np.expand_dims(x, axis) for x in arrays), axis=axis)
    return tuple(layer.squeeze(axis) for layer in layers)
