"""Losses: one number from whole arrays, so grad_y is one number too. Over all n elements, or N images:

    mse     y = sum of (a - b)^2 / n                    dy/da = 2 (a - b) / n           dy/db = -dy/da
    l1      y = sum of |a - b| / n                      dy/da = sign(a - b) / n         dy/db = -dy/da
    binary_cross_entropy_with_logits, logits x, targets t
            y = sum of (log(1 + e^x) - t x) / n         dy/dx = (sigmoid x - t) / n     dy/dt = -x / n
    total_variation, over the pairs (p, q) of a pixel and the one below it, or the one right of it
            y = sum of |x[q] - x[p]| / N                each pair: sign(x[q] - x[p]) / N to q and the opposite to p

With p = sigmoid x, log(1 + e^x) - t x is -t log p - (1 - t) log(1 - p), but it never takes the logarithm of 0.
sign(0) = 0 throughout.

>>> mse(np.array([3.0, 2.0]), np.array([1.0, 4.0]))
array(4.)
>>> mse_grad(np.array(1.0), np.array([3.0, 2.0]), np.array([1.0, 4.0]))
(array([ 2., -2.]), array([-2., 2.]))
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minisrgan.reference.activation import sigmoid, softplus
from minisrgan.reference.positions import Array, Position


def mse(prediction: Array, target: Array) -> Array:
    """y = sum of (a - b)^2 / n."""
    y = np.zeros((), prediction.dtype)
    for position in np.ndindex(prediction.shape):
        y += (prediction[position] - target[position]) ** 2 / prediction.size
    return y


def mse_grad(grad_y: Array, prediction: Array, target: Array) -> tuple[Array, ...]:
    """dy/da = 2 (a - b) / n, dy/db = -dy/da."""
    grad_prediction, grad_target = np.empty_like(prediction), np.empty_like(target)
    for position in np.ndindex(prediction.shape):
        slope = 2 * (prediction[position] - target[position]) / prediction.size
        grad_prediction[position], grad_target[position] = grad_y * slope, -grad_y * slope
    return grad_prediction, grad_target


def l1(prediction: Array, target: Array) -> Array:
    """y = sum of |a - b| / n."""
    y = np.zeros((), prediction.dtype)
    for position in np.ndindex(prediction.shape):
        y += abs(prediction[position] - target[position]) / prediction.size
    return y


def l1_grad(grad_y: Array, prediction: Array, target: Array) -> tuple[Array, ...]:
    """dy/da = sign(a - b) / n, dy/db = -dy/da."""
    grad_prediction, grad_target = np.empty_like(prediction), np.empty_like(target)
    for position in np.ndindex(prediction.shape):
        sign = np.sign(prediction[position] - target[position])
        grad_prediction[position] = grad_y * sign / prediction.size if sign else 0
        grad_target[position] = -grad_prediction[position]
    return grad_prediction, grad_target


def binary_cross_entropy_with_logits(logits: Array, targets: Array) -> Array:
    """y = sum of (log(1 + e^x) - t x) / n."""
    y, softplus_x = np.zeros((), logits.dtype), softplus(logits)
    for position in np.ndindex(logits.shape):
        y += (softplus_x[position] - targets[position] * logits[position]) / logits.size
    return y


def binary_cross_entropy_with_logits_grad(grad_y: Array, logits: Array, targets: Array) -> tuple[Array, ...]:
    """dy/dx = (sigmoid x - t) / n, dy/dt = -x / n."""
    sigmoid_x, grad_logits, grad_targets = sigmoid(logits), np.empty_like(logits), np.empty_like(targets)
    for position in np.ndindex(logits.shape):
        grad_logits[position] = grad_y * (sigmoid_x[position] - targets[position]) / logits.size
        grad_targets[position] = -grad_y * logits[position] / logits.size
    return grad_logits, grad_targets


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
    """Each pair hands sign(x[q] - x[p]) / N to q and the opposite to p."""
    grad_x = np.zeros_like(x)
    for p, q in _neighbours(x.shape):
        sign = np.sign(x[q] - x[p])
        if sign:
            grad_x[q] += grad_y * sign / x.shape[0]
            grad_x[p] -= grad_y * sign / x.shape[0]
    return (grad_x,)
