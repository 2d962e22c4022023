"""The kernels of a GPU but convolution, under the names that they have on a CPU, where their docstrings say more.

Formulas and inner loops are in ``sources/*.cu``.
Bytes moved: every array once, but for the batch whose moments are taken, twice.
"""

from __future__ import annotations

import math
from typing import Any

from minisrgan.backend import Array, array_module
from minisrgan.kernels.cuda.launch import column_sums, contiguous, each


def _result(name: str, shape: tuple[int, ...], inputs: tuple[Array, ...], *numbers: Any) -> Array:
    """Return an array of this shape, of which a kernel computes each element by itself."""
    y = array_module(inputs[0]).empty(shape, inputs[0].dtype)
    each(name, y.size, y, *contiguous(*inputs), y.size, *numbers)
    return y


# Batch normalization and rectifiers


def channel_sums(x: Array) -> Array:
    """Sum (..., C) over all axes but the last, to (C,)."""
    (x,) = contiguous(x)
    return column_sums("sums", x.size // x.shape[-1], x.shape[-1], 1, x)[0]


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Return mean and variance (divided by M) of (..., C) over all axes but the last."""
    (x,), xp = contiguous(x), array_module(x)
    channels, count = x.shape[-1], x.size // x.shape[-1]
    total, mean, variance = channel_sums(x), xp.empty((channels,), x.dtype), xp.empty((channels,), x.dtype)
    sums = column_sums("centred_sums", count, channels, 2, x, total)
    each("moments", channels, mean, variance, total, sums, channels, count)
    return mean, variance


def normalize(x: Array, mean: Array, inv_std: Array, weight: Array, bias: Array) -> Array:
    """Return (x - mean) * inv_std * weight + bias."""
    return _result("normalize", x.shape, (x, mean, inv_std, weight, bias), x.shape[-1])


def normalize_gradient(
    grad_y: Array, x: Array, mean: Array, inv_std: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """Return grad_x, grad_weight and grad_bias; see `minisrgan.kernels.norm`."""
    arrays = grad_y, x, mean, inv_std = contiguous(grad_y, x, mean, inv_std)
    channels, count = x.shape[-1], x.size // x.shape[-1]
    grad_bias, grad_weight = column_sums("gradient_sums", count, channels, 2, *arrays)
    grad_x = _result("normalize_gradient", x.shape, (*arrays, weight, grad_bias, grad_weight), channels, count)
    return grad_x, grad_weight, grad_bias


def prelu(x: Array, slope: Array) -> Array:
    """Return max(x, 0) + slope * min(x, 0)."""
    return _result("prelu", x.shape, (x, slope), x.shape[-1], int(slope.size > 1))


def prelu_gradient(grad_y: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    """Return grad_x and grad_slope from one walk over grad_y and x."""
    arrays, grad_x, channels = contiguous(grad_y, x, slope), array_module(x).empty(x.shape, x.dtype), x.shape[-1]
    (sums,) = column_sums("prelu_gradient", x.size // channels, channels, 1, grad_x, *arrays, int(slope.size > 1))
    return grad_x, sums if slope.shape == sums.shape else sums.sum(keepdims=True)


def leaky_relu(x: Array, slope: float) -> Array:
    """Return max(x, 0) + slope * min(x, 0)."""
    return _result("leaky_relu", x.shape, (x,), float(slope))


def leaky_relu_gradient(grad_y: Array, y: Array, slope: float) -> Array:
    """Return grad_y where y > 0, slope * grad_y elsewhere."""
    return _result("leaky_relu_gradient", y.shape, (grad_y, y), float(slope))


# What moves numbers, and Adam


def pixel_shuffle(x: Array, factor: int) -> Array:
    """Move channels (N, H, W, C*r*r) to pixels (N, r*H, r*W, C)."""
    n, h, w, channels = x.shape
    c = channels // factor**2
    return _result("pixel_shuffle", (n, h * factor, w * factor, c), (x,), w, c, factor)


def pixel_unshuffle(x: Array, factor: int) -> Array:
    """Move pixels (N, r*H, r*W, C) back to channels (N, H, W, C*r*r)."""
    n, tall, wide, c = x.shape
    w = wide // factor
    return _result("pixel_unshuffle", (n, tall // factor, w, c * factor**2), (x,), w, c, factor)


def max_pool(x: Array, size: int) -> Array:
    """Return the maximum of each window."""
    n, h, w, channels = x.shape
    return _result("max_pool", (n, h // size, w // size, channels), (x,), h, w, channels, size)


def to_first_maximum(values: Array, x: Array, y: Array, size: int) -> Array:
    """Return the value of each window at the first of its elements to equal the maximum y, zeros elsewhere."""
    values, x, y = contiguous(values, x, y)
    result = array_module(x).zeros(x.shape, x.dtype)
    each("to_first_maximum", y.size, result, values, x, y, y.size, *x.shape[1:], size)
    return result


def adam(
    parameter: Array, grad: Array, mean: Array, square: Array,
    lr: float, betas: tuple[float, float], eps: float, step: int,
) -> None:  # fmt: skip
    """Update parameter, mean and square in place; formula at `minisrgan.optim.Adam`."""
    root = math.sqrt(1 - betas[1] ** step)
    numbers = *betas, lr * root / (1 - betas[0] ** step), eps * root
    flat, grad = contiguous(parameter, grad)
    each("adam", flat.size, flat, mean, square, grad, flat.size, *map(float, numbers))
    if flat is not parameter:  # then it is a copy
        parameter[...] = flat
