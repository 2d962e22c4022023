"""The passes of batch normalisation over a batch seen as (M, C): M = N*H*W values of each of C channels.

Forward  two reading passes (mean, variance) and one writing.
Backward one reading pass over x and grad_y for the two sums, one writing: grad_x is a*grad_y + b*x + d, and a, b, d
         are one number a channel, so neither x_hat nor a mask is kept.
"""

from __future__ import annotations

from minisrgan.backend import Array, array_module
from minisrgan.kernels.blocks import channel_rows, row_blocks


def channel_sums(x: Array) -> Array:
    """Sum (..., C) over all axes but the last, to (C,).

    Sums of blocks, then the sum of those: in float32 a single running sum over the 150,000 values of a batch would
    lose its last digits.
    """
    xp = array_module(x)
    flat = channel_rows(x)
    parts = [flat[block].sum(axis=0) for block in row_blocks(flat)]
    return xp.stack(parts).sum(axis=0)


def channel_moments(x: Array) -> tuple[Array, Array]:
    """Return mean and variance (divided by M) of (..., C) over all axes but the last.

    The variance is taken around the mean, in a second pass: E[x^2] - E[x]^2 cancels where the mean is large.
    """
    xp = array_module(x)
    flat = channel_rows(x)
    mean = channel_sums(x) / len(flat)
    parts = []
    for block in row_blocks(flat):
        centred = flat[block] - mean
        parts.append((centred * centred).sum(axis=0))
    return mean, xp.stack(parts).sum(axis=0) / len(flat)


def normalize(x: Array, mean: Array, inv_std: Array, weight: Array, bias: Array) -> Array:
    """Return (x - mean) * inv_std * weight + bias as one multiplication and one addition, scale*x + shift."""
    scale = inv_std * weight
    y = x * scale
    y += bias - mean * scale
    return y


def normalize_gradient(
    grad_y: Array, x: Array, mean: Array, inv_std: Array, weight: Array
) -> tuple[Array, Array, Array]:
    """Return grad_x, grad_weight and grad_bias of a training-mode batch norm.

    With x_hat = (x - mean) * inv_std, and means over the M values of a channel:

        grad_bias   = sum grad_y               grad_weight = sum grad_y * x_hat
        grad_x      = weight * inv_std * (grad_y - grad_bias/M - x_hat * grad_weight/M)
    """
    xp = array_module(x)
    flat_x, flat_grad = channel_rows(x), channel_rows(grad_y)
    count = len(flat_x)
    grad_bias = channel_sums(grad_y)
    parts = []
    for block in row_blocks(flat_x):
        centred = flat_x[block] - mean
        centred *= flat_grad[block]
        parts.append(centred.sum(axis=0))
    grad_weight = xp.stack(parts).sum(axis=0) * inv_std

    scale = weight * inv_std  # grad_x = a*grad_y + b*x + d, one a, b and d a channel
    slope = -scale * inv_std * grad_weight / count
    shift = -scale * grad_bias / count - slope * mean
    grad_x = xp.empty_like(flat_x)
    for block in row_blocks(flat_x):
        xp.multiply(flat_grad[block], scale, out=grad_x[block])
        grad_x[block] += flat_x[block] * slope
        grad_x[block] += shift
    return grad_x.reshape(x.shape), grad_weight, grad_bias
