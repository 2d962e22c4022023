"""PReLU in one pass each way, in blocks of about 256 KB that stay in cache, with no mask kept.

Arithmetic: about four operations an element forward, six backward. Bytes moved: forward reads x and writes y; backward
reads grad_y and x and writes grad_x, where the formula written out array by array would move three times as much.
"""

from __future__ import annotations

from minisrgan.backend import Array, array_module
from minisrgan.kernels.blocks import channel_rows, row_blocks


def prelu(x: Array, slope: Array) -> Array:
    """Return max(x, 0) + slope * min(x, 0), which holds for every slope; max(x, slope * x) only for 0 to 1."""
    xp = array_module(x)
    flat = channel_rows(x)
    y = xp.empty_like(flat)
    for block in row_blocks(flat):
        part, out = flat[block], y[block]
        xp.minimum(part, 0, out=out)
        out *= slope
        out += xp.maximum(part, 0)
    return y.reshape(x.shape)


def prelu_gradient(grad_y: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    """Return grad_x and grad_slope from one walk over grad_y and x."""
    xp = array_module(x)
    flat, flat_grad = channel_rows(x), channel_rows(grad_y)
    grad_x = xp.empty_like(flat)
    sums = []
    for block in row_blocks(flat):
        part, grad, out = flat[block], flat_grad[block], grad_x[block]
        xp.minimum(part, 0, out=out)
        out *= grad
        sums.append(out.sum(axis=0))  # (C,)
        positive = part > 0
        xp.multiply(positive, 1 - slope, out=out)
        out += slope
        out *= grad  # 1 or the slope, times grad_y
    grad_slope = xp.stack(sums).sum(axis=0)
    return grad_x.reshape(x.shape), grad_slope if slope.shape == grad_slope.shape else grad_slope.sum(keepdims=True)
