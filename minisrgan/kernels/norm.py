"""The passes of batch normalization over a batch seen as (M, C): M = N*H*W values of each of C channels.

Forward  one reading pass for mean and variance, two where a mean is large beside its deviation, and one writing.
Backward one reading pass over x and grad_y for the two sums, one writing: grad_x is a*grad_y + b*x + d, and a, b, d
         are one number a channel, so neither x_hat nor a mask is kept.

A mean that is large beside the deviation is subtracted from x before anything else, and otherwise from the results.
That is one operation less for each value, but loses digits: both terms of x*scale - mean*scale are rounded, and in a
channel of constants, whose scale is 1/sqrt(eps), nothing else is left.
"""

from __future__ import annotations

import numpy as np

from minisrgan.backend import Array
from minisrgan.kernels.blocks import Rows, map_blocks

# Up to how many deviations a mean may be from 0 to be subtracted from a result. E[x^2] - E[x]^2 takes off the square of
# that: 9 times what remains, which costs one digit of the seven. Of x*scale - mean*scale, 10 times the rounding of one
# remains, where the rounding of the mean itself makes 5.
_NEAR_FOR_SQUARES, _NEAR = 3, 10


def channel_sums(x: Array) -> Array:
    """Sum (..., C) over all axes but the last, to (C,)."""
    rows = Rows(x)
    flat = rows.of(x)
    return rows.total(map_blocks(lambda block: flat[block].sum(axis=0), flat))


class _Centred:
    """The long rows of a batch less a mean, where that is far from 0; ``mean`` is what remains to be subtracted."""

    def __init__(self, x: Array, mean: Array, far: bool) -> None:
        self.rows, self.mean, self.wide_mean = Rows(x), mean, None
        self.flat = self.rows.of(x)
        if far:
            self.mean, self.wide_mean = np.zeros_like(mean), self.rows.widen(mean)

    def __getitem__(self, block: slice) -> Array:
        return self.flat[block] if self.wide_mean is None else self.flat[block] - self.wide_mean


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Return mean and variance (divided by M) of (..., C) over all axes but the last.

    The variance is E[x^2] - E[x]^2 where the mean of every channel is near 0. Otherwise that cancels, and a second pass
    takes the same of x - mean. It also corrects the mean by what its rounding left.
    """

    def moments(centred: _Centred) -> tuple[Array, Array]:
        def sums(block: slice) -> tuple[Array, Array]:
            part = centred[block]
            return part.sum(axis=0), np.einsum("ij,ij->j", part, part)

        plain, squared = zip(*map_blocks(sums, centred.flat), strict=True)
        mean = centred.rows.total(plain) / count
        return mean, centred.rows.total(squared) / count - mean * mean

    count = x.size // x.shape[-1]
    mean, variance = moments(_Centred(x, np.zeros(1, x.dtype), far=False))
    if (mean * mean <= _NEAR_FOR_SQUARES**2 * variance).all():
        return mean, variance
    rest, variance = moments(_Centred(x, mean, far=True))
    return mean + rest, np.maximum(variance, 0)


def _centred(x: Array, mean: Array, inv_std: Array) -> _Centred:
    return _Centred(x, mean, far=(np.abs(mean) * inv_std).max() > _NEAR)


def normalize(x: Array, mean: Array, inv_std: Array, weight: Array, bias: Array) -> Array:
    """Return (x - mean) * inv_std * weight + bias as one multiplication and one addition, scale*x + shift."""
    centred, scale, y = _centred(x, mean, inv_std), inv_std * weight, np.empty(x.shape, x.dtype)
    rows = centred.rows
    wide_scale, wide_shift, out = rows.widen(scale), rows.widen(bias - centred.mean * scale), rows.of(y)

    def apply(block: slice) -> None:
        np.multiply(centred[block], wide_scale, out=out[block])
        out[block] += wide_shift

    map_blocks(apply, centred.flat)
    return y


def normalize_gradient(
    grad_y: Array, x: Array, mean: Array, inv_std: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """Return grad_x, grad_weight and grad_bias of a training-mode batch norm.

    With x_hat = (x - mean) * inv_std, and means over the M values of a channel:

        grad_bias   = sum grad_y               grad_weight = sum grad_y * x_hat
        grad_x      = weight * inv_std * (grad_y - grad_bias/M - x_hat * grad_weight/M)
    """
    centred, count = _centred(x, mean, inv_std), x.size // x.shape[-1]
    rows, mean = centred.rows, centred.mean
    flat_grad = rows.of(grad_y)

    def sums(block: slice) -> tuple[Array, Array]:
        grad = flat_grad[block]
        return grad.sum(axis=0), np.einsum("ij,ij->j", centred[block], grad)

    plain, weighted = zip(*map_blocks(sums, centred.flat), strict=True)
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
        out[block] += centred[block] * wide_slope
        out[block] += wide_shift

    map_blocks(combine, centred.flat)
    return grad_x, grad_weight, grad_bias
