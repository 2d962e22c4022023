"""Convolution, its transpose and its weight gradient: one loop over products, used in three ways.

For the output pixel (h, w), the kernel's corner lies at row h s - p and column w s - p of the image (stride s, padding
p), and its element (i, j) at the pixel (h s - p + i, w s - p + j). So image x, weight and result y are used in triples

    y[n, h, w, o]  <-  x[n, h s - p + i, w s - p + j, c]  *  weight[i, j, c, o]

one for each (n, h, w, o, i, j, c) whose pixel lies inside the image, since the padding is zero. Let T be the sum over
the triples of x * weight * y, which is linear in each of the three arrays. The derivative of T with respect to one of
them is an operation on the other two, computed by `_add`:

    conv2d                      y      += x * weight        = dT/dy
    conv2d_transpose            x      += y * weight        = dT/dx
    conv2d_weight_gradient      weight += x * y             = dT/dweight

so the gradients of each of these operations are the other two operations.

>>> x, weight = np.arange(9.0).reshape(1, 3, 3, 1), np.ones((2, 2, 1, 1))
>>> conv2d(x, weight)[0, :, :, 0]
array([[ 8., 12.], [20., 24.]])
>>> conv2d_transpose(np.ones((1, 2, 2, 1)), weight)[0, :, :, 0]
array([[1., 2., 1.], [2., 4., 2.], [1., 2., 1.]])
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from minisrgan.reference.positions import Array, Position, bias_grad, from_bias

Bias: TypeAlias = Array | None
Size: TypeAlias = tuple[int, int]
Pair: TypeAlias = int | tuple[int, int]
_X, _WEIGHT, _Y = range(3)  # the places of the arrays in a triple


def _frame(weight: Position, stride: Pair, padding: Pair | str) -> tuple[Size, Size, Size]:
    """Return, for rows and columns, the stride, the zeros before them and the zeros after them."""
    strides = (stride, stride) if isinstance(stride, int) else stride
    if isinstance(padding, str):  # "same": kernel - 1 zeros in all
        return strides, ((weight[0] - 1) // 2, (weight[1] - 1) // 2), (weight[0] // 2, weight[1] // 2)
    both = (padding, padding) if isinstance(padding, int) else padding
    return strides, both, both


def _add(to: int, arrays: Sequence[Array], stride: Pair, padding: Pair | str) -> Array:
    """Add dT/d(array), the products of the other two, to one of the arrays (x, weight, y), and return it."""
    x, weight, y = arrays
    (down, right), (top, left), _ = _frame(weight.shape, stride, padding)
    a, b = (k for k in range(3) if k != to)
    for n, h, w, o in np.ndindex(y.shape):
        for i, j, c in np.ndindex(weight.shape[:3]):
            row, column = h * down - top + i, w * right - left + j
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                triple = (n, row, column, c), (i, j, c, o), (n, h, w, o)
                arrays[to][triple[to]] += arrays[a][triple[a]] * arrays[b][triple[b]]
    return arrays[to]


def conv2d(x: Array, weight: Array, bias: Bias = None, *, stride: Pair = 1, padding: Pair | str = 0) -> Array:
    """y[n, h, w, o] = bias[o] + sum over i, j, c of x[n, h s - p + i, w s - p + j, c] weight[i, j, c, o]."""
    strides, before, after = _frame(weight.shape, stride, padding)
    ho, wo = ((x.shape[1 + k] + before[k] + after[k] - weight.shape[k]) // strides[k] + 1 for k in (0, 1))
    y = from_bias((x.shape[0], ho, wo, weight.shape[3]), bias, like=x)
    return _add(_Y, (x, weight, y), stride, padding)


def conv2d_grad(
    grad_y: Array, x: Array, weight: Array, bias: Bias = None, *, stride: Pair = 1, padding: Pair | str = 0
) -> tuple[Bias, ...]:
    """dL/dx[..] sums grad_y weight, dL/dweight[..] sums x grad_y, and dL/dbias[o] sums grad_y."""
    grad_x = _add(_X, (np.zeros_like(x), weight, grad_y), stride, padding)
    return grad_x, _add(_WEIGHT, (x, np.zeros_like(weight), grad_y), stride, padding), bias_grad(grad_y, bias)


def conv2d_transpose(
    x: Array, weight: Array, bias: Bias = None, *, stride: int = 1, padding: int = 0, output_size: Size | None = None
) -> Array:
    """y[n, h s - p + i, w s - p + j, o] = bias[o] + sum of x[n, h, w, c] weight[i, j, o, c]: x and y exchanged."""
    kh, kw, out_channels, _ = weight.shape
    ho = (x.shape[1] - 1) * stride - 2 * padding + kh
    wo = (x.shape[2] - 1) * stride - 2 * padding + kw
    y = from_bias((x.shape[0], *(output_size or (ho, wo)), out_channels), bias, like=x)
    return _add(_X, (y, weight, x), stride, padding)


def conv2d_transpose_grad(
    grad_y: Array, x: Array, weight: Array, bias: Bias = None, *, stride: int = 1, padding: int = 0, **_: Any
) -> tuple[Bias, ...]:
    """dL/dx[..] sums grad_y weight, and dL/dweight[..] sums x grad_y; grad_y has the size output_size."""
    grad_x = _add(_Y, (grad_y, weight, np.zeros_like(x)), stride, padding)
    return grad_x, _add(_WEIGHT, (grad_y, np.zeros_like(weight), x), stride, padding), bias_grad(grad_y, bias)


def conv2d_weight_gradient(x: Array, grad_y: Array, *, kernel_size: Size, stride: int = 1, padding: int = 0) -> Array:
    """y[i, j, c, o] = sum over n, h, w of x[n, h s - p + i, w s - p + j, c] grad_y[n, h, w, o]."""
    y = np.zeros((*kernel_size, x.shape[-1], grad_y.shape[-1]), x.dtype)
    return _add(_WEIGHT, (x, y, grad_y), stride, padding)


def conv2d_weight_gradient_grad(
    grad_weight: Array, x: Array, grad_y: Array, *, stride: int = 1, padding: int = 0, **_: Any
) -> tuple[Array, ...]:
    """dL/dx[..] sums grad_weight grad_y, and dL/d(grad_y)[..] sums x grad_weight."""
    grad_x = _add(_X, (np.zeros_like(x), grad_weight, grad_y), stride, padding)
    return grad_x, _add(_Y, (x, grad_weight, np.zeros_like(grad_y)), stride, padding)
