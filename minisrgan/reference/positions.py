"""The walks over positions that several files of the room share.

Broadcasting stretches an axis of length 1. Read forwards, `source` says which number of a small array stands at a
position of the large one; read backwards, it says where the gradient of that position is to be added.

>>> source((5, 2, 7), (3, 1))
(2, 0)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Position: TypeAlias = tuple[int, ...]


def source(position: Position, shape: Position) -> Position:
    """Find where an array of this shape is read when it is broadcast: missing axes drop out, index 0 where it has 1."""
    aligned = position[len(position) - len(shape) :]
    return tuple(0 if size == 1 else index for index, size in zip(aligned, shape, strict=True))


def each(f: Callable[..., Any], *inputs: Array) -> Array:
    """Apply a formula number by number: y[p] = f(a[p], b[p], ...), where the inputs are broadcast."""
    y = np.empty(np.broadcast_shapes(*(a.shape for a in inputs)), np.result_type(*inputs))
    for position in np.ndindex(y.shape):
        y[position] = f(*(a[source(position, a.shape)] for a in inputs))
    return y


def each_grad(f: Callable[..., tuple[Any, ...]], grad_y: Array, *inputs: Array) -> tuple[Array, ...]:
    """Add up the shares (da, db, ...) = f(grad_y[p], a[p], b[p], ...); the copies of a broadcast input are summed."""
    grads = tuple(np.zeros(a.shape, grad_y.dtype) for a in inputs)
    for position in np.ndindex(grad_y.shape):
        shares = f(grad_y[position], *(a[source(position, a.shape)] for a in inputs))
        for grad, share in zip(grads, shares, strict=True):
            grad[source(position, grad.shape)] += share
    return grads
