"""The rectifiers: one pass forward and one backward, in blocks of about 512 KB that stay in cache. No mask is stored.

Arithmetic: about four operations per element forward, six backward. Bytes moved: forward reads x and writes y; backward
reads grad_y and x (or y) and writes grad_x. As NumPy expressions on whole arrays, the formula would move three times as
much.
"""

import numpy as np

from minisrgan.backend import Array
from minisrgan.kernels.blocks import Rows, map_blocks, selected


def prelu(x: Array, slope: Array) -> Array:
    """Return max(x, 0) + slope * min(x, 0)."""
    rows = Rows(x)
    larger = bool(((slope <= 1) & (slope != 0)).all())  # 0 * inf is NaN
    return _rectified(rows.of(x), rows.widen(slope), larger).reshape(x.shape)


def leaky_relu(x: Array, slope: float) -> Array:
    """Return max(x, 0) + slope * min(x, 0)."""
    flat = x.reshape(-1, 1)
    if slope:
        return _rectified(flat, slope, slope <= 1).reshape(x.shape)
    y = np.empty(x.shape, x.dtype)
    map_blocks(lambda part, out: np.maximum(part, 0, out=out), flat, y.reshape(-1, 1))
    return y


def _rectified(x: Array, slope: Array | float, larger: bool) -> Array:
    """Rectify rows; ``larger`` means that the result is the larger of x and slope * x, as for slopes up to 1."""
    y = np.empty(x.shape, x.dtype)

    def apply(part: Array, out: Array) -> None:
        if larger:
            np.multiply(part, slope, out=out)
            np.maximum(out, part, out=out)
            return
        np.minimum(part, 0, out=out)
        out *= slope
        out += np.maximum(part, 0)

    map_blocks(apply, x, y)
    return y


def prelu_gradient(grad_y: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    """Return grad_x and grad_slope in one pass over grad_y and x."""
    rows, grad_x = Rows(x), np.empty(x.shape, x.dtype)
    wide_slope, between = rows.widen(slope), bool(((slope >= 0) & (slope <= 1)).all())

    def apply(part: Array, grad: Array, out: Array) -> Array:
        np.minimum(part, 0, out=out)
        sums = np.einsum("ij,ij->j", out, grad)
        if not np.isfinite(sums).all():  # perhaps from 0 * inf at x > 0, where y does not depend on the slope
            sums = np.einsum("ij,ij->j", out, selected(grad, part <= 0))
        _one_or_slope(part, wide_slope, between, out)
        out *= grad
        return sums

    grad_slope = rows.total(map_blocks(apply, rows.of(x), rows.of(grad_y), rows.of(grad_x)))
    return grad_x, grad_slope if slope.shape == grad_slope.shape else grad_slope.sum(keepdims=True)


def leaky_relu_gradient(grad_y: Array, y: Array, slope: float) -> Array:
    """Return grad_y where y > 0, slope * grad_y elsewhere."""
    grad_x = np.empty(y.shape, y.dtype)

    def apply(part: Array, grad: Array, out: Array) -> None:
        if not slope:
            selected(grad, part > 0, out=out)
            return
        _one_or_slope(part, slope, slope <= 1, out)
        out *= grad

    map_blocks(apply, *(array.reshape(-1, 1) for array in (y, grad_y, grad_x)))
    return grad_x


def _one_or_slope(x: Array, slope: Array | float, between: bool, out: Array) -> None:
    """Write 1 where x > 0, else the slope, into out; ``between`` means that all slopes lie between 0 and 1."""
    np.greater(x, 0, out=out)  # 1 or 0
    if between:
        np.maximum(out, slope, out=out)
    else:
        out *= 1 - slope
        out += slope
