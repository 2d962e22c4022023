"""The kernels of a GPU, under the names that they have on a CPU, where their docstrings say more.

Formulas and inner loops are in ``sources/*.cu``.
Bytes moved: every array once, but for the batch whose variance is taken, twice, and for columns of a convolution.
"""

from __future__ import annotations

import math

from minisrgan.backend import Array, array_module
from minisrgan.kernels.cuda.launch import column_sums, contiguous, each

# Batch normalisation and rectifiers


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
    arrays = contiguous(x, mean, inv_std, weight, bias)
    y = array_module(x).empty(x.shape, x.dtype)
    each("normalize", x.size, y, *arrays, x.size, x.shape[-1])
    return y


def normalize_gradient(
    grad_y: Array, x: Array, mean: Array, inv_std: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """Return grad_x, grad_weight and grad_bias; see `minisrgan.kernels.norm`."""
    grad_y, x, mean, inv_std, weight = arrays = contiguous(grad_y, x, mean, inv_std, weight)
    channels, count = x.shape[-1], x.size // x.shape[-1]
    grad_bias, grad_weight = column_sums("gradient_sums", count, channels, 2, grad_y, x, mean, inv_std)
    grad_x = array_module(x).empty(x.shape, x.dtype)
    each("normalize_gradient", x.size, grad_x, *arrays, grad_bias, grad_weight, x.size, channels, count)
    return grad_x, grad_weight, grad_bias


def prelu(x: Array, slope: Array) -> Array:
    """Return max(x, 0) + slope * min(x, 0)."""
    x, slope = contiguous(x, slope)
    y = array_module(x).empty(x.shape, x.dtype)
    each("prelu", x.size, y, x, slope, x.size, x.shape[-1], int(slope.size > 1))
    return y


def prelu_gradient(grad_y: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    """Return grad_x and grad_slope from one walk over grad_y and x."""
    arrays, grad_x, channels = contiguous(grad_y, x, slope), array_module(x).empty(x.shape, x.dtype), x.shape[-1]
    (sums,) = column_sums("prelu_gradient", x.size // channels, channels, 1, grad_x, *arrays, int(slope.size > 1))
    return grad_x, sums if slope.shape == sums.shape else sums.sum(keepdims=True)


def leaky_relu(x: Array, slope: float) -> Array:
    """Return max(x, 0) + slope * min(x, 0)."""
    (x,) = contiguous(x)
    y = array_module(x).empty(x.shape, x.dtype)
    each("leaky_relu", x.size, y, x, x.size, float(slope))
    return y


def leaky_relu_gradient(grad_y: Array, y: Array, slope: float) -> Array:
    """Return grad_y where y > 0, slope * grad_y elsewhere."""
    grad_y, y = contiguous(grad_y, y)
    grad_x = array_module(y).empty(y.shape, y.dtype)
    each("leaky_relu_gradient", y.size, grad_x, grad_y, y, y.size, float(slope))
    return grad_x


# What moves numbers, and Adam


def pixel_shuffle(x: Array, factor: int) -> Array:
    """Move channels (N, H, W, C*r*r) to pixels (N, r*H, r*W, C)."""
    (x,), (n, h, w, channels) = contiguous(x), x.shape
    y = array_module(x).empty((n, h * factor, w * factor, channels // factor**2), x.dtype)
    each("pixel_shuffle", x.size, y, x, x.size, w, y.shape[3], factor)
    return y


def pixel_unshuffle(x: Array, factor: int) -> Array:
    """Move pixels (N, r*H, r*W, C) back to channels (N, H, W, C*r*r)."""
    (x,), (n, tall, wide, channels) = contiguous(x), x.shape
    y = array_module(x).empty((n, tall // factor, wide // factor, channels * factor**2), x.dtype)
    each("pixel_unshuffle", x.size, y, x, x.size, wide // factor, channels, factor)
    return y


def max_pool(x: Array, size: int) -> Array:
    """Return the maximum of each window."""
    (x,), (n, h, w, channels) = contiguous(x), x.shape
    y = array_module(x).empty((n, h // size, w // size, channels), x.dtype)
    each("max_pool", y.size, y, x, y.size, h, w, channels, size)
    return y


def to_first_maximum(values: Array, x: Array, y: Array, size: int) -> Array:
    """Return the value of each window at the first of its elements to equal the maximum y, zeros elsewhere."""
    xp = array_module(x)
    values, x, y = contiguous(xp.broadcast_to(xp.asarray(values, dtype=x.dtype), y.shape), x, y)
    result = xp.zeros(x.shape, x.dtype)
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
