"""Reductions and broadcasting. Over the n numbers x_1 .. x_n that share one output:

    sum             y = x_1 + .. + x_n                      dy/dx_i = 1
    mean            y = sum / n                             dy/dx_i = 1 / n
    variance        y = sum over i of (x_i - mean)^2 / n    dy/dx_i = 2 (x_i - mean) / n
    std             y = sqrt(variance)                      dy/dx_i = (x_i - mean) / (n y), 0 where y = 0
    max             y = the largest x_i                     dy/dx_i = 1 / k if x_i is one of k equal to y, else 0
    min             y = the smallest x_i                    dy/dx_i as that of max
    broadcast_to    y_1 = .. = y_n = x                      dL/dx   = dL/dy_1 + .. + dL/dy_n
    sum_to          sum over the axes that broadcast_to would stretch

Reduced axes are kept with length 1 while we work, so `source` maps a position of x to its position in y.

>>> max_grad(np.array([6.0]), np.array([[3.0, 1.0, 3.0]]), axis=1)
(array([[3., 0., 3.]]),)
"""

import math
from typing import TypeAlias

import numpy as np

from minisrgan.reference.positions import Array, add_back, each, read, source, stretched

Axis: TypeAlias = int | tuple[int, ...] | None


def _kept(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """Return the shape with length 1 for the reduced axes; None reduces all axes."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    reduced = [a % len(shape) for a in axes]
    return tuple(1 if a in reduced else size for a, size in enumerate(shape))


def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = x_1 + .. + x_n."""
    y = sum_to(x, _kept(x.shape, axis))
    return y if keepdims else y.squeeze(axis)


def sum_grad(grad_y: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> tuple[Array, ...]:
    """dy/dx_i = 1."""
    return (broadcast_to(grad_y.reshape(_kept(x.shape, axis)), x.shape),)


def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = (x_1 + .. + x_n) / n."""
    total = sum(x, axis, keepdims)
    n = x.size // total.size
    return each(lambda total: total / n, total)


def mean_grad(grad_y: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> tuple[Array, ...]:
    """dy/dx_i = 1 / n."""
    (grad_sum,) = sum_grad(grad_y, x, axis, keepdims)
    n = x.size // grad_y.size
    return (each(lambda g: g / n, grad_sum),)


def variance(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = ((x_1 - mean)^2 + .. + (x_n - mean)^2) / n."""
    squares = each(lambda x, mean: (x - mean) ** 2, x, mean(x, axis, keepdims=True))
    return mean(squares, axis, keepdims)


def variance_grad(grad_y: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> tuple[Array, ...]:
    """dy/dx_i = 2 (x_i - mean) / n; the change of the mean adds nothing, since all x_i - mean sum to 0."""
    (grad_mean,) = mean_grad(grad_y, x, axis, keepdims)
    return (each(lambda g, x, mean: g * 2 * (x - mean), grad_mean, x, mean(x, axis, keepdims=True)),)


def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = the largest x_i."""
    y = np.full(_kept(x.shape, axis), -np.inf, x.dtype)
    for position in np.ndindex(x.shape):
        if x[position] > y[source(position, y.shape)]:
            y[source(position, y.shape)] = x[position]
    return y if keepdims else y.squeeze(axis)


def max_grad(grad_y: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> tuple[Array, ...]:
    """dy/dx_i = 1 / k where x_i = y, with k the number of such i; else 0."""
    is_largest = each(lambda x, y: 1 if x == y else 0, x, max(x, axis, keepdims=True))
    k = sum(is_largest, axis, keepdims=True)
    (grad_sum,) = sum_grad(grad_y, x, axis, keepdims)
    return (each(lambda g, is_largest, k: g / k if is_largest else 0, grad_sum, is_largest, k),)


def std(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = the square root of the variance."""
    return each(math.sqrt, variance(x, axis, keepdims))


def std_grad(grad_y: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> tuple[Array, ...]:
    """dy/dx_i = (x_i - mean) / (n y), and 0 where all x_i are equal, so that y = 0."""
    (grad_mean,) = mean_grad(grad_y, x, axis, keepdims)
    centre, y = mean(x, axis, keepdims=True), std(x, axis, keepdims=True)
    return (each(lambda g, x, mean, y: g * (x - mean) / y if y else 0.0, grad_mean, x, centre, y),)


def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Array:
    """y = the smallest x_i, the negative of the largest -x_i."""
    return each(lambda y: -y, max(each(lambda x: -x, x), axis, keepdims))


def min_grad(grad_y: Array, x: Array, axis: Axis = None, keepdims: bool = False) -> tuple[Array, ...]:
    """dy/dx_i = 1 / k where x_i = y, with k the number of such i; else 0."""
    return max_grad(grad_y, each(lambda x: -x, x), axis, keepdims)


def broadcast_to(x: Array, shape: tuple[int, ...]) -> Array:
    """y[p] = x at the place that broadcasting reads for p."""
    return read(x, np.empty(shape, x.dtype), stretched(shape, x.shape))


def broadcast_to_grad(grad_y: Array, x: Array, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """dL/dx = the sum of dL/dy over the copies of x."""
    return (sum_to(grad_y, x.shape),)


def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """y = x_1 + .. + x_n, the sum over all positions of x that read one number of y when y is broadcast."""
    return add_back(x, np.zeros(shape, x.dtype), stretched(x.shape, shape))


def sum_to_grad(grad_y: Array, x: Array, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """dy/dx_i = 1."""
    return (broadcast_to(grad_y, x.shape),)
