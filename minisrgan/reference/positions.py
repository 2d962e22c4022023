"""The loops over positions that several files share.

Broadcasting stretches an axis of length 1. For a position of the large array, `source` returns the position of the
small array that is read there in the forward pass, and to which the gradient is added in the backward pass.

>>> source((5, 2, 7), (3, 1))
(2, 0)
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Position: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[Position, Position]  # (in y, in x): where a number goes, and where it comes from


def source(position: Position, shape: Position) -> Position:
    """Return where a broadcast array of this shape is read: missing axes are dropped; axes of length 1 get index 0."""
    aligned = position[len(position) - len(shape) :]
    return tuple(0 if size == 1 else index for index, size in zip(aligned, shape, strict=True))


def stretched(large: Position, small: Position) -> Iterator[Pair]:
    """Yield each pair (position in the large array, position in the small one that broadcasting reads for it)."""
    for position in np.ndindex(large):
        yield position, source(position, small)


def each(f: Callable[..., Any], *inputs: Array) -> Array:
    """Apply a formula number by number: y[p] = f(a[p], b[p], ...), where the inputs are broadcast."""
    y = np.empty(np.broadcast_shapes(*(a.shape for a in inputs)), np.result_type(*inputs))
    for position in np.ndindex(y.shape):
        y[position] = f(*(a[source(position, a.shape)] for a in inputs))
    return y


def each_grad(f: Callable[..., tuple[Any, ...]], grad_y: Array, *inputs: Array) -> tuple[Array, ...]:
    """Return the gradients: each input number sums its part of f(grad_y[p], a[p], b[p], ..) over the p that read it."""
    grads = tuple(np.zeros(a.shape, grad_y.dtype) for a in inputs)
    for position in np.ndindex(grad_y.shape):
        shares = f(grad_y[position], *(a[source(position, a.shape)] for a in inputs))
        for grad, share in zip(grads, shares, strict=True):
            grad[source(position, grad.shape)] += share
    return grads


def elementwise(formula: Callable[..., Any], shares: Callable[..., tuple[Any, ...]]) -> tuple[Any, Any]:
    """Extend a formula for single numbers, and its gradient, to arrays; both take the options."""

    def forward(*inputs: Array, **options: Any) -> Array:
        return each(partial(formula, **options), *inputs)

    def gradient(grad_y: Array, *inputs: Array, **options: Any) -> tuple[Array, ...]:
        return each_grad(partial(shares, **options), grad_y, *inputs)

    return forward, gradient


def read(x: Array, y: Array, pairs: Iterable[Pair]) -> Array:
    """Write y[q] = x[p] for each pair (q, p), and return y."""
    for in_y, in_x in pairs:
        y[in_y] = x[in_x]
    return y


def add_back(y: Array, x: Array, pairs: Iterable[Pair]) -> Array:
    """Add y[q] to x[p] for each pair (q, p), and return x: the gradient of `read`."""
    for in_y, in_x in pairs:
        x[in_x] += y[in_y]
    return x


def from_bias(shape: Position, bias: Array | None, like: Array) -> Array:
    """Return an output that holds bias[o] at every position (o is the last index), or zeros without a bias."""
    y = np.zeros(shape, like.dtype)
    return y if bias is None else read(bias, y, stretched(shape, bias.shape))


def bias_grad(grad_y: Array, bias: Array | None) -> Array | None:
    """dL/dbias[o] = sum of dL/dy[.., o] over all other axes."""
    return None if bias is None else add_back(grad_y, np.zeros_like(bias), stretched(grad_y.shape, bias.shape))
