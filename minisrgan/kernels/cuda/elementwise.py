"""All GPU kernels except convolution, with the names of the CPU kernels, whose docstrings say more.

Formulas and inner loops are in ``sources/*.cu``.
Bytes moved: every array once, except a batch whose moments are computed: twice.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from minisrgan.backend import Array, array_module
from minisrgan.kernels.cuda.launch import contiguous, each, over_arrays, over_rows

Pair: TypeAlias = tuple[Array, Array]
Groups: TypeAlias = Sequence[tuple[Array, ...]]


def _result(name: str, shape: tuple[int, ...], inputs: tuple[Array, ...], *numbers: Any) -> Array:
    """Return an array of this shape, whose elements the kernel computes independently of one another."""
    y = array_module(inputs[0]).empty(shape, inputs[0].dtype)
    each(name, y.size, y, *contiguous(*inputs), y.size, *numbers)
    return y


# Batch normalization and rectifiers


def channel_sums(x: Array) -> Array:
    """Sum (..., C) over all axes but the last, to (C,)."""
    (x,) = contiguous(x)
    (result,) = _one_a_channel(x, 1)
    over_rows("channel_sums", [result], [x])
    return result


def _one_a_channel(x: Array, count: int) -> list[Array]:
    return [array_module(x).empty(x.shape[-1:], x.dtype) for _ in range(count)]


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Return mean and variance (divided by M) of (..., C) over all axes but the last."""
    mean, variance, _ = _statistics(x, None, 0.0, 0.0)
    return mean, variance


def batch_statistics(x: Array, running: Pair | None, momentum: float, eps: float) -> tuple[Array, Array]:
    """Return mean and 1 / sqrt(variance + eps), and update the running statistics; see `minisrgan.kernels.norm`."""
    mean, _, inv_std = _statistics(x, running, momentum, eps)
    return mean, inv_std


def _statistics(x: Array, running: Pair | None, momentum: float, eps: float) -> list[Array]:
    (x,), results = contiguous(x), _one_a_channel(x, 3)
    kept = contiguous(*running) if running else results[:2]
    numbers = int(running is not None), float(momentum), float(eps)
    over_rows("statistics", [*results, *kept], [x, channel_sums(x)], *numbers, sums=2)
    for array, new in zip(running or (), kept, strict=False):
        if array is not new:  # then `new` is a contiguous copy
            array[...] = new
    return results


def normalize(x: Array, mean: Array, inv_std: Array, weight: Array, bias: Array) -> Array:
    """Return (x - mean) * inv_std * weight + bias."""
    return _result("normalize", x.shape, (x, mean, inv_std, weight, bias), x.shape[-1])


def normalize_gradient(
    grad_y: Array, x: Array, mean: Array, inv_std: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """Return grad_x, grad_weight and grad_bias; see `minisrgan.kernels.norm`."""
    arrays = grad_y, x, mean, inv_std = contiguous(grad_y, x, mean, inv_std)
    grad_bias, grad_weight = sums = _one_a_channel(x, 2)
    over_rows("gradient_sums", sums, arrays, sums=2)
    sizes = x.shape[-1], x.size // x.shape[-1]
    grad_x = _result("normalize_gradient", x.shape, (*arrays, weight, grad_bias, grad_weight), *sizes)
    return grad_x, grad_weight, grad_bias


def prelu(x: Array, slope: Array) -> Array:
    """Return max(x, 0) + slope * min(x, 0)."""
    return _result("prelu", x.shape, (x, slope), x.shape[-1], int(slope.size > 1))


def prelu_gradient(grad_y: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    """Return grad_x and grad_slope in one pass over grad_y and x."""
    grad_x, (sums,) = array_module(x).empty(x.shape, x.dtype), _one_a_channel(x, 1)
    over_rows("prelu_gradient", [grad_x, sums], contiguous(grad_y, x, slope), int(slope.size > 1))
    return grad_x, sums if slope.shape == sums.shape else sums.sum(keepdims=True)


def leaky_relu(x: Array, slope: float) -> Array:
    """Return max(x, 0) + slope * min(x, 0)."""
    return _result("leaky_relu", x.shape, (x,), float(slope))


def leaky_relu_gradient(grad_y: Array, y: Array, slope: float) -> Array:
    """Return grad_y where y > 0, slope * grad_y elsewhere."""
    return _result("leaky_relu_gradient", y.shape, (grad_y, y), float(slope))


# Kernels that move numbers


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
    """Return an array like x that has each window's value at the window's first maximum y, else 0."""
    values, x, y = contiguous(values, x, y)
    result = array_module(x).zeros(x.shape, x.dtype)
    each("to_first_maximum", y.size, result, values, x, y, y.size, *x.shape[1:], size)
    return result


# Operations on all arrays of a network: one launch for each dtype


def adam_all(groups: Groups, steps: Sequence[int], lr: float, betas: tuple[float, float], eps: float) -> None:
    """Update parameters, means and squares in place; formula at `minisrgan.optim.Adam`."""
    for which in _alike(groups):
        roots = [(math.sqrt(1 - betas[1] ** steps[i]), 1 - betas[0] ** steps[i]) for i in which]
        numbers = np.array([[lr * root / rest, eps * root] for root, rest in roots])
        same = [groups[i] for i in which]
        over_arrays("adam", same, numbers, *map(float, betas))


def follow(groups: Groups, part: float) -> None:
    """Move averages towards values, in place; see `minisrgan.kernels.network`."""
    for which in _alike(groups):
        over_arrays("follow", [groups[i] for i in which], np.array([float(part)]))


def square_sum(groups: Groups) -> Array:
    """Return the sum of the squares of all elements, as an array of one number."""
    parts = [over_arrays("squares", [groups[i] for i in which], None, sums=True) for which in _alike(groups)]
    first, *others = (channel_sums(part.reshape(-1, 1)) for part in parts)
    return sum(others, first)


def _alike(groups: Groups) -> list[list[int]]:
    """Return, for each dtype, the positions of its groups."""
    dtypes = [group[0].dtype for group in groups]
    return [[i for i, other in enumerate(dtypes) if other == dtype] for dtype in dict.fromkeys(dtypes)]
