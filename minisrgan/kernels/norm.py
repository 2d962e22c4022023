"""The passes of batch normalisation over a batch seen as (M, C): M = N*H*W values of each of C channels.

Forward  one reading pass for mean and variance, two where the mean is large beside the deviation, and one writing.
Backward one reading pass over x and grad_y for the two sums, one writing: grad_x is a*grad_y + b*x + d, and a, b, d
         are one number a channel, so neither x_hat nor a mask is kept.
"""

from __future__ import annotations

import numpy as np

from minisrgan.backend import Array
from minisrgan.kernels.blocks import Rows, map_blocks


def channel_sums(x: Array) -> Array:
    """Sum (..., C) over all axes but the last, to (C,)."""
    rows = Rows(x)
    flat = rows.of(x)
    return rows.total(map_blocks(lambda block: flat[block].sum(axis=0), flat))


# Up to how many deviations a mean may be from 0 for E[x^2] - E[x]^2 to serve as the variance. What is then taken off is
# at most 9 times what remains, which costs one digit of the seven.
_NEAR = 3


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Return mean and variance (divided by M) of (..., C) over all axes but the last.

    The variance is E[x^2] - E[x]^2, from one pass, where the mean of every channel is near 0 beside its deviation;
    otherwise that cancels, and a second pass takes E[(x - mean)^2].
    """
    rows, count = Rows(x), x.size // x.shape[-1]
    flat = rows.of(x)

    def sums(block: slice) -> tuple[Array, Array]:
        part = flat[block]
        return part.sum(axis=0), np.einsum("ij,ij->j", part, part)

    plain, squared = zip(*map_blocks(sums, flat), strict=True)
    mean = rows.total(plain) / count
    variance = rows.total(squared) / count - mean * mean
    if (mean * mean <= _NEAR**2 * variance).all():
        return mean, variance
    wide_mean = rows.widen(mean)

    def squares(block: slice) -> Array:
        centred = flat[block] - wide_mean
        return np.einsum("ij,ij->j", centred, centred)

    return mean, rows.total(map_blocks(squares, flat)) / count


def normalize(x: Array, mean: Array, inv_std: Array, weight: Array, bias: Array) -> Array:
    """Return (x - mean) * inv_std * weight + bias as one multiplication and one addition, scale*x + shift."""
    rows = Rows(x)
    flat, y = rows.of(x), np.empty(x.shape, x.dtype)
    scale = inv_std * weight
    wide_scale, wide_shift, out = rows.widen(scale), rows.widen(bias - mean * scale), rows.of(y)

    def apply(block: slice) -> None:
        np.multiply(flat[block], wide_scale, out=out[block])
        out[block] += wide_shift

    map_blocks(apply, flat)
    return y


def normalize_gradient(
    grad_y: Array, x: Array, mean: Array, inv_std: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """Return grad_x, grad_weight and grad_bias of a training-mode batch norm.

    With x_hat = (x - mean) * inv_std, and means over the M values of a channel:

        grad_bias   = sum grad_y               grad_weight = sum grad_y * x_hat
        grad_x      = weight * inv_std * (grad_y - grad_bias/M - x_hat * grad_weight/M)
    """
    rows, count = Rows(x), x.size // x.shape[-1]
    flat_x, flat_grad = rows.of(x), rows.of(grad_y)

    def sums(block: slice) -> tuple[Array, Array]:
        grad = flat_grad[block]
        return grad.sum(axis=0), np.einsum("ij,ij->j", flat_x[block], grad)

    # The mean is taken off the sum, not off every x. That loses digits in proportion to mean/std, as the rounding of
    # the mean itself does, where the variance above would lose them with its square.
    plain, weighted = zip(*map_blocks(sums, flat_x), strict=True)
    grad_bias = rows.total(plain)
    grad_weight = (rows.total(weighted) - mean * grad_bias) * inv_std

    scale = weight * inv_std  # grad_x = a*grad_y + b*x + d, one a, b and d a channel
    slope = -scale * inv_std * grad_weight / count
    shift = -scale * grad_bias / count - slope * mean
    wide_scale, wide_slope, wide_shift = rows.widen(scale), rows.widen(slope), rows.widen(shift)
    grad_x = np.empty(x.shape, x.dtype)
    out = rows.of(grad_x)

    def combine(block: slice) -> None:
        np.multiply(flat_grad[block], wide_scale, out=out[block])
        out[block] += flat_x[block] * wide_slope
        out[block] += wide_shift

    map_blocks(combine, flat_x)
    return grad_x, grad_weight, grad_bias
