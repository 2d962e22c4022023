"""The passes of batch normalization over a batch seen as (M, C): M = N*H*W values of each of C channels.

Forward  one pass reads x for mean and variance (two if a mean is large relative to its deviation), one writes y.
Backward one pass reads x and grad_y for the two sums, one writes grad_x = a*grad_y + b*x + d, where a, b and d have one
         number per channel, so x_hat is not stored.

A mean that is large relative to the deviation is subtracted from x first. Otherwise mean*scale is subtracted from
x*scale, which takes one operation less per value but loses digits: both terms are rounded, and in a constant channel,
whose scale is 1/sqrt(eps), only the rounding errors remain.
"""

import numpy as np

from minisrgan.backend import Array
from minisrgan.kernels.blocks import Rows, map_blocks

# The largest |mean| / deviation for which the mean may be subtracted from a result. E[x^2] - E[x]^2 then subtracts up
# to 9 times what remains, which costs one of seven digits. x*scale - mean*scale has up to 10 times the rounding error
# of a single number; the rounding of the mean itself already causes 5.
_NEAR_FOR_SQUARES, _NEAR = 3, 10


def channel_sums(x: Array) -> Array:
    """Sum (..., C) over all axes but the last, to (C,)."""
    rows = Rows(x)
    return rows.total(map_blocks(lambda part: part.sum(axis=0), rows.of(x)))


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Return mean and variance (divided by M) of (..., C) over all axes but the last.

    The variance is E[x^2] - E[x]^2 if the mean of every channel is near 0. Otherwise cancellation would lose digits, so
    a second pass computes the moments of x - mean. It also corrects the rounding error of the mean.
    """
    rows, count = Rows(x), x.size // x.shape[-1]

    def moments(shift: Array | None) -> tuple[Array, Array]:
        def sums(part: Array) -> tuple[Array, Array]:
            part = _less(part, shift)
            return part.sum(axis=0), np.einsum("ij,ij->j", part, part)

        plain, squared = zip(*map_blocks(sums, rows.of(x)), strict=True)
        mean = rows.total(plain) / count
        return mean, rows.total(squared) / count - mean * mean

    mean, variance = moments(None)
    if (mean * mean <= _NEAR_FOR_SQUARES**2 * variance).all():
        return mean, variance
    rest, variance = moments(rows.widen(mean))
    return mean + rest, np.maximum(variance, 0)


def batch_statistics(x: Array, running: tuple[Array, Array] | None, momentum: float, eps: float) -> tuple[Array, Array]:
    """Return mean and 1 / sqrt(variance + eps) of each channel, and update the running statistics in place.

    running <- (1 - momentum) * running + momentum * batch, with the variance divided by M - 1: see `ops.batch_norm`.
    """
    mean, variance = channel_moments(x)
    if running is not None:
        count = x.size // x.shape[-1]
        for kept, new in zip(running, (mean, variance * (count / (count - 1))), strict=True):
            kept *= 1 - momentum
            kept += momentum * new
    return mean, 1 / (variance + eps) ** 0.5


def _less(part: Array, shift: Array | None) -> Array:
    return part if shift is None else part - shift


def _shift(rows: Rows, mean: Array, inv_std: Array) -> tuple[Array | None, Array]:
    """Return the vector to subtract from every row of x, or None, and the mean to subtract from the results."""
    if (np.abs(mean) * inv_std).max() > _NEAR:
        return rows.widen(mean), np.zeros_like(mean)
    return None, mean


def normalize(x: Array, mean: Array, inv_std: Array, weight: Array, bias: Array) -> Array:
    """Return (x - mean) * inv_std * weight + bias as one multiplication and one addition, scale*x + shift."""
    rows, scale, y = Rows(x), inv_std * weight, np.empty(x.shape, x.dtype)
    shift, mean = _shift(rows, mean, inv_std)
    wide_scale, wide_bias = rows.widen(scale), rows.widen(bias - mean * scale)

    def apply(part: Array, out: Array) -> None:
        np.multiply(_less(part, shift), wide_scale, out=out)
        out += wide_bias

    map_blocks(apply, rows.of(x), rows.of(y))
    return y


def normalize_gradient(
    grad_y: Array, x: Array, mean: Array, inv_std: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """Return grad_x, grad_weight and grad_bias of a training-mode batch norm.

    With x_hat = (x - mean) * inv_std, and sums over the M values of a channel:

        grad_bias   = sum grad_y               grad_weight = sum grad_y * x_hat
        grad_x      = weight * inv_std * (grad_y - grad_bias/M - x_hat * grad_weight/M)
    """
    rows, count, grad_x = Rows(x), x.size // x.shape[-1], np.empty(x.shape, x.dtype)
    shift, mean = _shift(rows, mean, inv_std)

    def sums(grad: Array, part: Array) -> tuple[Array, Array]:
        return grad.sum(axis=0), np.einsum("ij,ij->j", _less(part, shift), grad)

    plain, weighted = zip(*map_blocks(sums, rows.of(grad_y), rows.of(x)), strict=True)
    grad_bias = rows.total(plain)
    grad_weight = (rows.total(weighted) - mean * grad_bias) * inv_std

    a = weight * inv_std  # grad_x = a*grad_y + b*x + d, with one a, b and d per channel
    b = -a * inv_std * grad_weight / count
    d = -a * grad_bias / count - b * mean
    wide_a, wide_b, wide_d = map(rows.widen, (a, b, d))

    def combine(grad: Array, part: Array, out: Array) -> None:
        np.multiply(grad, wide_a, out=out)
        out += _less(part, shift) * wide_b
        out += wide_d

    map_blocks(combine, rows.of(grad_y), rows.of(x), rows.of(grad_x))
    return grad_x, grad_weight, grad_bias
