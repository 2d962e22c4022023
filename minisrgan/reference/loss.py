"""Losses: one number from whole arrays, so grad_y is one number too. Over all n elements, or N images:

    mse     y = sum of (a - b)^2 / n                    dy/da = 2 (a - b) / n           dy/db = -dy/da
    l1      y = sum of |a - b| / n                      dy/da = sign(a - b) / n         dy/db = -dy/da
    binary_cross_entropy_with_logits, logits x, targets t
            y = sum of (log(1 + e^x) - t x) / n         dy/dx = (sigmoid x - t) / n     dy/dt = -x / n
    total_variation, over the pairs (p, q) of a pixel and the one below it, or the one right of it
            y = sum of |x[q] - x[p]| / N                each pair: sign(x[q] - x[p]) / N to q and the opposite to p

With p = sigmoid x, log(1 + e^x) - t x equals -t log p - (1 - t) log(1 - p), but never takes the logarithm of 0.
sign(0) = 0 throughout.

>>> mse(np.array([3.0, 2.0]), np.array([1.0, 4.0]))
array(4.)
>>> mse_grad(np.array(1.0), np.array([3.0, 2.0]), np.array([1.0, 4.0]))
(array([ 2., -2.]), array([-2., 2.]))
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minisrgan.reference.activation import sigmoid, softplus
from minisrgan.reference.positions import Array, Position, each, each_grad
from minisrgan.reference.reduction import mean, mean_grad


def _averaged(formula: Callable[..., Any], shares: Callable[..., tuple[Any, ...]]) -> tuple[Any, Any]:
    """Return a loss (the mean of a formula over all elements) and its gradient; see `positions.elementwise`."""

    def forward(a: Array, b: Array) -> Array:
        return mean(each(formula, a, b))

    def gradient(grad_y: Array, a: Array, b: Array) -> tuple[Array, ...]:
        return each_grad(shares, *mean_grad(grad_y, a), a, b)  # each element gets grad_y / n

    return forward, gradient


mse, mse_grad = _averaged(lambda a, b: (a - b) ** 2, lambda g, a, b: (g * 2 * (a - b), g * 2 * (b - a)))
l1, l1_grad = _averaged(lambda a, b: abs(a - b), lambda g, a, b: (g, -g) if a > b else (-g, g) if a < b else (0, 0))
binary_cross_entropy_with_logits, binary_cross_entropy_with_logits_grad = _averaged(
    lambda x, t: softplus(x) - t * x, lambda g, x, t: (g * (sigmoid(x) - t), -g * x)
)


def _neighbours(shape: Position) -> Iterator[tuple[Position, Position]]:
    """Yield each pair of a position and the one below it, and each pair of a position and the one right of it."""
    for n, h, w, c in np.ndindex(shape):
        if h + 1 < shape[1]:
            yield (n, h, w, c), (n, h + 1, w, c)
        if w + 1 < shape[2]:
            yield (n, h, w, c), (n, h, w + 1, c)


def total_variation(x: Array) -> Array:
    """y = sum over the pairs of neighbours of |x[q] - x[p]|, divided by the number of images."""
    y = np.zeros((), x.dtype)
    for p, q in _neighbours(x.shape):
        y += abs(x[q] - x[p]) / x.shape[0]
    return y


def total_variation_grad(grad_y: Array, x: Array) -> tuple[Array, ...]:
    """Each pair adds sign(x[q] - x[p]) / N to dy/dx[q] and subtracts it from dy/dx[p]."""
    grad_x = np.zeros_like(x)
    for p, q in _neighbours(x.shape):
        sign = np.sign(x[q] - x[p])
        if sign:
            grad_x[q] += grad_y * sign / x.shape[0]
            grad_x[p] -= grad_y * sign / x.shape[0]
    return (grad_x,)
